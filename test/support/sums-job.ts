import { expect } from 'vitest'
import {
  type Collector,
  DataGeneratorSource,
  type DataStream,
  type KeyedProcessContext,
  type OwnStateBackend,
  type RuntimeContext,
  StreamExecutionEnvironment,
  Types,
  type ValueState,
  ValueStateDescriptor,
  WatermarkStrategy,
} from '../../runtime/api/index.ts'
import { assert } from '../../runtime/common/assert.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import type { Random } from '../../runtime/common/random.ts'
import { FileSink } from '../../runtime/connectors/files/file-sink.ts'
import { fileSinkTransport } from '../../runtime/connectors/files/file-sink-transport.ts'
import { DefaultRollingPolicy, OnCheckpointRollingPolicy } from '../../runtime/connectors/files/rolling-policies.ts'
import type { StreamGraph } from '../../runtime/graph/stream-graph.ts'
import { CommittedRows, CommittingSink } from './committing-sink.ts'
import type { EngineClusterOptions } from './engine-cluster.ts'
import { MemoryFiles } from './memory-recoverable-writer.ts'
import { OwnCommits, OwnNumbers } from './own-functions.ts'

/** A job that shows exactly once: numbers, a sum per key in keyed state, and a transactional sink. Each running sum is to be seen once, whatever happened. */
const keyCount = 7

/** What others can see of a job's results: a text a row. */
export interface Outside {
  readonly rows: readonly string[]
  write(results: DataStream<[number, number]>): void
  /** Default: the data generator. */
  read?(env: StreamExecutionEnvironment, job: SumsJob, clock: Clock): DataStream<number>
  readonly sinks: NonNullable<EngineClusterOptions['sinks']>
}

export const outsides = {
  'a sink in memory': (_random?: Random, committed = new CommittedRows()): Outside => {
    return {
      get rows() {
        return committed.rows
      },
      write: results => void results.sinkTo(new CommittingSink(committed)),
      sinks: {},
    }
  },
  "a user's own functions, from end to end": (_random?: Random, committed = new CommittedRows()): Outside => {
    return {
      get rows() {
        return committed.rows
      },
      read: (env, { count, rowsPerSecond }, clock) => env.addSource(new OwnNumbers(count, rowsPerSecond, clock), 'numbers', Types.INT),
      write: results => void results.addSink(new OwnCommits(committed)),
      sinks: {},
    }
  },
  'the file sink': (random: Random): Outside => {
    const files = new MemoryFiles()
    const bySize = DefaultRollingPolicy.builder()
      .withMaxPartSize(1 + random.nextInt(500))
      .build()
    const policy = [OnCheckpointRollingPolicy.build(), DefaultRollingPolicy.builder().build(), bySize][random.nextInt(3)] as DefaultRollingPolicy
    return {
      get rows() {
        return Object.values(files.visible()).flatMap(text => text.split('\n').slice(0, -1))
      },
      write: results =>
        void results.sinkTo(
          FileSink.forRowFormat('/out', (row, stream) => stream.write(`${JSON.stringify(row)}\n`))
            .withBucketAssigner(row => `key-${(row as [number, number])[0]}`)
            .withRollingPolicy(policy)
            .build(),
        ),
      sinks: { 'file-sink': fileSinkTransport(random, (_path, owner) => files.writer(owner)) },
    }
  },
}

export interface SumsJob {
  readonly client: Readonly<Record<string, string>>
  readonly count: number
  readonly rowsPerSecond: number
  readonly outside: Outside
  /** Default: the heap. */
  readonly stateBackend?: OwnStateBackend
}

/** `clock` for functions that wait by themselves. */
export function buildSums(job: SumsJob, clock?: Clock): StreamGraph {
  const env = StreamExecutionEnvironment.createForProgram({ client: job.client })
  if (job.stateBackend !== undefined) env.setStateBackend(job.stateBackend)
  const numbers = numbersOf(env, job, clock)
  job.outside.write(numbers.keyBy((value: number) => value % keyCount).process(new RunningSum()))
  return env.getStreamGraph()
}

function numbersOf(env: StreamExecutionEnvironment, job: SumsJob, clock: Clock | undefined): DataStream<number> {
  const { count, rowsPerSecond, outside } = job
  if (outside.read !== undefined) {
    assert(clock !== undefined, 'a source of its own waits on the clock of the cluster')
    return outside.read(env, job, clock)
  }
  const generator = new DataGeneratorSource(index => index + 1, { count, rowsPerSecond, type: Types.INT })
  return env.fromSource(generator, WatermarkStrategy.noWatermarks(), 'numbers')
}

class RunningSum {
  readonly sum = new ValueStateDescriptor('sum', Types.LONG)

  private state!: ValueState<bigint>

  open(context: RuntimeContext): void {
    this.state = context.getState(this.sum)
  }

  processElement(value: number, _ctx: KeyedProcessContext<number>, out: Collector<[number, number]>): void {
    const next = (this.state.value() ?? 0n) + BigInt(value)
    this.state.update(next)
    out.collect([value % keyCount, Number(next)])
  }
}

export function expectSums({ outside, count }: SumsJob): void {
  // Of a key the rows come in any order of several subtasks; what a sum is made of depends on it, but not the last one, nor their number.
  const byKey = Map.groupBy(
    outside.rows.map(row => JSON.parse(row) as [number, number]),
    ([key]) => key,
  )
  for (let key = 0; key < keyCount; key++) {
    const values = Array.from({ length: count }, (_, i) => i + 1).filter(value => value % keyCount === key)
    const sums = (byKey.get(key) ?? []).map(([, sum]) => sum)
    expect(sums.length, `results of key ${key}`).toBe(values.length)
    expect(new Set(sums).size, `different results of key ${key}`).toBe(values.length)
    expect(Math.max(...sums), `last sum of key ${key}`).toBe(values.reduce((a, b) => a + b, 0))
  }
}
