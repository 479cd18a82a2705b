import { expect, test } from 'vitest'
import {
  DataGeneratorSource,
  type KeyedProcessContext,
  type RuntimeContext,
  StreamExecutionEnvironment,
  Types,
  type ValueState,
  ValueStateDescriptor,
  WatermarkStrategy,
} from '../../runtime/api/index.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'

const keyCount = 7

/** A number and a timer a key; the timer is never due. */
class Latest {
  readonly last = new ValueStateDescriptor('last', Types.LONG)
  private state!: ValueState<bigint>

  open(context: RuntimeContext): void {
    this.state = context.getState(this.last)
  }

  processElement(value: number, context: KeyedProcessContext<number>): void {
    this.state.update(BigInt(value))
    context.timerService().registerProcessingTimeTimer(Number.MAX_SAFE_INTEGER)
  }
}

test('gauges say how many entries the state of an operator has, and how many bytes its last snapshot', async () => {
  const client = {
    'parallelism.default': '2',
    'execution.checkpointing.interval': '500 ms',
    'execution.checkpointing.dir': 'sim://checkpoints',
    'metrics.fetcher.update-interval': '100 ms',
  }
  const build = () => {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    env
      .fromSource(new DataGeneratorSource(index => index, { rowsPerSecond: 100, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers')
      .keyBy(value => value % keyCount, Types.INT)
      .process(new Latest())
      .name('latest')
      .print()
    return env.getStreamGraph()
  }
  const cluster = new EngineCluster({ seed: 1, build, taskManagers: 1, slots: 2, suspendEverywhere: false })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(build(), { client }))
  const gauges = () =>
    cluster.jobManager
      .jobDetails(jobId)
      ?.vertices.flatMap(({ operators }) => operators)
      .find(({ name }) => name === 'latest')?.metrics
  expect(await cluster.clock.runUntil(() => (gauges()?.['stateBytes'] ?? 0) > 0, 60_000)).toBe(true)
  await cluster.clock.run(60_000)
  // Of all subtasks together: a value and a timer for each key.
  expect(gauges()?.['stateEntries']).toBe(2 * keyCount)
  // A key of 4 bytes with a value of 8, and with a time of 8, at least.
  expect(gauges()?.['stateBytes']).toBeGreaterThanOrEqual(keyCount * (4 + 8 + 4 + 8))
  expect(gauges()?.['stateBytes']).toBeLessThan(keyCount * 100)
})
