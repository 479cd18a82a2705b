import type { LogicalType } from '../types/logical-type.ts'
import type { Query } from './ast-query.ts'

/** Where a node begins: line and column count from 1 in code points, `offset` in UTF-16 units of the parsed text. */
export interface Position {
  readonly line: number
  readonly column: number
  readonly offset: number
}

export interface Node {
  readonly pos: Position
}

/** One part of a name, without its backticks; case is kept and significant. */
export interface Name extends Node {
  readonly text: string
}

/** `c`, `t.c`, `catalog.db.t.c`: at least one part. */
export type Path = readonly Name[]

export type TimeUnit = (typeof timeUnits)[number]
export const timeUnits = [
  'NANOSECOND',
  'MICROSECOND',
  'MILLISECOND',
  'SECOND',
  'MINUTE',
  'HOUR',
  'DAY',
  'DOW',
  'DOY',
  'ISODOW',
  'ISOYEAR',
  'WEEK',
  'MONTH',
  'QUARTER',
  'YEAR',
  'EPOCH',
  'DECADE',
  'CENTURY',
  'MILLENNIUM',
] as const

export type IntervalUnit = 'YEAR' | 'QUARTER' | 'MONTH' | 'WEEK' | 'DAY' | 'HOUR' | 'MINUTE' | 'SECOND'

/** `DAY(2) TO SECOND(3)`. `to` is undefined for a single unit; `precision` counts leading digits, `fraction` those of the seconds. */
export interface IntervalQualifier {
  readonly from: IntervalUnit
  readonly to: IntervalUnit | undefined
  readonly precision: number | undefined
  readonly fraction: number | undefined
}

export type Expression =
  | NullLiteral
  | BooleanLiteral
  | NumberLiteral
  | StringLiteral
  | BytesLiteral
  | TemporalLiteral
  | IntervalLiteral
  | ColumnReference
  | Star
  | Call
  | Unary
  | Binary
  | Is
  | Between
  | In
  | Like
  | Case
  | Cast
  | Trim
  | Exists
  | Subquery
  | Quantified
  | RowConstructor
  | ArrayConstructor
  | MapConstructor
  | ElementAccess
  | FieldAccess
  | UnitArgument
  | NamedArgument
  | DescriptorArgument
  | TableArgument
  | DefaultArgument

export interface NullLiteral extends Node {
  readonly kind: 'null'
}
/** `value` undefined is UNKNOWN. */
export interface BooleanLiteral extends Node {
  readonly kind: 'boolean'
  readonly value: boolean | undefined
}
/** The digits as written: `12`, `1.50`, `1e3`. An exponent makes it a DOUBLE, a dot a DECIMAL. */
export interface NumberLiteral extends Node {
  readonly kind: 'number'
  readonly text: string
}
export interface StringLiteral extends Node {
  readonly kind: 'string'
  readonly value: string
}
/** X'CAFE'. */
export interface BytesLiteral extends Node {
  readonly kind: 'bytes'
  readonly hex: string
}
/** DATE '…', TIME '…', TIMESTAMP '…'; the text was checked to be one. */
export interface TemporalLiteral extends Node {
  readonly kind: 'temporal'
  readonly type: 'DATE' | 'TIME' | 'TIMESTAMP'
  readonly text: string
}
export interface IntervalLiteral extends Node {
  readonly kind: 'interval'
  readonly negative: boolean
  readonly text: string
  readonly qualifier: IntervalQualifier
}
export interface ColumnReference extends Node {
  readonly kind: 'column'
  readonly path: Path
}
/** `*` (empty path) or `t.*`. */
export interface Star extends Node {
  readonly kind: 'star'
  readonly path: readonly Name[]
}
/** SUBSTRING(x FROM a FOR b), POSITION(x IN y), OVERLAY(x PLACING y FROM a FOR b) and EXTRACT(unit FROM x) are calls with their operands in that order. */
export interface Call extends Node {
  readonly kind: 'call'
  readonly path: Path
  /** Written without parentheses, as CURRENT_DATE. */
  readonly niladic: boolean
  readonly quantifier: 'ALL' | 'DISTINCT' | undefined
  readonly args: readonly Expression[]
  readonly nulls: 'IGNORE' | 'RESPECT' | undefined
  readonly withinGroup: readonly SortItem[]
  readonly filter: Expression | undefined
  /** A named window, or its definition. */
  readonly over: Name | WindowSpecification | undefined
}
export interface Unary extends Node {
  readonly kind: 'unary'
  readonly operator: '+' | '-' | 'NOT'
  readonly operand: Expression
}
export type BinaryOperator = 'OR' | 'AND' | '=' | '<>' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | '/' | '%' | '||' | 'OVERLAPS'
export interface Binary extends Node {
  readonly kind: 'binary'
  readonly operator: BinaryOperator
  readonly left: Expression
  readonly right: Expression
}
export interface Is extends Node {
  readonly kind: 'is'
  readonly test: 'NULL' | 'TRUE' | 'FALSE' | 'UNKNOWN' | 'DISTINCT FROM' | 'JSON' | 'JSON VALUE' | 'JSON OBJECT' | 'JSON ARRAY' | 'JSON SCALAR'
  readonly negated: boolean
  readonly operand: Expression
  /** Of DISTINCT FROM only. */
  readonly other: Expression | undefined
}
export interface Between extends Node {
  readonly kind: 'between'
  readonly negated: boolean
  readonly symmetric: boolean
  readonly operand: Expression
  readonly low: Expression
  readonly high: Expression
}
export interface In extends Node {
  readonly kind: 'in'
  readonly negated: boolean
  readonly operand: Expression
  readonly list: readonly Expression[] | Query
}
export interface Like extends Node {
  readonly kind: 'like'
  readonly operator: 'LIKE' | 'SIMILAR TO'
  readonly negated: boolean
  readonly operand: Expression
  readonly pattern: Expression
  readonly escape: Expression | undefined
}
export interface Case extends Node {
  readonly kind: 'case'
  readonly operand: Expression | undefined
  readonly branches: readonly { readonly when: readonly Expression[]; readonly result: Expression }[]
  readonly otherwise: Expression | undefined
}
/** `safe` is TRY_CAST: null instead of a failure. */
export interface Cast extends Node {
  readonly kind: 'cast'
  readonly safe: boolean
  readonly operand: Expression
  readonly type: LogicalType
}
export interface Trim extends Node {
  readonly kind: 'trim'
  readonly where: 'BOTH' | 'LEADING' | 'TRAILING'
  /** undefined: blanks. */
  readonly characters: Expression | undefined
  readonly operand: Expression
}
export interface Exists extends Node {
  readonly kind: 'exists'
  readonly query: Query
}
export interface Subquery extends Node {
  readonly kind: 'subquery'
  readonly query: Query
}
/** `x > ALL (SELECT …)`. */
export interface Quantified extends Node {
  readonly kind: 'quantified'
  readonly operator: BinaryOperator
  readonly quantifier: 'ALL' | 'ANY' | 'SOME'
  readonly operand: Expression
  readonly list: readonly Expression[] | Query
}
/** `explicit`: written with the word ROW. */
export interface RowConstructor extends Node {
  readonly kind: 'row'
  readonly explicit: boolean
  readonly items: readonly Expression[]
}
export interface ArrayConstructor extends Node {
  readonly kind: 'array'
  readonly items: readonly Expression[]
}
/** Keys and values in turn. */
export interface MapConstructor extends Node {
  readonly kind: 'map'
  readonly items: readonly Expression[]
}
/** `array[1]`, `map['key']`. */
export interface ElementAccess extends Node {
  readonly kind: 'element'
  readonly operand: Expression
  readonly index: Expression
}
/** `(row_expression).field`, or a field after a call or an element; `a.b` alone is a column reference. */
export interface FieldAccess extends Node {
  readonly kind: 'field'
  readonly operand: Expression
  readonly field: Name
}
/** The unit in EXTRACT, FLOOR … TO, TIMESTAMPADD and TIMESTAMPDIFF. */
export interface UnitArgument extends Node {
  readonly kind: 'unit'
  readonly unit: TimeUnit
}
/** `SIZE => INTERVAL '1' HOUR`. */
export interface NamedArgument extends Node {
  readonly kind: 'named'
  readonly name: Name
  readonly value: Expression
}
export interface DescriptorArgument extends Node {
  readonly kind: 'descriptor'
  readonly columns: readonly Name[]
}
/** `TABLE t` or `(SELECT …)` with PARTITION BY and ORDER BY, where a table function takes a table. */
export interface TableArgument extends Node {
  readonly kind: 'table'
  readonly table: Path | Query
  readonly partitionBy: readonly Expression[]
  readonly orderBy: readonly SortItem[]
}
export interface DefaultArgument extends Node {
  readonly kind: 'default'
}

export interface SortItem extends Node {
  readonly expression: Expression
  readonly direction: 'ASC' | 'DESC' | undefined
  readonly nulls: 'FIRST' | 'LAST' | undefined
}

export type FrameBound =
  | { readonly kind: 'unboundedPreceding' | 'currentRow' | 'unboundedFollowing' }
  | { readonly kind: 'preceding' | 'following'; readonly distance: Expression }

export interface WindowSpecification extends Node {
  readonly kind: 'window'
  /** Another window that this one refines. */
  readonly base: Name | undefined
  readonly partitionBy: readonly Expression[]
  readonly orderBy: readonly SortItem[]
  readonly frame: { readonly unit: 'ROWS' | 'RANGE'; readonly from: FrameBound; readonly to: FrameBound | undefined } | undefined
}
