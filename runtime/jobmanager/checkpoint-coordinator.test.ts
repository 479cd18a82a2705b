import { describe, expect, test } from 'vitest'
import { SimClock } from '../../test/support/sim-clock.ts'
import { simJobGraph } from '../../test/support/sim-cluster.ts'
import { createMemoryStore } from '../checkpoint/storage/memory-store.ts'
import type { ObjectStore } from '../checkpoint/storage/object-store.ts'
import { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { noLog } from '../common/log.ts'
import { seededRandom } from '../common/random.ts'
import { createExecutionGraph } from '../graph/execution-graph.ts'
import { CheckpointCoordinator } from './checkpoint-coordinator.ts'
import { checkpointSettings } from './checkpoint-settings.ts'

/** The shell alone: what it does with the store, and when. When checkpoints are taken is the core's, and held by its tests. */
const configuration = { 'execution.checkpointing.interval': '1 s', 'execution.checkpointing.dir': 'sim://store' }
const jobGraph = { ...simJobGraph('job', [{ name: 'work', parallelism: 2 }]), configuration }
const jobId = 'c'.repeat(32)

function coordinatorOver(store: ObjectStore) {
  const clock = new SimClock()
  const told: string[] = []
  const failures: FlinkError[] = []
  const settings = checkpointSettings(Configuration.fromObject(configuration))
  const coordinator = new CheckpointCoordinator(jobId, jobGraph, settings, {
    clock,
    random: seededRandom(1),
    log: noLog,
    generation: 1,
    incarnation: 'this one',
    openStore: async () => store,
    snapshotEnumerators: () => new Map(),
    trigger: (executionIds, { checkpointId }) => void told.push(`trigger ${checkpointId} ${executionIds.join()}`),
    notify: (executionIds, id, outcome) => void told.push(`${outcome} ${id} ${executionIds.join()}`),
    failJob: error => void failures.push(error),
  })
  let next = 0
  const graph = (attempt: number) => createExecutionGraph(jobId, jobGraph, { attempt, nowMs: 0, newExecutionId: () => `e${next++}` })
  const begin = (attempt: number) => {
    const made = graph(attempt)
    coordinator.start(made)
    coordinator.allRunning()
    return made.executions.map(({ executionId }) => executionId)
  }
  return { coordinator, clock, told, failures, graph, begin }
}

describe('an attempt', () => {
  test('awaits what is being published by the one before, and begins with it', async () => {
    const inner = createMemoryStore()
    const written = Promise.withResolvers<void>()
    const calls: string[] = []
    const store: ObjectStore = {
      ...inner,
      create: async (path, bytes) => {
        calls.push(path)
        if (path.endsWith('_metadata')) await written.promise
        return inner.create(path, bytes)
      },
    }
    const { coordinator, clock, told, begin } = coordinatorOver(store)
    expect(await coordinator.restore(jobGraph)).toBeUndefined()
    const [a = '', b = ''] = begin(0)
    await clock.run(1_000)
    expect(told).toEqual([`trigger 1 ${a},${b}`])
    for (const executionId of [a, b]) coordinator.acknowledge(executionId, 1, { operators: [], kept: [] })
    await clock.run(10)
    coordinator.stop()
    const callsBefore = calls.length
    let restored: number | undefined
    const restoring = coordinator.restore(jobGraph).then(plan => {
      restored = plan?.checkpointId
    })
    await clock.run(1_000)
    // No takeover, no answer.
    expect([calls.length, restored]).toEqual([callsBefore, undefined])
    written.resolve()
    await restoring
    expect(restored).toBe(1)
    // Those that run on are told; ids go on behind it.
    expect(told).toEqual([`trigger 1 ${a},${b}`, `complete 1 ${a},${b}`])
    begin(1)
    await clock.run(1_000)
    expect(told.at(-1)).toMatch(/^trigger 2 /)
  })

  test('takes what was asked for while the one before it was on its way', async () => {
    const { coordinator, clock, told, graph, begin } = coordinatorOver(createMemoryStore())
    await coordinator.restore(jobGraph)
    coordinator.start(graph(0))
    const requested = coordinator.requestCheckpoint()
    // Another region of it begins again.
    const ids = begin(1)
    await clock.run(100)
    expect(told).toEqual([`trigger 1 ${ids.join()}`])
    for (const executionId of ids) coordinator.acknowledge(executionId, 1, { operators: [], kept: [] })
    await clock.run(100)
    expect(await requested).toMatchObject({ kind: 'completed', id: 1 })
  })

  test('of neighbours of which some have finished, the barrier begins at those in front of whom nobody runs', () => {
    const { coordinator, clock, told } = coordinatorOver(createMemoryStore())
    const graph = simJobGraph('job', [
      { name: 'source', parallelism: 2 },
      { name: 'sink', parallelism: 2 },
    ])
    const neighbours = { ...graph, configuration, edges: graph.edges.map(edge => ({ ...edge, partitioner: 'FORWARD' as const })) }
    let next = 0
    coordinator.start(createExecutionGraph(jobId, neighbours, { attempt: 0, nowMs: 0, newExecutionId: () => `e${next++}` }))
    coordinator.taskFinished('e0')
    coordinator.allRunning()
    return clock.run(1_000).then(() => expect(told).toEqual(['trigger 1 e1,e2']))
  })

  test('tells tasks of a complete checkpoint only when it is claimed, and the job when too many have failed', async () => {
    const store = createMemoryStore()
    const { coordinator, clock, told, failures, begin } = coordinatorOver(store)
    await coordinator.restore(jobGraph)
    const ids = begin(0)
    await clock.run(1_000)
    for (const executionId of ids) coordinator.acknowledge(executionId, 1, { operators: [], kept: [] })
    await clock.run(100)
    expect(told.at(-1)).toBe(`complete 1 ${ids.join()}`)
    expect(store.paths().filter(path => path.includes('/epochs/'))).toHaveLength(1)
    await clock.run(1_000)
    coordinator.decline(ids[0] ?? '', 2, { name: 'FlinkError', code: 'EXTERNAL_SYSTEM', message: 'disk full', stack: '', cause: undefined })
    expect(failures.map(({ message, cause }) => [message.slice(0, 52), (cause as Error).message])).toEqual([
      ['Exceeded checkpoint tolerable failure threshold. 1 i', 'disk full'],
    ])
  })
})

describe('what is wrong', () => {
  const acknowledgeAll = async ({ coordinator, clock }: ReturnType<typeof coordinatorOver>, ids: readonly string[], id: number) => {
    for (const executionId of ids) coordinator.acknowledge(executionId, id, { operators: [], kept: [] })
    await clock.run(100)
  }

  test('is said since the first failure, until one is completed', async () => {
    const made = coordinatorOver(createMemoryStore())
    const { coordinator, clock, begin } = made
    await coordinator.restore(jobGraph)
    const ids = begin(0)
    await clock.run(1_000)
    expect(coordinator.problem).toBeUndefined()
    coordinator.decline(ids[0] ?? '', 1, { name: 'FlinkError', code: 'EXTERNAL_SYSTEM', message: 'disk full', stack: '', cause: undefined })
    const problem = coordinator.problem ?? ''
    expect(problem).toMatch(/^checkpoints fail since 2023-11-14T[\d:.]+Z: a task could not take it: disk full$/)
    // It restarts for it.
    coordinator.stop()
    await coordinator.restore(jobGraph)
    const next = begin(1)
    await clock.run(1_000)
    expect(coordinator.problem).toBe(problem)
    await acknowledgeAll(made, next, 2)
    expect(coordinator.problem).toBeUndefined()
  })

  test('is what the store says, while it is asked again', async () => {
    const inner = createMemoryStore()
    let isAway = false
    const store: ObjectStore = {
      ...inner,
      create: async (path, bytes) => {
        if (isAway && path.includes('/epochs/')) throw new FlinkError('EXTERNAL_SYSTEM', 'connect ECONNREFUSED')
        return inner.create(path, bytes)
      },
    }
    const made = coordinatorOver(store)
    const { coordinator, clock, told, begin } = made
    await coordinator.restore(jobGraph)
    const ids = begin(0)
    await clock.run(1_000)
    isAway = true
    await acknowledgeAll(made, ids, 1)
    expect(coordinator.problem).toBe('the checkpoint store does not answer: connect ECONNREFUSED')
    isAway = false
    await clock.run(10_000)
    expect(told).toContain(`complete 1 ${ids.join()}`)
    expect(coordinator.problem).toBeUndefined()
  })
})

describe('the end of the job', () => {
  const paths = async (retention: string, end: 'FINISHED' | 'FAILED' | 'CANCELED') => {
    const store = createMemoryStore()
    const settings = checkpointSettings(
      Configuration.fromObject({ ...configuration, 'execution.checkpointing.externalized-checkpoint-retention': retention }),
    )
    const coordinator = new CheckpointCoordinator(jobId, jobGraph, settings, {
      clock: new SimClock(),
      random: seededRandom(1),
      log: noLog,
      generation: 1,
      incarnation: 'this one',
      openStore: async () => store,
      snapshotEnumerators: () => new Map(),
      trigger: () => {},
      notify: () => {},
      failJob: () => {},
    })
    await coordinator.takeOver()
    await coordinator.close({ state: end, savepoint: null })
    return store.paths().length > 0
  }

  test.each([
    ['NO_EXTERNALIZED_CHECKPOINTS', false, false, false],
    ['DELETE_ON_CANCELLATION', false, true, false],
    ['RETAIN_ON_CANCELLATION', false, true, true],
  ] as const)('%s: what is kept of one that has FINISHED, FAILED, was CANCELED', async (retention, ...kept) => {
    const found = await Promise.all((['FINISHED', 'FAILED', 'CANCELED'] as const).map(end => paths(retention, end)))
    expect(found).toEqual(kept)
  })
})

describe('settings', () => {
  const settings = (more: Readonly<Record<string, string>>) => checkpointSettings(Configuration.fromObject(more)).coordinator

  test("Flink's defaults", () => {
    expect(settings({ 'execution.checkpointing.interval': '3 s' })).toEqual({
      intervalMs: 3_000,
      timeoutMs: 600_000,
      minPauseMs: 0,
      maxConcurrent: 1,
      tolerableFailures: 0,
      retainedMax: 1,
    })
    expect([settings({}).intervalMs, settings({ 'execution.checkpointing.interval': '0' }).intervalMs]).toEqual([undefined, undefined])
  })

  test('a pause between checkpoints means one at a time, as in Flink', () => {
    const more = { 'execution.checkpointing.interval': '1 s', 'execution.checkpointing.max-concurrent-checkpoints': '3' }
    expect(settings(more).maxConcurrent).toBe(3)
    expect(settings({ ...more, 'execution.checkpointing.min-pause': '1 s' }).maxConcurrent).toBe(1)
  })

  test.each([
    ['execution.checkpointing.max-concurrent-checkpoints', '0', 'expected a number from 1, got 0'],
    ['execution.checkpointing.num-retained', '0', 'expected a number from 1, got 0'],
    ['execution.checkpointing.tolerable-failed-checkpoints', '-1', 'expected a number from 0, got -1'],
    ['execution.checkpointing.timeout', '1 ms', 'expected a number from 10, got 1'],
    ['execution.checkpointing.storage', 'filesystem', 'filesystem needs execution.checkpointing.dir'],
  ])('%s: %s is refused with its key', (key, value, message) => {
    expect(() => settings({ 'execution.checkpointing.interval': '1 s', [key]: value })).toThrow(`option ${key}: ${message}`)
  })
})
