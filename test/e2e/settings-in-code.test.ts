import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { running, submit } from '../support/jobs.ts'

/** Two jobs of one session, each with settings of its own in code; the cluster and the command line say otherwise. */
const job = (settings: string) => `import * as millrace from 'millrace'
import type { StreamExecutionEnvironment } from 'millrace'
const { CheckpointingMode, DataGeneratorSource, FsStateBackend, HashMapStateBackend, MemoryStateBackend, RestartStrategies, Types, WatermarkStrategy } = millrace
export default (env: StreamExecutionEnvironment) => {
  ${settings}
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 100, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers')
    .keyBy((n: number) => n % 5).sum().print()
}
`

interface CheckpointsJson {
  readonly counts: { readonly completed: number }
  readonly latest: { readonly completed: { readonly external_path: string } | null }
}

const checkpointed = (cluster: Cluster, jobId: string) =>
  cluster.until(`/jobs/${jobId}/checkpoints`, ({ counts, latest }: CheckpointsJson) =>
    counts.completed > 0 ? latest.completed?.external_path : undefined,
  )

test('seed-XB41, seed-D2: what code says wins over configuration and command line, for each job of a session on its own, and REST shows it', async () => {
  await using cluster = await startCluster({
    taskManagers: 1,
    slots: 2,
    configuration: {
      'execution.checkpointing.interval': '1 h',
      'execution.checkpointing.tolerable-failed-checkpoints': '7',
      'restart-strategy.type': 'none',
      'state.backend.type': 'jobmanager',
    },
  })
  const directory = join(cluster.folder.path, 'of-the-first')
  const first = await submit(
    cluster,
    await cluster.folder.write(
      'first.ts',
      job(`env.enableCheckpointing(200, CheckpointingMode.AT_LEAST_ONCE)
  env.getCheckpointConfig().setCheckpointTimeout('1 min').setMinPauseBetweenCheckpoints(50).setExternalizedCheckpointRetention('RETAIN_ON_CANCELLATION')
  env.setStateBackend(new HashMapStateBackend())
  env.getCheckpointConfig().setCheckpointStorage(${JSON.stringify(`file://${directory}`)})
  env.setRestartStrategy(RestartStrategies.fixedDelayRestart(60, '10 s'))`),
    ),
    ['-D', 'execution.checkpointing.interval=2 h', '-D', 'restart-strategy.type=failure-rate'],
  )
  const second = await submit(
    cluster,
    await cluster.folder.write(
      'second.ts',
      job(`env.enableCheckpointing('300 ms')
  env.setStateBackend(new MemoryStateBackend())
  env.setRestartStrategy(RestartStrategies.failureRateRestart(3, '5 min', '10 s'))`),
    ),
    ['-D', `execution.checkpointing.dir=file://${directory}-not-used`, '-D', 'execution.checkpointing.storage=filesystem'],
  )
  await running(cluster, first)
  await running(cluster, second)

  expect(await cluster.get(`/jobs/${first}/checkpoints/config`)).toMatchObject({
    mode: 'at_least_once',
    interval: 200,
    timeout: 60_000,
    min_pause: 50,
    tolerable_failed_checkpoints: 7,
    externalization: { enabled: true, delete_on_cancellation: false },
    state_backend: 'HashMapStateBackend',
    checkpoint_storage: 'FileSystemCheckpointStorage',
  })
  expect(await cluster.get(`/jobs/${first}/config`)).toMatchObject({
    'execution-config': { 'restart-strategy': 'Restart with fixed delay (10000 ms). #60 restart attempts.' },
    'millrace-options': {
      'execution.checkpointing.interval': '200 ms',
      'execution.checkpointing.dir': `file://${directory}`,
      'execution.checkpointing.tolerable-failed-checkpoints': '7',
      'restart-strategy.type': 'fixed-delay',
      'state.backend.type': 'hashmap',
    },
  })
  expect(await cluster.get(`/jobs/${second}/checkpoints/config`)).toMatchObject({
    mode: 'exactly_once',
    interval: 300,
    timeout: 600_000,
    externalization: { enabled: false },
  })
  expect(await cluster.get(`/jobs/${second}/config`)).toMatchObject({
    'execution-config': {
      'restart-strategy': 'Failure rate restart with maximum of 3 failures within interval 300000 ms and fixed delay 10000 ms.',
    },
    'millrace-options': { 'execution.checkpointing.interval': '300 ms', 'execution.checkpointing.storage': 'jobmanager' },
  })

  // And it is what is done.
  expect(await checkpointed(cluster, first)).toMatch(new RegExp(`^file://${directory}/${first}/chk-\\d+$`))
  await checkpointed(cluster, second)
  expect(readdirSync(directory)).toEqual([first])
  await cluster.run(['cancel', first])
  await cluster.run(['cancel', second])
  // Kept, as its code says, and the other one not.
  expect(readdirSync(join(directory, first)).some(name => name.startsWith('chk-'))).toBe(true)
  await cluster.until('/jobs/overview', () => (existsSync(join(`${directory}-not-used`, second)) ? undefined : true))
})

test('a state backend that is not there is refused by its name, in code and in the configuration, before anything runs', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 1 })
  const inCode = await cluster.folder.write('code.ts', job('env.setStateBackend(new (millrace as any).EmbeddedRocksDBStateBackend(true))'))
  const refused = await cluster.run(['run', '-d', inCode])
  expect(refused).toMatchObject({ code: 1 })
  expect(refused.stderr).toMatch(/EmbeddedRocksDBStateBackend: RocksDB is not supported yet: state lives on the heap/)
  const configured = await cluster.run(['run', '-d', '-D', 'state.backend.type=rocksdb', await cluster.folder.write('plain.ts', job(''))])
  expect(configured).toMatchObject({ code: 1 })
  expect(configured.stdout).toMatch(/option state\.backend\.type: RocksDB is not supported yet/)
  expect(await cluster.get('/jobs')).toEqual({ jobs: [] })
})
