import type { StreamExecutionEnvironment } from '../../../runtime/api/index.ts'
import { assert } from '../../../runtime/common/assert.ts'
import { type Clock, systemClock } from '../../../runtime/common/clock.ts'
import { type Random, seededRandom } from '../../../runtime/common/random.ts'
import type { Expression } from '../../../runtime/table/plan/expression.ts'
import type { SinkNode } from '../../../runtime/table/plan/physical.ts'
import { inputsOf, type LogicalNode, type LogicalSink, withInputs } from '../../../runtime/table/planner/logical.ts'
import { optimise } from '../../../runtime/table/planner/optimise.ts'
import { physicalPlanText } from '../../../runtime/table/planner/plan-text.ts'
import { toPhysical } from '../../../runtime/table/planner/to-physical.ts'
import { Translation } from '../../../runtime/table/planner/translate.ts'
import type { TaskMetricsSnapshot } from '../../../runtime/taskmanager/slot-host.ts'
import { runInProcess } from '../in-process-job.ts'
import type { DifferentialCase, Outcome, Way } from './differential.ts'
import { modelOutcome } from './model.ts'
import { type RandomPlan, ROWTIME, randomPlan, type TestTable } from './random-plan.ts'
import { type SourceForm, testScan, testSink } from './test-connectors.ts'
import { oneIn, pick, shownValue } from './values.ts'

/**
 * A plan of SQL over tables of a few rows, as a job of its own: real chains, exchanges and rings, one frame to a channel, suspended at every row.
 * The ways:
 *
 * - generated: frames of columns, generated loops (what users get);
 * - interpreted: frames of columns, expressions as trees of closures (`table.exec.codegen: false`);
 * - rows: rows as objects all the way, no frame anywhere (`table.exec.columnar: false`);
 * - rows into columns: a source of rows in front of generated operators, so that the engine converts.

 * Half of the plans go through the optimiser's rules, the model evaluates them as they were written.
 */
interface Settings {
  readonly parallelism: number
  readonly channelCapacity: number
  readonly rowsPerFrame: number
  readonly chaining: boolean
  readonly batch: boolean
  readonly twoPhase: boolean
  readonly optimised: boolean
  readonly watermarkIntervalMs: number
  readonly timeZone: string
}

interface Path {
  readonly name: string
  readonly codegen: boolean
  readonly columnar: boolean
  readonly source: SourceForm
  readonly optimised: boolean
}

/** Stands still, so that nothing happens because time has passed, and CURRENT_TIMESTAMP is one value. */
const clock: Clock = { ...systemClock, nowMs: () => 1_600_000_000_123, monotonicMs: () => 0 }

export function sqlCase(seed: number): SqlCase {
  const random = seededRandom(seed)
  const settings = randomSettings(random)
  const plan = randomPlan(random, settings.rowsMax)
  // Windows over instants are refused outside of UTC.
  const hasInstants = plan.tables.some(({ schema }) => schema.some(({ name, type }) => name === ROWTIME && type.startsWith('TIMESTAMP_LTZ')))
  return new SqlCase(seed, { ...settings, ...(plan.late ? { parallelism: 1 } : {}), ...(hasInstants ? { timeZone: 'UTC' } : {}) }, plan)
}

function randomSettings(random: Random): Settings & { readonly rowsMax: number } {
  return {
    rowsMax: pick(random, [2, 8, 20, 40]),
    parallelism: 1 + random.nextInt(3),
    channelCapacity: 1 + random.nextInt(3),
    rowsPerFrame: pick(random, [1, 2, 3, 5, 9, 40]),
    chaining: !oneIn(random, 4),
    batch: oneIn(random, 10),
    twoPhase: oneIn(random, 2),
    optimised: oneIn(random, 2),
    watermarkIntervalMs: pick(random, [0, 0, 200, 1_000]),
    timeZone: pick(random, ['UTC', 'America/New_York', '+05:30']),
  }
}

export class SqlCase implements DifferentialCase {
  readonly seed: number
  readonly plan: RandomPlan
  private readonly settings: Settings

  constructor(seed: number, settings: Settings, plan: RandomPlan) {
    this.seed = seed
    this.settings = settings
    this.plan = plan
  }

  get ways(): readonly Way[] {
    const { optimised } = this.settings
    const paths: Path[] = [
      { name: 'generated', codegen: true, columnar: true, source: 'frames', optimised },
      { name: 'interpreted', codegen: false, columnar: true, source: 'frames', optimised },
      { name: 'rows', codegen: false, columnar: false, source: 'rows', optimised },
    ]
    if (this.seed % 5 === 0) paths.push({ name: 'rows into columns', codegen: true, columnar: true, source: 'rows', optimised })
    return paths.map(path => ({ name: path.name, run: () => this.run(path) }))
  }

  expected(): Outcome | undefined {
    const { sink, tables, late } = this.plan
    // Which rows are late is a matter of order, of which the model has none.
    if (late) return undefined
    const asWritten = modelOutcome(sink, tables)
    // The rules change no row. They may keep a failure from happening (a column that nobody reads is not computed), never cause one.
    return asWritten !== undefined && 'errors' in asWritten && this.settings.optimised ? modelOutcome(this.optimised(), tables) : asWritten
  }

  physical(optimised: boolean): SinkNode {
    const { timeZone, twoPhase } = this.settings
    return toPhysical(optimised ? this.optimised() : this.plan.sink, { timeZone, twoPhase })
  }

  private optimised(): LogicalSink {
    return optimise(this.plan.sink, { timeZone: this.settings.timeZone })
  }

  private async run(path: Path): Promise<Outcome> {
    const { codegen, columnar, source, optimised } = path
    const { parallelism, channelCapacity, chaining, batch, rowsPerFrame, watermarkIntervalMs, timeZone } = this.settings
    const rows: string[] = []
    const tables = new Map(this.plan.tables.map(table => [table.name, table]))
    const program = (env: StreamExecutionEnvironment) => {
      const translation = new Translation(
        env,
        { timeZone, codegen, columnar },
        {
          scan: node => testScan(tables.get(node.table)!, node.projected, { form: source, rowsPerFrame, parallelism }),
          sink: node => testSink(node.schema, columnar, source, rows),
        },
      )
      translation.addSink(this.physical(optimised))
    }
    const { error, metrics } = await runInProcess(program, {
      parallelism,
      channelCapacity,
      chaining,
      batch,
      suspendEverywhere: true,
      runProgramOnce: true,
      pages: 64,
      seed: this.seed,
      clock,
      configuration: { 'pipeline.auto-watermark-interval': `${watermarkIntervalMs} ms` },
    })
    if (error === undefined) {
      assertPathTaken(path, metrics)
      // Aggregated before the exchange several rows are one. A row that lies between windows is late for none of them, or for all.
      if (this.plan.late && !this.settings.twoPhase && !hasGaps(this.plan.sink)) rows.push(`late: ${counted(metrics, 'numLateRecordsDropped')}`)
      return { rows: rows.sort() }
    }
    // Another failure than that of a value is the engine's own, and equal to nothing.
    if (!['SQL_RUNTIME', 'UNSUPPORTED', 'INVALID_SQL', 'INVALID_ARGUMENT'].includes(error.code))
      throw new Error(`seed ${this.seed}: ${error.stack}\n${this.describe()}`)
    return { errors: [messageClass(error.message)] }
  }

  *apart(): Iterable<DifferentialCase> {
    const { tables } = this.plan
    if (tables.reduce((sum, { rows }) => sum + rows.length, 0) <= 1) return
    for (const table of tables)
      for (const row of table.rows.keys())
        yield this.withTables(tables.map(other => partOf(other, other === table ? row : 0, other === table ? row + 1 : 0)))
  }

  *smaller(): Iterable<DifferentialCase> {
    const { tables, sink } = this.plan
    for (const table of tables) {
      const others = (from: number, to: number) => this.withTables(tables.map(other => (other === table ? without(table, from, to) : other)))
      for (let size = table.rows.length >> 1; size >= 1; size >>= 1)
        for (let from = 0; from < table.rows.length; from += size) yield others(from, from + size)
    }
    for (const smaller of smallerNodes(sink)) yield new SqlCase(this.seed, this.settings, { ...this.plan, sink: smaller as LogicalSink })
    for (const simple of [
      { parallelism: 1 },
      { batch: false },
      { chaining: true },
      { optimised: false },
      { twoPhase: false },
      { rowsPerFrame: 1 },
      { channelCapacity: 3 },
    ])
      if (Object.entries(simple).some(([key, value]) => this.settings[key as keyof Settings] !== value))
        yield new SqlCase(this.seed, { ...this.settings, ...simple }, this.plan)
  }

  describe(): string {
    const tables = this.plan.tables.map(({ name, schema, rows, times, kinds }) => {
      const columns = schema.map(column => `${JSON.stringify(column.name)} ${column.type}`).join(', ')
      const lines = rows.map(
        (row, i) =>
          `  (${row.map(shownValue).join(', ')})${times === undefined ? '' : ` at ${times[i]}`}${kinds === undefined ? '' : ` kind ${kinds[i]}`}`,
      )
      return `table ${name} (${columns})\n${lines.join('\n')}`
    })
    return [JSON.stringify(this.settings), physicalPlanText(this.physical(this.settings.optimised)), ...tables].join('\n')
  }

  private withTables(tables: readonly TestTable[]): SqlCase {
    return new SqlCase(this.seed, this.settings, { ...this.plan, tables })
  }
}

/** A path that was not taken shows nothing: rows are counted by how they went. */
function assertPathTaken({ name, codegen, columnar, source }: Path, metrics: readonly TaskMetricsSnapshot[]): void {
  const converts = columnar && source === 'rows'
  assert(converts || counted(metrics, 'rowsConverted') === 0, `path ${name} converts no row`)
  assert(converts || counted(metrics, columnar ? 'rowsInterpreted' : 'rowsColumnar') === 0, `path ${name} is taken by all rows`)
  assert(codegen || counted(metrics, 'rowsGenerated') === 0, `path ${name} runs no generated loop`)
}

function hasGaps(node: LogicalNode): boolean {
  const spec = node.kind === 'aggregate' ? node.window?.spec : undefined
  return (spec?.kind === 'HOP' && spec.slide > spec.size) || inputsOf(node).some(hasGaps)
}

function counted(metrics: readonly TaskMetricsSnapshot[], counter: string): number {
  return metrics.flatMap(task => Object.values(task.operators)).reduce((sum, counters) => sum + (counters[counter] ?? 0), 0)
}

/** A message up to the first value, expression or place that it names. */
function messageClass(message: string): string {
  return /^(.*?)(?: '| in .*, row \d+ of its frame|$)/su.exec(message)![1]!
}

function partOf(table: TestTable, from: number, to: number): TestTable {
  return { ...table, rows: table.rows.slice(from, to), times: table.times?.slice(from, to), kinds: table.kinds?.slice(from, to) }
}

function without(table: TestTable, from: number, to: number): TestTable {
  const kept = <T>(values: readonly T[]): T[] => [...values.slice(0, from), ...values.slice(to)]
  return { ...table, rows: kept(table.rows), times: table.times && kept(table.times), kinds: table.kinds && kept(table.kinds) }
}

/** The same plan with one thing less. */
function* smallerNodes(node: LogicalNode): Iterable<LogicalNode> {
  if (node.kind === 'filter') yield node.input
  if (node.kind === 'sink' && node.input.kind === 'project' && node.input.projections.length > 1) {
    const { input } = node
    for (const dropped of input.projections.keys()) {
      const kept = <T>(values: readonly T[]): T[] => values.filter((_, i) => i !== dropped)
      yield { ...node, input: { ...input, projections: kept(input.projections), names: kept(input.names) }, schema: kept(node.schema) }
    }
  }
  if (node.kind === 'aggregate') return
  for (const [i, input] of inputsOf(node).entries())
    for (const smaller of smallerNodes(input))
      yield withInputs(
        node,
        inputsOf(node).map((other, k) => (k === i ? smaller : other)),
      )
  if (node.kind === 'filter') for (const condition of smallerExpressions(node.condition)) yield { ...node, condition }
  if (node.kind === 'project')
    for (const [i, projection] of node.projections.entries())
      for (const smaller of smallerExpressions(projection))
        yield { ...node, projections: node.projections.map((other, k) => (k === i ? smaller : other)) }
}

/** Of the same type. */
function* smallerExpressions(expression: Expression): Iterable<Expression> {
  if (expression.kind !== 'call') return
  if (!expression.type.endsWith(' NOT NULL')) yield { kind: 'literal', value: null, type: expression.type }
  for (const argument of expression.arguments) if (argument.type === expression.type) yield argument
  for (const [i, argument] of expression.arguments.entries())
    for (const smaller of smallerExpressions(argument))
      yield { ...expression, arguments: expression.arguments.map((other, k) => (k === i ? smaller : other)) }
}
