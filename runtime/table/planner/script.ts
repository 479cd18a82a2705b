import type { StreamExecutionEnvironment } from '../../api/environment.ts'
import { unreachable } from '../../common/assert.ts'
import { Configuration, parseOptionValue } from '../../common/config.ts'
import { FlinkError, nearestName } from '../../common/errors.ts'
import { sinkDefaults, sourceDefaults } from '../../connectors/kafka/options.ts'
import { CatalogManager } from '../catalog/catalog-manager.ts'
import { tableOf, viewOf } from '../catalog/catalog-objects.ts'
import { timeZone } from '../functions/time-zone.ts'
import { tableOptions, tableOptionTable } from '../options.ts'
import type { Schema } from '../plan/expression.ts'
import type { PhysicalNode, SinkNode } from '../plan/physical.ts'
import type { CalcSettings } from '../runtime/calc-operator.ts'
import { kafkaTableSink } from '../runtime/kafka-table-sink.ts'
import type { Query } from '../sql/ast-query.ts'
import type { CreateDatabase, CreateTable, Drop, Explain, Insert, Statement, Use } from '../sql/ast-statement.ts'
import { parseScript, parseTypeText } from '../sql/parse.ts'
import { withNullability } from '../types/logical-type.ts'
import { castOf } from '../types/type-casts.ts'
import { printType } from '../types/type-text.ts'
import { bindQuery, castTo } from './bind-query.ts'
import { bindSourceTable, requireColumnType } from './bind-table.ts'
import { createObject, databaseOf, dropObject, findObject, fullPath } from './catalog-names.ts'
import { checkOptions } from './connector-options.ts'
import { explainText } from './explain.ts'
import { columnReference } from './expressions.ts'
import type { LogicalNode, LogicalSink } from './logical.ts'
import { optimise } from './optimise.ts'
import { at, candidatesText, notSupportedYet, planError, type SqlPosition } from './plan-error.ts'
import { type Relation, requireNoRows } from './scope.ts'
import { type SharingSettings, shareSubplans } from './share-subplans.ts'
import { describeTable, type ShownTable, showTable } from './show.ts'
import { toPhysical } from './to-physical.ts'
import { Translation } from './translate.ts'

/** Runs the statements of a script against an environment: what they read and write becomes one job. */
export class SqlScript {
  private readonly env: StreamExecutionEnvironment
  private readonly name: string
  private readonly catalog = new CatalogManager()
  private readonly sinks: { readonly logical: LogicalSink; readonly physical: SinkNode }[] = []

  constructor(env: StreamExecutionEnvironment, name: string) {
    this.env = env
    this.name = name
  }

  run(text: string): void {
    const statements = parseScript(text)
    for (const { statement } of statements) this.execute(statement)
    if (this.sinks.length === 0)
      throw new FlinkError('INVALID_SQL', `script ${this.name} has no INSERT INTO, SELECT or EXPLAIN: there is nothing to run`)
    const settings = this.settings()
    const translation = new Translation(this.env, { timeZone: settings.timeZone, codegen: settings.codegen, columnar: settings.columnar })
    for (const sink of shareSubplans(
      this.sinks.map(({ physical }) => physical),
      settings.sharing,
    ))
      translation.addSink(sink)
  }

  private execute(statement: Statement): void {
    switch (statement.kind) {
      case 'createTable':
        this.createTable(statement)
        return
      case 'createView': {
        const relation = this.bind(statement.query)
        const { columns } = statement
        if (columns.length > 0 && columns.length !== relation.columns.length)
          throw planError(
            columns[0]!.pos,
            `view '${statement.path.at(-1)!.text}' names ${columns.length} columns, its query has ${relation.columns.length}`,
          )
        createObject(this.catalog, statement.path, viewOf(statement, this.catalog.currentPath), statement)
        return
      }
      case 'drop':
        this.drop(statement)
        return
      case 'set':
        if (statement.key === undefined || statement.value === undefined) throw notSupportedYet(statement.pos, 'SET without a key')
        checkTableOption(statement.key, statement.value, statement.pos)
        this.env.configure(statement.key, statement.value)
        return
      case 'insert':
        this.insert(statement)
        return
      case 'query':
        this.add(this.collect(statement.query), statement.query.pos)
        return
      case 'statementSet':
        for (const insert of statement.statements) this.insert(insert)
        return
      // All inserts of a script are one job anyway.
      case 'beginStatementSet':
      case 'endStatementSet':
        return
      case 'explain':
        this.explain(statement)
        return
      case 'use':
        this.use(statement)
        return
      case 'show':
        this.addRows(showTable(statement, this.catalog), statement.pos)
        return
      case 'describe':
        this.addRows(
          describeTable(statement, this.catalog, ({ pos, path }) => this.bind({ kind: 'explicitTable', pos, path })),
          statement.pos,
        )
        return
      case 'createDatabase':
        if (statement.options[0] !== undefined) throw notSupportedYet(statement.options[0].pos, 'an option of a database')
        this.createDatabase(statement)
        return
      case 'reset':
        throw notSupportedYet(statement.pos, 'RESET')
      case 'createFunction':
        throw notSupportedYet(statement.pos, 'CREATE FUNCTION')
      default:
        return unreachable(statement)
    }
  }

  private drop(statement: Drop): void {
    const { object, path, pos } = statement
    if (object === 'TABLE' || object === 'VIEW') return dropObject(this.catalog, path, object === 'TABLE' ? 'table' : 'view', statement)
    if (object !== 'DATABASE') throw notSupportedYet(pos, `DROP ${object}`)
    const { catalog, database } = at(path[0]!.pos, () => this.catalog.databaseOf(path.map(({ text }) => text)))
    const how = { ignoreIfNotExists: statement.ifExists, cascade: statement.cascade }
    at(path[0]!.pos, () => this.catalog.catalog(catalog).dropDatabase(database, how))
  }

  private use({ object, path }: Use): void {
    if (object === 'CATALOG') return at(path[0]!.pos, () => this.catalog.useCatalog(path.map(({ text }) => text).join('.')))
    const { catalog, database } = databaseOf(this.catalog, path)
    this.catalog.useDatabase([catalog, database])
  }

  private createDatabase({ path, comment, ifNotExists }: CreateDatabase): void {
    const { catalog, database } = at(path[0]!.pos, () => this.catalog.databaseOf(path.map(({ text }) => text)))
    at(path[0]!.pos, () => this.catalog.catalog(catalog).createDatabase(database, comment, ifNotExists))
  }

  private createTable(written: CreateTable): void {
    if (written.primaryKey?.enforced === true)
      throw planError(written.primaryKey.pos, 'PRIMARY KEY must be NOT ENFORCED: tables of connectors do not hold their rows')
    const { table } = at(written.pos, () => tableOf(written))
    const { declared } = table
    if (declared.partitionedBy[0] !== undefined) throw notSupportedYet(declared.partitionedBy[0].pos, 'PARTITIONED BY')
    const isSink = table.options['connector'] === 'print' || table.options['connector'] === 'blackhole'
    // A table is checked where it is made, not where it is used.
    if (isSink) this.checkSink(declared)
    else bindSourceTable(declared, fullPath(this.catalog, declared.path), [], 'declared')
    createObject(this.catalog, declared.path, table, declared)
  }

  private checkSink(table: CreateTable): void {
    for (const column of table.columns) if (column.kind === 'physical') requireColumnType(column.type, column.name.text, column.pos)
    checkOptions(table.path.at(-1)!.text, table.options, table.pos, 'sink', [])
  }

  private insert(insert: Insert): void {
    this.add(this.sinkOf(insert), insert.query.pos)
  }

  private sinkOf(insert: Insert): LogicalSink {
    if (insert.overwrite) throw notSupportedYet(insert.pos, 'INSERT OVERWRITE')
    if (insert.partition[0] !== undefined) throw notSupportedYet(insert.partition[0].name.pos, 'PARTITION of INSERT')
    const found = findObject(this.catalog, insert.path)
    const name = found.path[2]
    if (found.object.kind === 'view') throw planError(insert.path[0]!.pos, `'${name}' is a view, which takes no rows`)
    const table = found.object.declared
    const physical = table.columns.filter(column => column.kind === 'physical')
    const schema = physical.map(column => ({ name: column.name.text, type: printType(column.type) }))
    const { connector, options: given } = checkOptions(name, table.options, table.pos, 'sink', [])
    const options = connector === 'kafka' ? { ...asTableOptions(sinkDefaults(this.configuration)), ...given } : given
    for (const column of physical) requireColumnType(column.type, column.name.text, column.pos)
    if (connector === 'kafka') at(table.pos, () => kafkaTableSink(options, schema))
    const relation = this.bind(insert.query)
    return { kind: 'sink', input: matched(insert, relation, schema, name), table: name, connector, options, schema }
  }

  private collect(query: Query): LogicalSink {
    const { node, schema } = flat(this.bind(query), query.pos)
    return { kind: 'sink', input: node, table: 'collect', connector: 'collect', options: {}, schema }
  }

  private explain(explain: Explain): void {
    const detail = explain.details[0]
    if (detail !== undefined) throw notSupportedYet(explain.pos, `EXPLAIN ${detail}`)
    const { statement } = explain
    const logical =
      statement.kind === 'query'
        ? [this.collect(statement.query)]
        : statement.kind === 'insert'
          ? [this.sinkOf(statement)]
          : statement.statements.map(each => this.sinkOf(each))
    const { timeZone, generatedSource, sharing } = this.settings()
    const lines = explainText(
      logical.map(each => ({ logical: each, physical: this.plan(each) })),
      { timeZone, generatedSource, sharing },
    ).split('\n')
    this.addRows({ schema: [{ name: 'plan', type: 'STRING NOT NULL' }], rows: lines.map(line => [line]) }, explain.pos, 'text')
  }

  /** Rows that are known now, as a SELECT prints them (`collect`) or each as it is (`text`). */
  private addRows({ schema, rows }: ShownTable, pos: SqlPosition, connector: 'collect' | 'text' = 'collect'): void {
    const paths = schema.map(({ name }) => [name])
    const projected = schema.map((_, i) => i)
    const node: LogicalNode = { kind: 'scan', table: 'rows', connector: 'values', options: {}, physical: schema, paths, projected, rows }
    this.add({ kind: 'sink', input: node, table: connector, connector, options: {}, schema }, pos)
  }

  private add(logical: LogicalSink, pos: SqlPosition): void {
    const physical = this.plan(logical)
    requireColumns(physical, pos)
    this.sinks.push({ logical, physical })
  }

  private plan(logical: LogicalSink): SinkNode {
    const { timeZone, twoPhase } = this.settings()
    return toPhysical(optimise(logical, { timeZone }), { timeZone, twoPhase })
  }

  private bind(query: Query): Relation {
    return bindQuery(query, {
      catalog: this.catalog,
      scope: this.catalog.currentPath,
      timeZone: this.settings().timeZone,
      kafkaDefaults: asTableOptions(sourceDefaults(this.configuration)),
      common: new Map(),
      views: [],
    })
  }

  private get configuration(): Configuration {
    return Configuration.fromObject(this.env.getConfiguration())
  }

  private settings(): ScriptSettings {
    const { configuration } = this
    return {
      timeZone: configuration.get(tableOptions.localTimeZone),
      twoPhase: configuration.get(tableOptions.aggPhaseStrategy) !== 'ONE_PHASE',
      codegen: configuration.get(tableOptions.codegen),
      columnar: configuration.get(tableOptions.columnar),
      generatedSource: configuration.get(tableOptions.explainGeneratedSource),
      sharing: { subplans: configuration.get(tableOptions.reuseSubplans), sources: configuration.get(tableOptions.reuseSources) },
    }
  }
}

/** Properties of Kafka's clients as a table has them. */
function asTableOptions(properties: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(properties).map(([key, value]) => [`properties.${key}`, value]))
}

interface ScriptSettings extends CalcSettings {
  readonly twoPhase: boolean
  readonly generatedSource: boolean
  readonly sharing: SharingSettings
}

/** Options of the planner are checked where they are set; the rest with the job's. */
function checkTableOption(key: string, value: string, pos: SqlPosition): void {
  if (!key.startsWith('table.')) return
  const option = tableOptionTable.find(each => each.key === key)
  if (option === undefined) {
    const keys = tableOptionTable.map(each => each.key)
    if (nearestName(key, keys) === undefined) throw notSupportedYet(pos, `option '${key}'`)
    throw planError(pos, `option '${key}' is not known${candidatesText(key, keys)}`)
  }
  try {
    parseOptionValue(option, value)
    if (key === tableOptions.localTimeZone.key) timeZone(value)
  } catch (error) {
    throw planError(pos, (error as Error).message)
  }
}

/** A NULL that nothing gives a type has no columns to be in. */
function requireColumns(sink: SinkNode, pos: SqlPosition): void {
  const check = (node: PhysicalNode): void => {
    for (const { name, type } of node.schema)
      if (type === 'NULL') throw planError(pos, `column '${name}' is a NULL without a type, expected CAST(NULL AS type)`)
    for (const input of node.kind === 'union' ? node.inputs : node.kind === 'scan' ? [] : [node.input]) check(input)
  }
  check(sink.input)
}

/** The columns of a relation and no others, in its order. */
function flat(relation: Relation, pos: SqlPosition): { readonly node: LogicalNode; readonly schema: Schema } {
  requireNoRows(relation, pos)
  const schema = relation.columns.map(({ name, type }) => ({ name, type }))
  const node: LogicalNode = {
    kind: 'project',
    input: relation.node,
    projections: relation.columns.map(({ index, type }) => columnReference(index, type)),
    names: schema.map(({ name }) => name),
  }
  return { node, schema }
}

/** The query's columns as the table's: by position, or by INSERT's list; what Flink casts by itself is cast. */
function matched(insert: Insert, relation: Relation, schema: Schema, table: string): LogicalNode {
  requireNoRows(relation, insert.query.pos)
  const targets = insert.columns.map(path => {
    const name = path.map(({ text }) => text).join('.')
    const target = schema.findIndex(column => column.name === name)
    if (target < 0)
      throw planError(
        path[0]!.pos,
        `column '${name}' of table '${table}' is not known${candidatesText(
          name,
          schema.map(column => column.name),
        )}`,
      )
    return target
  })
  const width = targets.length > 0 ? targets.length : schema.length
  const shown = (fields: Schema) => `[${fields.map(({ name, type }) => `${name}: ${type}`).join(', ')}]`
  const mismatch = (cause: string) =>
    planError(
      insert.path[0]!.pos,
      `columns of the query and of table '${table}' do not match: ${cause}; query ${shown(relation.columns.map(({ name, type }) => ({ name, type })))}, table ${shown(schema)}`,
    )
  if (relation.columns.length !== width) throw mismatch(`${relation.columns.length} columns, expected ${width}`)
  const projections = schema.map(({ name, type }, i) => {
    const source = targets.length > 0 ? targets.indexOf(i) : i
    const column = relation.columns[source]
    if (column === undefined) return { kind: 'literal', value: null, type: type.replace(/ NOT NULL$/, '') } as const
    if (!isImplicit(column.type, type)) throw mismatch(`column '${column.name}' is a ${column.type}, expected ${type} for '${name}'`)
    return castTo(columnReference(column.index, column.type), type.replace(/ NOT NULL$/, ''))
  })
  return { kind: 'project', input: relation.node, projections, names: schema.map(({ name }) => name) }
}

/** What Flink casts without being asked. NULLs are looked for when rows are written. */
function isImplicit(from: string, to: string): boolean {
  if (from === 'NULL') return true
  const [source, target] = [parseTypeText(from), parseTypeText(to)].map(type => withNullability(type, true))
  return castOf(source!, target!) === 'implicit'
}
