import type { Call, Expression, Name, Node, Path, SortItem, WindowSpecification } from './ast-expression.ts'

export type Query = Select | SetOperation | Values | ExplicitTable | OrderedQuery | WithQuery

export interface Select extends Node {
  readonly kind: 'select'
  readonly hints: readonly Hint[]
  readonly distinct: boolean
  readonly items: readonly SelectItem[]
  /** Without FROM there is one row. */
  readonly from: TableReference | undefined
  readonly where: Expression | undefined
  readonly groupBy: readonly GroupingElement[]
  /** GROUP BY DISTINCT. */
  readonly groupByDistinct: boolean
  readonly having: Expression | undefined
  readonly windows: readonly { readonly name: Name; readonly specification: WindowSpecification }[]
  readonly qualify: Expression | undefined
}

export interface SelectItem extends Node {
  readonly expression: Expression
  readonly alias: Name | undefined
}

export type GroupingElement =
  | { readonly kind: 'expression'; readonly expression: Expression }
  | { readonly kind: 'set'; readonly pos: Node['pos']; readonly items: readonly Expression[] }
  | { readonly kind: 'rollup' | 'cube' | 'groupingSets'; readonly pos: Node['pos']; readonly items: readonly GroupingElement[] }

export interface SetOperation extends Node {
  readonly kind: 'setOperation'
  readonly operator: 'UNION' | 'INTERSECT' | 'EXCEPT'
  readonly all: boolean
  readonly left: Query
  readonly right: Query
}

export interface Values extends Node {
  readonly kind: 'values'
  readonly rows: readonly (readonly Expression[])[]
}

/** `TABLE t` as a query. */
export interface ExplicitTable extends Node {
  readonly kind: 'explicitTable'
  readonly path: Path
}

export interface OrderedQuery extends Node {
  readonly kind: 'ordered'
  readonly query: Query
  readonly orderBy: readonly SortItem[]
  readonly offset: Expression | undefined
  /** LIMIT n or FETCH FIRST n ROWS ONLY; undefined is all. */
  readonly limit: Expression | undefined
}

export interface WithQuery extends Node {
  readonly kind: 'with'
  readonly tables: readonly CommonTable[]
  readonly query: Query
}

export interface CommonTable extends Node {
  readonly name: Name
  readonly columns: readonly Name[]
  readonly query: Query
}

/** `OPTIONS('k'='v')`, `STATE_TTL('a'='1d')`, `BROADCAST(t)` of a hint comment. */
export interface Hint extends Node {
  readonly name: string
  readonly options: readonly Property[]
  readonly arguments: readonly string[]
}

export interface Property extends Node {
  readonly key: string
  readonly value: string
}

export type TableReference = NamedTable | DerivedTable | FunctionTable | UnnestTable | Join

export interface Alias {
  readonly name: Name
  readonly columns: readonly Name[]
}

export interface NamedTable extends Node {
  readonly kind: 'table'
  readonly path: Path
  readonly hints: readonly Hint[]
  /** FOR SYSTEM_TIME AS OF. */
  readonly asOf: Expression | undefined
  readonly alias: Alias | undefined
}

export interface DerivedTable extends Node {
  readonly kind: 'derived'
  readonly lateral: boolean
  readonly query: Query
  readonly alias: Alias | undefined
}

/** TABLE(f(…)), LATERAL TABLE(f(…)) or f(…) in FROM; the window functions TUMBLE, HOP, CUMULATE and SESSION stand here too. */
export interface FunctionTable extends Node {
  readonly kind: 'function'
  readonly lateral: boolean
  /** Written as TABLE(…). */
  readonly wrapped: boolean
  readonly call: Call
  readonly alias: Alias | undefined
}

export interface UnnestTable extends Node {
  readonly kind: 'unnest'
  readonly expressions: readonly Expression[]
  readonly withOrdinality: boolean
  readonly alias: Alias | undefined
}

export interface Join extends Node {
  readonly kind: 'join'
  readonly type: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'CROSS' | 'COMMA'
  readonly natural: boolean
  readonly left: TableReference
  readonly right: TableReference
  readonly condition:
    | { readonly kind: 'on'; readonly expression: Expression }
    | { readonly kind: 'using'; readonly columns: readonly Name[] }
    | undefined
}
