import { expires } from '../serde/ttl-type.ts'
import type { OperatorDefinition } from './stream-graph.ts'

/** Rolling aggregations: one value for each key that there ever was. docs/state.md lists them. */
const rolling: ReadonlySet<string> = new Set(['reduce', 'sum', 'min', 'max', 'minBy', 'maxBy'])

/** What ends state in a function's text. Whether it is ever called, nobody can see there. */
const clears = /\.\s*(?:clear|remove)\s*\(|\.\s*update\s*\(\s*(?:null|undefined|\[\s*\])\s*\)/

/**
 * Why an operator's state never shrinks, as far as its definition shows it: a sentence for each reason; none = nothing to warn of. Windows free theirs, and
 * broadcast state is as large as what its rules make it.
 */
export function stateGrowth({ type, states, functions }: OperatorDefinition): string[] {
  if (rolling.has(type)) return ['its state never shrinks: it keeps a value for every key that it has seen (docs/state.md)']
  if (functions.some(({ source }) => clears.test(source))) return []
  return states
    .filter(({ kind, type: held, builtIn }) => builtIn !== true && kind !== 'broadcast' && !expires(held))
    .map(({ name }) => `state '${name}' never shrinks: it has no TTL, and its function never clears it (docs/state.md)`)
}
