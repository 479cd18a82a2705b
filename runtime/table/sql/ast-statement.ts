import type { LogicalType } from '../types/logical-type.ts'
import type { Expression, Name, Node, Path } from './ast-expression.ts'
import type { Property, Query } from './ast-query.ts'

export type Statement =
  | CreateTable
  | CreateView
  | CreateFunction
  | CreateDatabase
  | Drop
  | Insert
  | QueryStatement
  | Explain
  | Describe
  | Show
  | Use
  | SetOption
  | ResetOption
  | BeginStatementSet
  | EndStatementSet
  | StatementSet

export interface CreateTable extends Node {
  readonly kind: 'createTable'
  readonly temporary: boolean
  readonly ifNotExists: boolean
  readonly path: Path
  readonly columns: readonly Column[]
  readonly watermark: Watermark | undefined
  readonly primaryKey: PrimaryKey | undefined
  readonly comment: string | undefined
  readonly partitionedBy: readonly Name[]
  readonly options: readonly Property[]
}

export type Column = PhysicalColumn | ComputedColumn | MetadataColumn

export interface PhysicalColumn extends Node {
  readonly kind: 'physical'
  readonly name: Name
  readonly type: LogicalType
  readonly comment: string | undefined
}
export interface ComputedColumn extends Node {
  readonly kind: 'computed'
  readonly name: Name
  readonly expression: Expression
  readonly comment: string | undefined
}
/** `name type METADATA [FROM 'key'] [VIRTUAL]`. */
export interface MetadataColumn extends Node {
  readonly kind: 'metadata'
  readonly name: Name
  readonly type: LogicalType
  readonly key: string | undefined
  readonly virtual: boolean
  readonly comment: string | undefined
}

/** `WATERMARK FOR a.b AS expression`. */
export interface Watermark extends Node {
  readonly column: Path
  readonly expression: Expression
}

export interface PrimaryKey extends Node {
  readonly name: Name | undefined
  readonly columns: readonly Name[]
  /** Flink's tables take only NOT ENFORCED; that is checked where the table is made. */
  readonly enforced: boolean
}

export interface CreateView extends Node {
  readonly kind: 'createView'
  readonly temporary: boolean
  readonly ifNotExists: boolean
  readonly path: Path
  readonly columns: readonly Name[]
  readonly comment: string | undefined
  readonly query: Query
}

export interface CreateFunction extends Node {
  readonly kind: 'createFunction'
  readonly temporary: boolean
  /** TEMPORARY SYSTEM FUNCTION: hides even built-in functions and has no path. */
  readonly system: boolean
  readonly ifNotExists: boolean
  readonly path: Path
  /** `module#export`. */
  readonly identifier: string
  readonly language: string | undefined
  readonly using: readonly { readonly type: 'JAR' | 'ARTIFACT' | 'FILE'; readonly path: string }[]
}

export interface CreateDatabase extends Node {
  readonly kind: 'createDatabase'
  readonly ifNotExists: boolean
  readonly path: Path
  readonly comment: string | undefined
  readonly options: readonly Property[]
}

export interface Drop extends Node {
  readonly kind: 'drop'
  readonly object: 'TABLE' | 'VIEW' | 'FUNCTION' | 'DATABASE'
  readonly temporary: boolean
  readonly system: boolean
  readonly ifExists: boolean
  readonly path: Path
  readonly cascade: boolean
}

export interface Insert extends Node {
  readonly kind: 'insert'
  readonly overwrite: boolean
  readonly path: Path
  /** PARTITION (p = value, q = value). */
  readonly partition: readonly { readonly name: Name; readonly value: Expression }[]
  readonly columns: readonly Path[]
  readonly query: Query
}

export interface QueryStatement extends Node {
  readonly kind: 'query'
  readonly query: Query
}

export type ExplainDetail = 'ESTIMATED_COST' | 'CHANGELOG_MODE' | 'JSON_EXECUTION_PLAN' | 'PLAN_ADVICE'

export interface Explain extends Node {
  readonly kind: 'explain'
  readonly details: readonly ExplainDetail[]
  readonly statement: QueryStatement | Insert | StatementSet
}

export interface Describe extends Node {
  readonly kind: 'describe'
  readonly extended: boolean
  readonly path: Path
}

export type ShowObject =
  | 'TABLES'
  | 'VIEWS'
  | 'FUNCTIONS'
  | 'USER FUNCTIONS'
  | 'CATALOGS'
  | 'DATABASES'
  | 'COLUMNS'
  | 'CREATE TABLE'
  | 'CREATE VIEW'
  | 'CURRENT CATALOG'
  | 'CURRENT DATABASE'

export interface Show extends Node {
  readonly kind: 'show'
  readonly object: ShowObject
  /** What it is about: the table of COLUMNS and CREATE, the database of TABLES. */
  readonly path: Path | undefined
  readonly like: { readonly operator: 'LIKE' | 'ILIKE'; readonly negated: boolean; readonly pattern: string } | undefined
}

export interface Use extends Node {
  readonly kind: 'use'
  readonly object: 'CATALOG' | 'DATABASE'
  readonly path: Path
}

/** `SET 'key' = 'value'`; without a key all options are listed. */
export interface SetOption extends Node {
  readonly kind: 'set'
  readonly key: string | undefined
  readonly value: string | undefined
}

export interface ResetOption extends Node {
  readonly kind: 'reset'
  readonly key: string | undefined
}

/** BEGIN STATEMENT SET and END stand alone in a script, with the inserts between them as statements. */
export interface BeginStatementSet extends Node {
  readonly kind: 'beginStatementSet'
}
export interface EndStatementSet extends Node {
  readonly kind: 'endStatementSet'
}

/** EXECUTE STATEMENT SET BEGIN …; END is one statement. */
export interface StatementSet extends Node {
  readonly kind: 'statementSet'
  readonly statements: readonly Insert[]
}
