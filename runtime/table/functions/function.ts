import type { Code, FunctionEmitter } from '../../codegen/emit.ts'
import { FlinkError } from '../../common/errors.ts'
import type { TimeZone } from './time-zone.ts'
import type { Value, ValueType } from './value-type.ts'

/**
 * A scalar function of SQL: what the planner needs (`resolve`), what the interpreter runs (`bind`), and, where it pays, what generated loops
 * hold instead (`emit`). The table of all of them is function-table.ts.
 *
 * - `resolve` answers the types that the arguments must be cast to and the result's type, or undefined when the arguments do not fit.
 * - `nulls: 'strict'`: NULL when an argument is; `bind`'s function and `emit` never see one. `'own'`: the function sees NULLs itself.
 *   `'lazy'`: arguments are evaluated only when needed; the interpreter and the emitter know these by name (AND, OR, CASE, COALESCE, IF).
 * - A function without a value for its arguments throws `noValue(site, why)`; one that answers NULL then says so in `answersNull`.
 */
export interface ScalarFunction {
  readonly name: string
  /** For docs/sql-functions.md. */
  readonly syntax: string
  readonly doc: string
  readonly nulls: 'strict' | 'own' | 'lazy'
  /** May answer NULL though no argument is. */
  readonly answersNull?: boolean
  /** May throw: never evaluated for a row that does not need it. */
  readonly throws?: boolean
  /** Depends on the time: not to be folded. */
  readonly dynamic?: boolean
  readonly resolve: (args: readonly Argument[]) => Resolution | undefined
  // Arguments follow the resolved types, which the signature cannot say.
  readonly bind: (call: BoundCall, environment: Environment) => (...args: never[]) => Value
  /** An expression over the values of the arguments, none of them null; undefined: call the bound function. */
  readonly emit?: (call: BoundCall, args: readonly Code[], emitter: FunctionEmitter) => Code | undefined
}

export interface Argument {
  readonly type: ValueType
  /** The value when the argument is a literal; units (`YEAR`) come as literal strings. */
  readonly literal?: Value | undefined
}

export interface Resolution {
  readonly type: ValueType
  readonly args: readonly ValueType[]
}

/** A call with its resolved types: also the call site that errors name. */
export interface BoundCall {
  readonly name: string
  readonly position: string
  readonly text: string
  readonly type: ValueType
  readonly args: readonly Argument[]
}

/** What functions take from outside. `frameTimeMs` is read once per frame: CURRENT_TIMESTAMP is one value for all of its rows. */
export interface Environment {
  readonly timeZone: TimeZone
  frameTimeMs: number
}

/** A row for which an expression has no value; the loop that runs it adds the row. */
export class NoValue extends Error {
  override name = 'NoValue'
  readonly call: BoundCall
  constructor(call: BoundCall, why: string) {
    super(why)
    this.call = call
  }
}

export function noValue(call: BoundCall, why: string): never {
  throw new NoValue(call, why)
}

/** The user's error for what was thrown at `row` of a frame; anything but `NoValue` is passed on. */
export function rowError(error: unknown, row: number): unknown {
  if (!(error instanceof NoValue)) return error
  const { text, position } = error.call
  return new FlinkError('SQL_RUNTIME', `${error.message} in ${text} at ${position}, row ${row} of its frame`, { expression: text, position, row })
}
