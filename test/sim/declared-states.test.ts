import { expect, test } from 'vitest'
import {
  AggregatingStateDescriptor,
  DataGeneratorSource,
  type DataStream,
  type KeyedProcessContext,
  type KeyedStream,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  type RuntimeContext,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  Types,
  ValueStateDescriptor,
  WatermarkStrategy,
} from '../../runtime/api/index.ts'
import { type CheckpointBody, decodeBody } from '../../runtime/checkpoint/checkpoint-body.ts'
import { isRestorable, planState, savedOperators } from '../../runtime/checkpoint/state-plan.ts'
import { showState } from '../../runtime/checkpoint/state-text.ts'
import { decodeManifest } from '../../runtime/checkpoint/storage/manifest.ts'
import { canonicalJson, type JsonValue } from '../../runtime/common/json.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { FileSink } from '../../runtime/connectors/files/file-sink.ts'
import { fileSinkTransport } from '../../runtime/connectors/files/file-sink-transport.ts'
import type { JobGraph } from '../../runtime/graph/job-graph.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import type { StreamGraph } from '../../runtime/graph/stream-graph.ts'
import type { TypeInformation } from '../../runtime/serde/type-information.ts'
import { sqlProgram } from '../../runtime/table/index.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { MemoryFiles } from '../support/memory-recoverable-writer.ts'

/**
 * What operators declare is what they save: a savepoint is taken while every one of them has state, and compared with its graph. Were it otherwise, a job
 * could not be started from its own savepoint, or `state plan` would be wrong.
 */
type Row = [number, number]
const sum = {
  createAccumulator: () => 0,
  add: (row: Row, acc: number) => acc + row[1],
  getResult: (acc: number) => acc,
  merge: (a: number, b: number) => a + b,
}

class EveryState {
  readonly value = new ValueStateDescriptor('value', Types.LONG)
  readonly list = new ListStateDescriptor('list', Types.STRING)
  readonly map = new MapStateDescriptor('map', Types.STRING, Types.row({ a: Types.INT }))
  readonly reducing = new ReducingStateDescriptor('reducing', (a: number, b: number) => a + b, Types.INT)
  readonly aggregating = new AggregatingStateDescriptor('aggregating', sum, Types.INT)
  readonly generic = new ValueStateDescriptor('generic', Types.GENERIC)
  private context!: RuntimeContext
  open(context: RuntimeContext) {
    this.context = context
  }
  processElement(row: Row, ctx: KeyedProcessContext<number>) {
    const { context } = this
    context.getState(this.value).update(1n)
    context.getListState(this.list).add('x')
    context.getMapState(this.map).put('k', { a: 1 })
    context.getReducingState(this.reducing).add(1)
    context.getAggregatingState(this.aggregating).add(row)
    context.getState(this.generic).update({ any: [1] })
    ctx.timerService().registerEventTimeTimer(1e15)
    ctx.timerService().registerProcessingTimeTimer(1e15)
  }
}

class Counting {
  readonly count = new ValueStateDescriptor('count', Types.INT)
  private context!: RuntimeContext
  open(context: RuntimeContext) {
    this.context = context
  }
  private next(): number {
    const state = this.context.getState(this.count)
    const next = (state.value() ?? 0) + 1
    state.update(next)
    return next
  }
  map(row: Row): Row {
    return [row[0], this.next()]
  }
  filter(_row: Row): boolean {
    return this.next() > 0
  }
  flatMap(row: Row, out: { collect(row: Row): void }) {
    this.next()
    out.collect(row)
  }
}

class CountingTwo extends Counting {
  map1(row: Row) {
    return this.map(row)
  }
  map2(row: Row) {
    return this.map(row)
  }
  flatMap1(row: Row, out: { collect(row: Row): void }) {
    this.flatMap(row, out)
  }
  flatMap2(row: Row, out: { collect(row: Row): void }) {
    this.flatMap(row, out)
  }
  processElement1(row: Row) {
    this.map(row)
  }
  processElement2(row: Row) {
    this.map(row)
  }
}

class WindowCount {
  readonly fired = new ValueStateDescriptor('fired', Types.INT)
  process(_key: number, _context: unknown, rows: Iterable<Row>, out: { collect(count: number): void }) {
    out.collect([...rows].length)
  }
}

interface Sinkable {
  addSink(sink: { invoke(): void }): unknown
}

type Keyed = ReturnType<DataStream<Row>['keyBy']>

/** What may change in a program: the type of the rows' second field, and the windows. */
interface Variant {
  readonly second: TypeInformation
  readonly window: string
}
const unchanged: Variant = { second: Types.INT, window: '1 d' }
const add = (a: Row, b: Row): Row => [a[0], a[1] + b[1]]

/** By a function, and by a field, for which there are typed tables. */
type Built = (keyed: KeyedStream<Row, number>, byField: Keyed, window: TumblingEventTimeWindows) => Sinkable
const operators: Readonly<Record<string, Built>> = {
  process: keyed => keyed.process(new EveryState()),
  map: keyed => keyed.map(new Counting()),
  filter: keyed => keyed.filter(new Counting()),
  flatMap: keyed => keyed.flatMap(new Counting()),
  reduce: keyed => keyed.reduce(add),
  'sum of typed rows': (_, byField) => byField.sum(1 as never),
  max: keyed => keyed.max(1),
  'window reduce': (keyed, _, window) => keyed.window(window).reduce(add),
  'window aggregate': (keyed, _, window) => keyed.window(window).aggregate(sum),
  'window process': (keyed, _, window) => keyed.window(window).process(new WindowCount()),
  'window sum': (_, byField, window) => byField.window(window).sum(1 as never),
  coMap: keyed => keyed.connect(keyed).map(new CountingTwo()),
  coFlatMap: keyed => keyed.connect(keyed).flatMap(new CountingTwo()),
  coProcess: keyed => keyed.connect(keyed).process(new CountingTwo() as never),
}

const dataStream =
  (name: string, { second, window }: Variant) =>
  (): StreamGraph => {
    const env = StreamExecutionEnvironment.createForProgram({ client: { 'parallelism.default': '2' } })
    const generator = new DataGeneratorSource((n): Row => [n % 7, n], {
      count: 1_000_000,
      rowsPerSecond: 50,
      type: Types.tuple(Types.INT, second) as never,
    })
    const watermarks = WatermarkStrategy.forMonotonousTimestamps<Row>().withTimestampAssigner(row => row[1])
    const rows: DataStream<Row> = env.fromSource(generator, watermarks, 'rows')
    const operator = operators[name] as NonNullable<(typeof operators)[string]>
    operator(
      rows.keyBy(row => row[0]),
      rows.keyBy(0 as never),
      TumblingEventTimeWindows.of(window),
    ).addSink({ invoke() {} })
    rows.sinkTo(FileSink.forRowFormat('/out', (row, stream) => stream.write(`${String(row)}\n`)).build())
    return env.getStreamGraph()
  }

/** With and without frames, a key, and a local aggregate in front. */
const sql =
  (setting: string, change: (text: string) => string = text => text) =>
  (): StreamGraph => {
    const env = StreamExecutionEnvironment.createForProgram({ client: { 'parallelism.default': '2' } })
    sqlProgram(
      change(`${setting}
    CREATE TABLE orders (shop INT, price DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH (
      'connector' = 'datagen', 'rows-per-second' = '100', 'fields.shop.max' = '7', 'fields.shop.min' = '0');
    CREATE TABLE sums (shop INT, e TIMESTAMP(3), n BIGINT, total DOUBLE) WITH ('connector' = 'blackhole');
    INSERT INTO sums SELECT shop, window_end, COUNT(*), SUM(price) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY shop, window_start, window_end;
    INSERT INTO sums SELECT 1, window_end, COUNT(*), MAX(price) FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY)) GROUP BY window_start, window_end;`),
      'sql',
    )(env, [])
    return env.getStreamGraph()
  }

/** With all that its operators hold in the middle of it. */
async function savepointOf(build: () => StreamGraph): Promise<{ body: CheckpointBody; jobGraph: JobGraph }> {
  const files = new MemoryFiles()
  const cluster = new EngineCluster({
    seed: 1,
    build,
    taskManagers: 1,
    slots: 2,
    suspendEverywhere: false,
    sinks: { 'file-sink': fileSinkTransport(seededRandom(1), (_path, owner) => files.writer(owner)) },
  })
  await cluster.start()
  const jobGraph = buildJobGraph(build(), { client: { 'parallelism.default': '2' } })
  const jobId = await cluster.submit(jobGraph)
  await cluster.untilRunning(jobId)
  await cluster.clock.run(5_000)
  cluster.jobManager.triggerSavepoint(jobId, { triggerId: 'a', targetDirectory: 'sim://savepoints', behind: 'go-on' })
  await cluster.clock.runUntil(() => cluster.jobManager.savepointOperation(jobId, 'a')?.kind !== 'in-progress', 600_000)
  expect(cluster.jobManager.savepointOperation(jobId, 'a')).toMatchObject({ kind: 'completed' })
  const path = cluster.paths('sim://savepoints').find(each => each.endsWith('_metadata')) ?? ''
  const body = decodeBody(decodeManifest((await cluster.stores.get('sim://savepoints')?.read(path)) ?? new Uint8Array(), path).body)
  cluster.jobManager.cancelJob(jobId)
  await cluster.untilState(jobId, 'CANCELED')
  return { body, jobGraph }
}

const rowByRow = "SET 'table.exec.columnar' = 'false';"

test.each([
  ...Object.keys(operators).map(name => [name, dataStream(name, unchanged)] as const),
  ['sql', sql('')],
  ['sql, row by row', sql(rowByRow)],
] as const)('what the operators declare is what they save, no more and no less: %s', async (_, build) => {
  const { body, jobGraph } = await savepointOf(build)
  const plan = planState(body, jobGraph)
  expect(plan.operators.map(({ name, verdict, reason }) => `${name}: ${reason ?? verdict}`).filter(text => !text.endsWith(': kept'))).toEqual([])
  expect(isRestorable(plan, false)).toBe(true)
  const idOf = ({ name, kind, type, namespace }: { name: string; kind: string; type: unknown; namespace: unknown }) =>
    canonicalJson([name, kind, type, namespace] as JsonValue)
  const saved = new Map(savedOperators(body).map(operator => [operator.entry.operatorId, operator]))
  for (const spec of jobGraph.vertices.flatMap(vertex => vertex.operators)) {
    if (spec.states.length === 0) continue
    const operator = saved.get(spec.operatorId)
    const keyed = spec.states.filter(({ namespace }) => namespace !== null)
    expect(
      (operator?.states ?? [])
        .filter(({ namespace }) => namespace !== null)
        .map(idOf)
        .toSorted(),
      spec.name,
    ).toEqual(keyed.map(idOf).toSorted())
    expect(operator?.keyType ?? null, spec.name).toEqual(spec.keyType)
  }
})

/** Operators whose state holds rows; what the others hold is of the functions' own types. */
const holdRows = ['reduce', 'sum of typed rows', 'max', 'window reduce', 'window process', 'window sum']
const windowed = Object.keys(operators).filter(name => name.startsWith('window '))
const changes: readonly (readonly [string, () => StreamGraph, () => StreamGraph, string | undefined])[] = [
  ...Object.keys(operators).map(
    name =>
      [
        `${name}, with rows of another type`,
        dataStream(name, unchanged),
        dataStream(name, { ...unchanged, second: Types.DOUBLE }),
        holdRows.includes(name) ? 'State<TUPLE<INT, INT>> and is declared as ' : undefined,
      ] as const,
  ),
  ...windowed.map(
    name =>
      [
        `${name}, with other windows`,
        dataStream(name, unchanged),
        dataStream(name, { ...unchanged, window: '2 d' }),
        'had windows TumblingEventTimeWindows(86400000) and has TumblingEventTimeWindows(172800000) now',
      ] as const,
  ),
  ...['', rowByRow].flatMap(setting =>
    (
      [
        ['a key of another type', 'shop INT', 'shop BIGINT', 'was keyed by ROW<key_0 INT'],
        ['a column of another type', 'price DOUBLE', 'price INT', 'SUM_2 DOUBLE'],
        ['another function of the same column', 'MAX(price)', 'MIN(price)', 'ROW<COUNT_0 BIGINT NOT NULL, MAX_1 DOUBLE'],
        ['other windows', "TABLE orders, DESCRIPTOR(ts), INTERVAL '1' HOUR", "TABLE orders, DESCRIPTOR(ts), INTERVAL '2' HOUR", 'had windows HOP('],
      ] as const
    ).map(
      ([what, from, to, reason]) =>
        [`sql${setting === '' ? '' : ' row by row'}, with ${what}`, sql(setting), sql(setting, text => text.replaceAll(from, to)), reason] as const,
    ),
  ),
]

test('state show has the schema of what built-in operators hold', async () => {
  const shown = async (build: () => StreamGraph) => {
    const { body } = await savepointOf(build)
    const head = { jobId: 'a'.repeat(32), generation: 1, checkpointId: 1, timestampMs: 0, nonce: '', objectsFolder: '' as const, objects: [] }
    return showState({ location: 'file:///s', objectsLocation: 'file:///s', isSavepoint: true, head, body, sizeBytes: 0 })
  }
  const window = await shown(dataStream('window sum', unchanged))
  expect(window.text).toContain('keyed by INT, windows TumblingEventTimeWindows(86400000), ')
  expect(window.text).toContain('\n  _window-contents: ValueState<TUPLE<INT, INT>>\n')
  const aggregates = await shown(sql(''))
  expect(aggregates.text).toContain('keyed by ROW<key_0 INT>, windows TUMBLE(86400000), ')
  expect(aggregates.text).toMatch(/^ {2}window-aggs: AggregatingState<ROW<key_0 INT, COUNT_1 BIGINT NOT NULL, SUM_2 DOUBLE/m)
  const { operators: shownOperators } = JSON.parse(aggregates.json) as { operators: { windows: string | null; states: { type: string }[] }[] }
  expect(shownOperators.filter(({ windows }) => windows !== null).map(({ states }) => states[0]?.type)).toEqual([
    expect.stringContaining('SUM_2 DOUBLE'),
    expect.stringContaining('MAX_1 DOUBLE'),
  ])
})

test.each(changes)('a changed program is held against what built-in operators have saved: %s', async (_, build, changed, reason) => {
  const { body } = await savepointOf(build)
  const plan = planState(body, buildJobGraph(changed(), { client: { 'parallelism.default': '2' } }))
  const incompatible = plan.operators.filter(({ verdict }) => verdict === 'incompatible')
  const reasons = incompatible.map(operator => operator.reason ?? operator.states.find(({ verdict }) => verdict === 'incompatible')?.reason)
  if (reason === undefined) expect(reasons).toEqual([])
  else expect(reasons.join()).toContain(reason)
  expect(isRestorable(plan, true)).toBe(reason === undefined)
})
