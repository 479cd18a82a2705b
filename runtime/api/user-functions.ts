import { FlinkError } from '../common/errors.ts'
import type { DeclaredState } from '../graph/declared-state.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { declaredStates } from '../state/descriptors.ts'
import { schemaOf } from '../state/keyed-state-backend.ts'

/** What the graph records of users' functions: their source text (graph hash, plans) and their declared states. */
export type FunctionRoles = Readonly<Record<string, unknown>>

/** Lifecycle methods may be async; `run` and `invoke` of own sources and sinks too. Everything else is called inside the data path. */
const mayBeAsync = new Set([
  ...['open', 'close', 'run', 'invoke', 'cancel', 'constructor'],
  ...['initializeState', 'notifyCheckpointComplete', 'notifyCheckpointAborted'],
])

/** A definition around users' functions, by role. */
export function defineOperator(
  type: string,
  functions: FunctionRoles,
  factory: () => unknown,
  options: OperatorDefinition['options'] = {},
  columnar = false,
): OperatorDefinition {
  return { type, options, functions: sourcesOf(functions), states: statesOf(functions), factory, ...(columnar ? { columnar } : {}) }
}

/** With state by key; `builtIn` is what the operator keeps beside what its functions declare. */
export function keyed(definition: OperatorDefinition, keyType: TypeInformation, builtIn: readonly DeclaredState[] = []): OperatorDefinition {
  return { ...definition, keyType: keyType.json, states: [...definition.states, ...builtIn] }
}

/** As `defineOperator`, of an operator that is one function called with each row: it works columns, and what it reads can be proved. */
export function defineRowFunction(type: 'map' | 'filter' | 'flatMap', fn: unknown, factory: () => unknown): OperatorDefinition {
  const definition = defineOperator(type, { [type]: fn }, factory, {}, true)
  return { ...definition, rowFunction: { fn, method: type, passesRows: type === 'filter' } }
}

export function sourcesOf(functions: FunctionRoles): OperatorDefinition['functions'] {
  return Object.entries(functions)
    .filter(([, fn]) => fn !== undefined)
    .map(([role, fn]) => ({ role, source: sourceText(fn) }))
}

export function statesOf(functions: FunctionRoles): OperatorDefinition['states'] {
  const states: DeclaredState[] = []
  for (const fn of Object.values(functions))
    for (const descriptor of declaredStates(fn)) {
      if (states.some(each => each.name === descriptor.name))
        throw new FlinkError('INVALID_PROGRAM', `state '${descriptor.name}' is declared twice in one operator`)
      states.push(schemaOf(descriptor))
    }
  return states
}

/** Source of a lambda, of an instance's class, or of a plain object's methods in order of their names. */
export function sourceText(fn: unknown): string {
  if (typeof fn === 'function') return Function.prototype.toString.call(fn)
  if (typeof fn !== 'object' || fn === null) return String(fn)
  const parts: string[] = []
  for (let at: object | null = fn; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    const owner: unknown = Object.hasOwn(at, 'constructor') ? (at as { constructor: unknown }).constructor : undefined
    if (typeof owner === 'function') parts.push(Function.prototype.toString.call(owner))
    else
      for (const [name, value] of Object.entries(at).sort(([a], [b]) => (a < b ? -1 : 1)))
        if (typeof value === 'function') parts.push(`${name}: ${Function.prototype.toString.call(value)}`)
  }
  return parts.join('\n')
}

/** An async function between source and sink is refused where it is written; one that merely returns a promise fails on its first record. */
export function refuseAsync(method: string, ...functions: readonly unknown[]): void {
  for (const fn of functions) {
    if (typeof fn === 'function') {
      if (isAsync(fn)) throw asyncRefusal(method)
    } else if (typeof fn === 'object' && fn !== null) {
      for (const name of methodNames(fn))
        if (!mayBeAsync.has(name) && isAsync((fn as Record<string, unknown>)[name])) throw asyncRefusal(`${method}: ${name}`)
    }
  }
}

function asyncRefusal(what: string): FlinkError {
  return new FlinkError(
    'INVALID_PROGRAM',
    `${what} takes a synchronous function, got an async one: records are processed without waiting; do such work in an own source or sink, or with AsyncDataStream once there is one`,
  )
}

function isAsync(fn: unknown): boolean {
  const name = typeof fn === 'function' ? Object.getPrototypeOf(fn)?.constructor?.name : undefined
  return name === 'AsyncFunction' || name === 'AsyncGeneratorFunction'
}

function methodNames(object: object): Set<string> {
  const names = new Set<string>()
  for (let at: object | null = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at))
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(at))) if (typeof property.value === 'function') names.add(name)
  return names
}
