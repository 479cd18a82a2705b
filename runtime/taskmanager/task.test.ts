import { describe, expect, test } from 'vitest'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import type { InputGate } from '../network/io.ts'
import type { OperatorChain } from '../stream/chain.ts'
import type { SourceHeadOperator } from '../stream/operators/source-operator.ts'
import { Task } from './task.ts'

/** The order of barriers and everything else; what tasks do with rows is held by tests of whole jobs. */
const barrier = (checkpointId: number): CheckpointBarrier => ({ checkpointId, timestampMs: 0, type: 'checkpoint' })

/** A chain that does nothing but tell. */
class QuietChain {
  readonly log: string[]
  commitsOnCheckpoint = false
  ended = false
  /** Whether operators are ready for a barrier, and done with committing. */
  ready = true
  blockers = 0
  inputAt = { kind: 'nowhere' }
  currentRow = 0

  constructor(log: string[]) {
    this.log = log
  }

  async open(): Promise<void> {
    this.log.push('open')
  }
  endAtOnce(): void {
    this.log.push('end at once')
    this.ended = true
  }
  snapshot({ checkpointId }: CheckpointBarrier): unknown[] {
    this.log.push(`snapshot ${checkpointId}`)
    return []
  }
  notifyCheckpoint(checkpointId: number, outcome: string): void {
    this.log.push(`${outcome} ${checkpointId}`)
  }
  prepareSnapshot(): boolean {
    return this.ready
  }
  commitsDone(): boolean {
    return this.ready
  }
  isEnded(): boolean {
    return this.ended
  }
  drainOutputs(): boolean {
    return true
  }
  advance(): boolean {
    return true
  }
  fireTimers(): boolean {
    return true
  }
  hasVisits(): boolean {
    return false
  }
  isFull(): boolean {
    return false
  }
  runSource(): 'nothing' {
    return 'nothing'
  }
  pollAsyncHalves(): void {}
  writeAhead(): boolean {
    return false
  }
  flushOutputs(): void {}
  async close(): Promise<undefined> {
    return undefined
  }
}

function taskOf(options: {
  readonly gate?: { isFinished: boolean }
  readonly checkpointing?: boolean
  readonly restoredFinished?: boolean
  commits?: boolean
}) {
  const log: string[] = []
  const chain = new QuietChain(log)
  chain.commitsOnCheckpoint = options.commits ?? false
  const gate =
    options.gate === undefined ? undefined : Object.assign(options.gate, { poll: () => undefined, abortCheckpoint: () => {}, close: () => {} })
  const task = new Task({
    executionId: 'e',
    name: 'task',
    depth: 0,
    chain: chain as unknown as OperatorChain,
    gate: gate as InputGate | undefined,
    channelNames: [],
    source: options.gate === undefined ? ({} as SourceHeadOperator) : undefined,
    clock: new SimulatedClock(),
    hooks: {
      state: (_task, state) => void log.push(state),
      acknowledge: (_task, { checkpointId }) => void log.push(`acknowledge ${checkpointId}`),
      awaitsCheckpoint: () => void log.push('awaits a checkpoint'),
    },
    bufferTimeoutMs: 100,
    suspendEverywhere: false,
    checkpointingEnabled: options.checkpointing ?? true,
    restoredFinished: options.restoredFinished ?? false,
  })
  /** What was logged since the last time. */
  const resumed = () => {
    task.resume()
    return log.splice(0)
  }
  return { task, chain, log, resumed, gate }
}

describe('a source', () => {
  test('splits behind a barrier are handed over when it was taken, those in front of it and without one at once', async () => {
    const { task, chain, log, resumed } = taskOf({})
    await task.open()
    log.length = 0
    const split = (name: string) => task.inOrderWithBarriers(() => log.push(name))
    split('a')
    expect(log.splice(0)).toEqual(['a'])
    chain.ready = false
    task.requestCheckpoint(barrier(1))
    split('b')
    task.requestCheckpoint(barrier(2))
    split('c')
    expect(resumed()).toEqual([])
    split('d')
    chain.ready = true
    expect(resumed()).toEqual(['snapshot 1', 'acknowledge 1', 'b', 'snapshot 2', 'acknowledge 2', 'c', 'd'])
  })

  test('a checkpoint that was given up is not taken, and holds back no splits', async () => {
    const { task, chain, log, resumed } = taskOf({})
    await task.open()
    log.length = 0
    chain.ready = false
    task.requestCheckpoint(barrier(1))
    task.inOrderWithBarriers(() => log.push('a'))
    expect(resumed()).toEqual([])
    task.notifyCheckpoint(1, 'aborted')
    chain.ready = true
    expect(resumed()).toEqual(['aborted 1', 'a'])
  })
})

describe('a task behind others', () => {
  test('takes the barrier that the coordinator sends it when it has read all of its input', async () => {
    const { task, log, resumed, gate } = taskOf({ gate: { isFinished: false } })
    await task.open()
    log.length = 0
    task.requestCheckpoint(barrier(1))
    expect(resumed()).toEqual([])
    if (gate !== undefined) gate.isFinished = true
    expect(resumed()).toEqual(['snapshot 1', 'acknowledge 1'])
  })

  test('whose operators commit ends when a checkpoint taken behind its end is complete and committed', async () => {
    const { task, chain, log, resumed } = taskOf({ gate: { isFinished: true }, commits: true })
    await task.open()
    task.requestCheckpoint(barrier(1))
    resumed()
    log.length = 0
    chain.ended = true
    expect(resumed()).toEqual(['awaits a checkpoint'])
    // From before its end.
    task.notifyCheckpoint(1, 'complete')
    expect(resumed()).toEqual(['complete 1'])
    task.requestCheckpoint(barrier(2))
    expect(resumed()).toEqual(['snapshot 2', 'acknowledge 2'])
    chain.ready = false
    task.notifyCheckpoint(2, 'complete')
    expect(resumed()).toEqual(['complete 2'])
    chain.ready = true
    task.resume()
    await expect.poll(() => log).toEqual(['FINISHED'])
  })

  test.each([
    ['without checkpoints', { checkpointing: false, commits: true }],
    ['without operators that commit', { commits: false }],
  ])('%s ends when its input does', async (_what, options) => {
    const { task, chain, log } = taskOf({ gate: { isFinished: true }, ...options })
    await task.open()
    chain.ended = true
    task.resume()
    await expect.poll(() => log.at(-1)).toBe('FINISHED')
  })

  test('that had finished when the checkpoint was taken opens nothing, reads what is left of its input, and passes the end on', async () => {
    const { task, log, resumed, gate } = taskOf({ gate: { isFinished: false }, commits: true, restoredFinished: true })
    await task.open()
    expect(log.splice(0)).toEqual(['INITIALIZING', 'end at once', 'RUNNING'])
    expect(resumed()).toEqual([])
    if (gate !== undefined) gate.isFinished = true
    task.resume()
    await expect.poll(() => log).toEqual(['FINISHED'])
  })
})
