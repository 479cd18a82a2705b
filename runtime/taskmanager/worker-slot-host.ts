import type { MessagePort, Worker } from 'node:worker_threads'
import { FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import { heapLimitExceeded } from './heap-guard.ts'
import type { CheckpointOutcome, RestoredTasks, SlotEvent, SlotHost, SlotWiring, TaskMetricsSnapshot } from './slot-host.ts'
import type { SlotCommand, SlotMessage } from './slot-worker.ts'

/**
 * A slot in a worker thread, seen from the TaskManager's main thread. The worker serves one job and is ended when no task of it runs any more. Whatever
 * happens to the thread, `exited` is reported once and last: with the reason when the thread died before its tasks had ended.
 */
export class WorkerSlotHost implements SlotHost {
  private readonly worker: Worker
  private readonly slotIndex: number
  private readonly ioPort: MessagePort
  private readonly onEvent: (event: SlotEvent) => void
  private readonly artifactPath: (digest: string) => string
  private readonly heapLimitMb: number
  private latestMetrics: readonly TaskMetricsSnapshot[] = []
  private ended = false
  private closing: Promise<void> | undefined

  private deployed = false

  constructor(parts: {
    worker: Worker
    slotIndex: number
    /** The slot's end of its port to the I/O worker; moves into the thread with the deployment. */
    ioPort: MessagePort
    onEvent: (event: SlotEvent) => void
    artifactPath: (digest: string) => string
    heapLimitMb: number
  }) {
    this.worker = parts.worker
    this.slotIndex = parts.slotIndex
    this.ioPort = parts.ioPort
    this.onEvent = parts.onEvent
    this.artifactPath = parts.artifactPath
    this.heapLimitMb = parts.heapLimitMb
    this.worker.on('message', (message: SlotMessage) => this.receive(message))
    this.worker.on('error', error => this.end(this.threadError(error)))
    this.worker.on('exit', code => {
      // Whoever asked the thread to end says why. Unasked, only the program itself can have ended it: its port keeps it alive.
      if (this.closing === undefined)
        this.end(new FlinkError('USER_FUNCTION', `the program called process.exit (code ${code}), which ends the thread of its slot`))
    })
  }

  deploy(deployment: SlotDeployment, wiring: SlotWiring, restored: RestoredTasks): void {
    const { slotIndex, ioPort } = this
    if (this.ended) return
    const command: SlotCommand = {
      kind: 'deploy',
      slotIndex,
      deployment,
      wiring,
      restored,
      artifactPath: this.artifactPath(deployment.artifact.digest),
      ioPort: this.deployed ? undefined : ioPort,
    }
    this.worker.postMessage(command, this.deployed ? [] : [ioPort])
    this.deployed = true
  }

  cancel(executionIds: readonly string[]): void {
    this.send({ kind: 'cancel', executionIds })
  }

  addSplits(executionId: string, operatorId: string, splits: readonly SourceSplit[]): void {
    this.send({ kind: 'add-splits', executionId, operatorId, splits })
  }

  noMoreSplits(executionId: string, operatorId: string): void {
    this.send({ kind: 'no-more-splits', executionId, operatorId })
  }

  triggerCheckpoint(executionIds: readonly string[], barrier: CheckpointBarrier): void {
    this.send({ kind: 'trigger-checkpoint', executionIds, barrier })
  }

  notifyCheckpoint(executionIds: readonly string[], checkpointId: number, outcome: CheckpointOutcome): void {
    this.send({ kind: 'notify-checkpoint', executionIds, checkpointId, outcome })
  }

  returnMemory(buffers: readonly SharedArrayBuffer[]): void {
    this.send({ kind: 'return-memory', buffers })
  }

  async terminate(): Promise<void> {
    this.closing ??= this.worker.terminate().then(() => {})
    await this.closing
    this.end(undefined)
  }

  metrics(): readonly TaskMetricsSnapshot[] {
    return this.latestMetrics
  }

  private send(command: SlotCommand): void {
    if (!this.ended) this.worker.postMessage(command)
  }

  private receive(message: SlotMessage): void {
    if (this.ended) return
    if (message.kind === 'metrics') {
      this.latestMetrics = message.tasks
      return
    }
    if (message.kind === 'exited') {
      // The thread has done its work; it is ended before `exited` is told, so that a slot is never reused beside its old thread.
      this.closing ??= this.worker.terminate().then(() => {})
      void this.closing.then(() => this.end(message.error))
      return
    }
    this.onEvent(message)
  }

  private threadError(error: unknown): FlinkError {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY')
      return heapLimitExceeded(this.heapLimitMb, undefined, error)
    return new FlinkError('INTERNAL', `the thread of the slot died: ${error instanceof Error ? error.message : String(error)}`, {}, error)
  }

  private end(error: FlinkError | SerializedError | undefined): void {
    if (this.ended) return
    this.ended = true
    const serialized = error instanceof FlinkError ? serializeError(error) : error
    this.onEvent({ kind: 'exited', error: serialized })
  }
}
