import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError, type SerializedError, serializeError } from '../../runtime/common/errors.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { ArtifactRef, SlotDeployment, TaskDeployment } from '../../runtime/graph/deployment.ts'
import type { JobEdge } from '../../runtime/graph/job-graph.ts'
import type { ResultSize } from '../../runtime/network/task-result.ts'
import type { SourceSplit } from '../../runtime/stream/spi/source.ts'
import type { SlotEvent, SlotHost, SlotWiring, TaskMetricsSnapshot } from '../../runtime/taskmanager/slot-host.ts'
import type { SlotHostFactory } from '../../runtime/taskmanager/slot-host-factory.ts'

/** How the tasks of a job behave; stands in the options of each vertex's head operator. */
export type TaskScript = {
  /** Non-sources: when to finish; null = runs until it is cancelled. Sources finish after their last split. */
  readonly finishAfterMs: number | null
  /** Subtask that fails, or null. */
  readonly failSubtask: number | null
  readonly failAfterMs: number
  /** Ignores cancel: must be terminated. */
  readonly stuck: boolean
}

/** What the fake hosts of a whole cluster saw; `violations` must stay empty. */
export class SimLedger {
  readonly violations: string[] = []
  /** `jobId#attempt` -> splitId -> how often a reader got it. */
  readonly splits = new Map<string, Map<string, number>>()
  /** `jobId#attempt` -> slots that were deployed. */
  readonly deployments = new Map<string, SlotDeployment[]>()

  recordSplit(attemptId: string, splitId: string): void {
    const attempt = this.splits.get(attemptId) ?? new Map<string, number>()
    attempt.set(splitId, (attempt.get(splitId) ?? 0) + 1)
    this.splits.set(attemptId, attempt)
  }

  recordDeployment(deployment: SlotDeployment): void {
    const attemptId = attemptIdOf(deployment)
    this.deployments.set(attemptId, [...(this.deployments.get(attemptId) ?? []), deployment])
    const vertices = deployment.tasks.map(task => task.vertex.id)
    if (new Set(vertices).size !== vertices.length) this.violations.push(`slot ${deployment.allocationId} holds two subtasks of one vertex`)
    const groups = new Set(deployment.tasks.map(task => task.vertex.slotSharingGroup))
    if (groups.size > 1) this.violations.push(`slot ${deployment.allocationId} holds two sharing groups`)
  }
}

export function attemptIdOf({ jobId, attempt }: { readonly jobId: string; readonly attempt: number }): string {
  return `${jobId}#${attempt}`
}

/** Makes hosts whose tasks follow a script instead of running code. */
export class FakeSlotHostFactory implements SlotHostFactory {
  readonly dataHost: string
  readonly dataPort = 7000
  readonly hardware = { cpuCores: 2, physicalMemoryBytes: 8e9, freeMemoryBytes: 4e9, managedMemoryBytes: 0, networkMemoryBytes: 64e6 }
  readonly live = new Map<number, FakeSlotHost>()
  readonly wired = new Set<string>()
  /** Blocking results, by execution. */
  readonly results = new Map<string, 'written' | 'finished'>()
  private readonly clock: Clock
  private readonly random: Random
  private readonly ledger: SimLedger

  constructor(taskManagerId: string, clock: Clock, random: Random, ledger: SimLedger) {
    this.dataHost = `${taskManagerId}.test`
    this.clock = clock
    this.random = random
    this.ledger = ledger
  }

  create(slotIndex: number, onEvent: (event: SlotEvent) => void): SlotHost {
    if (this.live.has(slotIndex)) this.ledger.violations.push(`slot ${slotIndex} of ${this.dataHost} has two hosts`)
    const host = new FakeSlotHost(this.clock, this.random, this.ledger, onEvent, () => {
      if (this.live.get(slotIndex) === host) this.live.delete(slotIndex)
    })
    this.live.set(slotIndex, host)
    return host
  }

  wire(deployment: SlotDeployment): SlotWiring {
    const key = wiringKey(deployment)
    if (this.wired.has(key)) this.ledger.violations.push(`${key} was wired twice`)
    this.wired.add(key)
    for (const { executionId, outputs } of deployment.tasks) if (outputs.some(isBlocking)) this.results.set(executionId, 'written')
    for (const { channelId, peer } of deployment.tasks.flatMap(({ inputs }) => inputs.filter(isBlocking)).flatMap(({ channels }) => channels)) {
      const [, executionId = ''] = channelId.split('@')
      if (peer.kind === 'result' && this.results.get(executionId) !== 'finished')
        this.ledger.violations.push(`the result of ${channelId} is ${this.results.get(executionId)} on ${this.dataHost} when its reader is deployed`)
    }
    return { channels: {}, io: null }
  }

  release(deployment: SlotDeployment): void {
    const key = wiringKey(deployment)
    if (!this.wired.delete(key)) this.ledger.violations.push(`${key} was released without being wired`)
  }

  finishResult(executionId: string): Promise<ResultSize> {
    return new Promise(resolve =>
      this.clock.schedule(this.random.next() * 100, () => {
        if (this.results.has(executionId)) this.results.set(executionId, 'finished')
        resolve({ memoryBytes: 1, diskBytes: 0 })
      }),
    )
  }

  releaseResults(executionIds: readonly string[]): void {
    for (const executionId of executionIds) this.results.delete(executionId)
  }

  ensureArtifact(ref: ArtifactRef): Promise<string> {
    return new Promise(resolve => this.clock.schedule(this.random.next() * 200, () => resolve(`/artifacts/${ref.digest}`)))
  }

  metrics(): Readonly<Record<string, number>> {
    return {}
  }

  async readStdout(maxBytes: number): Promise<string> {
    return `stdout of ${this.dataHost}`.slice(-maxBytes)
  }
}

function wiringKey({ jobId, region, attempt, allocationId }: SlotDeployment): string {
  return `${jobId}/${region}/${attempt}/${allocationId}`
}

function isBlocking({ edge }: { readonly edge: JobEdge }): boolean {
  return edge.exchange === 'blocking'
}

interface FakeTask {
  readonly attemptId: string
  readonly deployment: TaskDeployment
  readonly script: TaskScript
  readonly sourceOperatorId: string | undefined
  /** Until the end of the split in hand. */
  busy: boolean
  noMore: boolean
  readonly splits: SourceSplit[]
  ended: boolean
  records: number
}

class FakeSlotHost implements SlotHost {
  private readonly clock: Clock
  private readonly random: Random
  private readonly ledger: SimLedger
  private readonly onEvent: (event: SlotEvent) => void
  private readonly onGone: () => void
  private readonly tasks = new Map<string, FakeTask>()
  private jobId = ''
  private gone = false

  constructor(clock: Clock, random: Random, ledger: SimLedger, onEvent: (event: SlotEvent) => void, onGone: () => void) {
    this.clock = clock
    this.random = random
    this.ledger = ledger
    this.onEvent = onEvent
    this.onGone = onGone
  }

  deploy(deployment: SlotDeployment): void {
    this.ledger.recordDeployment(deployment)
    this.jobId = deployment.jobId
    for (const task of deployment.tasks) {
      const head = task.vertex.operators[0]
      const source = task.vertex.operators.find(operator => operator.source !== undefined)
      const fake: FakeTask = {
        attemptId: attemptIdOf(deployment),
        deployment: task,
        // Written by simJobGraph.
        script: head?.options as unknown as TaskScript,
        sourceOperatorId: source?.operatorId,
        busy: false,
        noMore: false,
        splits: [],
        ended: false,
        records: 0,
      }
      this.tasks.set(task.executionId, fake)
      this.soon(20, () => this.state(fake, 'INITIALIZING'))
      this.soon(60, () => this.startTask(fake), 20)
    }
  }

  cancel(executionIds: readonly string[]): void {
    for (const executionId of executionIds) {
      const task = this.tasks.get(executionId)
      if (task?.script.stuck === false) this.soon(300, () => this.end(task, 'CANCELED'))
    }
  }

  addSplits(executionId: string, operatorId: string, splits: readonly SourceSplit[]): void {
    const task = this.tasks.get(executionId)
    if (task === undefined || task.sourceOperatorId !== operatorId) {
      this.ledger.violations.push(`splits for ${executionId}/${operatorId}, which is not in this slot`)
      return
    }
    for (const split of splits) this.ledger.recordSplit(task.attemptId, split.splitId)
    task.splits.push(...splits)
    this.work(task)
  }

  noMoreSplits(executionId: string): void {
    const task = this.tasks.get(executionId)
    if (task === undefined) return
    task.noMore = true
    this.work(task)
  }

  /** All tasks of the job fail, within 50 ms. */
  fail(jobId: string, error: FlinkError): void {
    if (jobId !== this.jobId) return
    for (const task of this.tasks.values()) this.soon(50, () => this.end(task, 'FAILED', serializeError(error)))
  }

  triggerCheckpoint(): void {
    this.ledger.violations.push('a checkpoint was triggered')
  }

  notifyCheckpoint(): void {
    this.ledger.violations.push('a checkpoint was told of')
  }

  returnMemory(): void {
    this.ledger.violations.push('memory of a checkpoint was returned')
  }

  terminate(): Promise<void> {
    return new Promise(resolve =>
      this.clock.schedule(this.random.next() * 100, () => {
        if (!this.gone) {
          this.gone = true
          this.onGone()
          this.onEvent({ kind: 'exited', error: undefined })
        }
        resolve()
      }),
    )
  }

  metrics(): readonly TaskMetricsSnapshot[] {
    return [...this.tasks.values()].map(task => ({
      executionId: task.deployment.executionId,
      task: { numRecordsOut: task.records },
      operators: {},
    }))
  }

  private startTask(task: FakeTask): void {
    this.state(task, 'RUNNING')
    const { script, deployment } = task
    if (script.failSubtask === deployment.subtaskIndex) {
      const error = serializeError(new FlinkError('USER_FUNCTION', 'the script says fail'))
      this.soon(0, () => this.end(task, 'FAILED', error), script.failAfterMs)
    }
    if (task.sourceOperatorId !== undefined) this.soon(10, () => this.requestSplit(task))
    else if (script.finishAfterMs !== null) this.soon(0, () => this.end(task, 'FINISHED'), script.finishAfterMs)
  }

  private work(task: FakeTask): void {
    if (task.busy || task.ended) return
    const split = task.splits.shift()
    if (split === undefined) {
      if (task.noMore && task.script.finishAfterMs !== null) this.soon(10, () => this.end(task, 'FINISHED'))
      return
    }
    task.busy = true
    this.soon(400, () => {
      task.busy = false
      task.records++
      this.requestSplit(task)
      this.work(task)
    })
  }

  private requestSplit(task: FakeTask): void {
    const { sourceOperatorId } = task
    if (task.ended || task.noMore || sourceOperatorId === undefined) return
    this.emit({ kind: 'split-request', executionId: task.deployment.executionId, operatorId: sourceOperatorId })
  }

  private state(task: FakeTask, state: 'INITIALIZING' | 'RUNNING'): void {
    if (!task.ended) this.emit({ kind: 'task-state', executionId: task.deployment.executionId, state, error: undefined })
  }

  private end(task: FakeTask, state: 'FINISHED' | 'CANCELED' | 'FAILED', error?: SerializedError): void {
    if (task.ended || this.gone) return
    task.ended = true
    this.emit({ kind: 'task-state', executionId: task.deployment.executionId, state, error })
  }

  private emit(event: SlotEvent): void {
    if (!this.gone) this.onEvent(event)
  }

  private soon(spanMs: number, action: () => void, afterMs = 0): void {
    this.clock.schedule(afterMs + this.random.next() * spanMs, () => {
      if (!this.gone) action()
    })
  }
}
