import type { JsonObject } from '../../common/json.ts'

/**
 * Typed expressions: what the planner makes of SQL's, what the interpreter evaluates and the emitter turns into loops. Pure JSON, so that a
 * plan travels in the JobGraph. Names are resolved, overloads chosen, implicit casts made explicit; `type` is the text of a logical type
 * (`INT NOT NULL`, `DECIMAL(10, 2)`), parsed once by whoever compiles it.
 */
export type Expression = ColumnReference | Literal | Call

export interface ColumnReference extends JsonObject {
  readonly kind: 'column'
  readonly index: number
  readonly type: string
}

export interface Literal extends JsonObject {
  readonly kind: 'literal'
  /** BIGINT and DECIMAL as decimal text, STRING as itself, BYTES as hex, times as numbers (see runtime/network/columns.ts); null. */
  readonly value: string | number | boolean | null
  readonly type: string
}

/**
 * A function of runtime/table/functions by its name: operators included (`=`, `AND`, `CASE`, `CAST`, `||`). NULL handling is the function's: most
 * answer NULL when an argument is. `position` is where it stands in the user's SQL, for errors at run time (`3:14`).
 */
export interface Call extends JsonObject {
  readonly kind: 'call'
  readonly name: string
  readonly arguments: readonly Expression[]
  readonly type: string
  readonly position: string
}

export interface Field extends JsonObject {
  readonly name: string
  readonly type: string
}

export type Schema = readonly Field[]
