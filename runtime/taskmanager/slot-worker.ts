import { getHeapStatistics } from 'node:v8'
import type { MessagePort } from 'node:worker_threads'
import { AssertionError, assert } from '../common/assert.ts'
import { systemClock } from '../common/clock.ts'
import { FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import { systemRandom } from '../common/random.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { SharedHostDoorbell } from '../network/doorbell.ts'
import type { CheckpointBarrier } from '../network/frame.ts'
import { PageBudget } from '../network/page-pool.ts'
import { pageMemory } from '../state/row-pages.ts'
import { segmentMemory } from '../state/segment-memory.ts'
import type { IoHost } from '../stream/spi/io-host.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import { attachConsumer, attachProducer, type ChannelMedium } from './channel-medium.ts'
import { RingChannelProvider } from './channel-providers.ts'
import { HeapGuard, heapHeadroomMb, heapLimitExceeded } from './heap-guard.ts'
import type { CheckpointOutcome, RestoredTasks, SlotEvent, SlotWiring, TaskMetricsSnapshot } from './slot-host.ts'
import { SlotRuntime } from './slot-runtime.ts'

/**
 * The thread of one slot, for one job; until its first deployment comes it is a spare that any slot may take. Main posts commands, this thread
 * posts events; row data never passes here. The event loop gets a turn between turns of the scheduler, where the heap is looked at too;
 * when nothing is runnable the thread sleeps on its doorbell.
 */
export interface SlotWorkerData {
  /** One per slot, then the I/O worker's. */
  readonly doorbells: readonly SharedArrayBuffer[]
  readonly pageBudget: SharedArrayBuffer
  readonly recordSizeMax: number
  readonly heapLimitMb: number
}

export type SlotCommand =
  | {
      readonly kind: 'deploy'
      readonly slotIndex: number
      readonly deployment: SlotDeployment
      readonly wiring: SlotWiring
      readonly restored: RestoredTasks
      readonly artifactPath: string
      /** To the I/O worker; comes with the first deployment. */
      readonly ioPort: MessagePort | undefined
    }
  | { readonly kind: 'cancel'; readonly executionIds: readonly string[] }
  | { readonly kind: 'add-splits'; readonly executionId: string; readonly operatorId: string; readonly splits: readonly SourceSplit[] }
  | { readonly kind: 'no-more-splits'; readonly executionId: string; readonly operatorId: string }
  | { readonly kind: 'trigger-checkpoint'; readonly executionIds: readonly string[]; readonly barrier: CheckpointBarrier }
  | {
      readonly kind: 'notify-checkpoint'
      readonly executionIds: readonly string[]
      readonly checkpointId: number
      readonly outcome: CheckpointOutcome
    }
  | { readonly kind: 'return-memory'; readonly buffers: readonly SharedArrayBuffer[] }

export type SlotMessage = SlotEvent | { readonly kind: 'metrics'; readonly tasks: readonly TaskMetricsSnapshot[] }

export interface SlotWorkerParts {
  readonly port: MessagePort
  readonly data: SlotWorkerData
  loadProgram(artifactPath: string, deployment: SlotDeployment): Promise<StreamGraph>
  /** Stacks in the user's own files, and the first such position in the message. */
  describeError(error: SerializedError): SerializedError
  /** Its ports ring the slot's doorbell. */
  createIoHost(ioPort: MessagePort): IoHost
  /** A full garbage collection of this thread's heap. */
  collectGarbage(): void
}

const METRICS_INTERVAL_MS = 500
/** Bytes of shared memory at which V8 is told to look for it: it does not count them. */
const GARBAGE_MAX = 256 * 1024 * 1024

export function startSlotWorker({ port, data, loadProgram, describeError, createIoHost, collectGarbage }: SlotWorkerParts): void {
  let asleep = false
  let runtime: SlotRuntime | undefined
  let bell: SharedHostDoorbell | undefined
  /** Of the job: the same for all of its deployments. */
  let artifactPath = ''
  let garbageBytes = 0
  const post = (message: SlotMessage) => port.postMessage(message)

  const idle = () => {
    if (asleep) return
    asleep = true
    // First the bell is armed, then every task looks once more: work published before the bell was armed is found by that look.
    const rung = bell?.sleepUnlessRung(() => false) ?? Promise.resolve()
    void rung.then(() => {
      asleep = false
      runtime?.wakeAll()
    })
    runtime?.wakeAll()
  }

  const heap = new HeapGuard({
    clock: systemClock,
    limitBytes: data.heapLimitMb * 2 ** 20,
    headroomBytes: heapHeadroomMb(data.heapLimitMb) * 2 ** 20,
    usedBytes: () => getHeapStatistics().used_heap_size + pageMemory.bytes,
    collect: collectGarbage,
  })
  /** False = the slot has been ended for its heap, and nothing of it may run on. */
  const checkHeap = (): boolean => {
    const usedBytes = heap.excess()
    if (usedBytes === undefined) return true
    post({ kind: 'exited', error: serializeError(heapLimitExceeded(data.heapLimitMb, Math.ceil(usedBytes / 2 ** 20))) })
    return false
  }

  const start = (slotIndex: number, ioPort: MessagePort): SlotRuntime => {
    const own = data.doorbells[slotIndex]
    assert(own !== undefined, `slot ${slotIndex} has a doorbell`)
    bell = new SharedHostDoorbell(own)
    const io = createIoHost(ioPort)
    const created = new SlotRuntime({
      clock: systemClock,
      random: systemRandom,
      pages: new PageBudget(data.pageBudget),
      // Ports ring the slot's bell, which wakes every task of it.
      ioHost: () => io,
      post: callback =>
        void setImmediate(() => {
          if (checkHeap()) callback()
        }),
      idle,
      loadProgram: deployment => loadProgram(artifactPath, deployment),
      emit: event => {
        // The last figures leave before the state that ends the task, so that a finished job shows them.
        if (event.kind === 'task-state' && ['FINISHED', 'CANCELED', 'FAILED'].includes(event.state))
          post({ kind: 'metrics', tasks: created.metrics() })
        post(event.kind === 'task-state' && event.error !== undefined ? { ...event, error: describeError(event.error) } : event)
        if (event.kind === 'exited') timer.cancel()
      },
    })
    const report = () => {
      if (!checkHeap()) return
      post({ kind: 'metrics', tasks: created.metrics() })
      timer = systemClock.schedule(METRICS_INTERVAL_MS, report)
    }
    let timer = systemClock.schedule(METRICS_INTERVAL_MS, report)
    return created
  }

  const deploy = ({ slotIndex, deployment, wiring, restored, ioPort, ...command }: Extract<SlotCommand, { kind: 'deploy' }>) => {
    artifactPath = command.artifactPath
    if (runtime === undefined) {
      assert(ioPort !== undefined, 'the first deployment brings the port to the I/O worker')
      runtime = start(slotIndex, ioPort)
    }
    const media = wiring.channels as Readonly<Record<string, ChannelMedium>>
    const channels = new RingChannelProvider({
      medium: channelId => media[channelId],
      asProducer: medium => attachProducer(medium, slotIndex, data.doorbells),
      asConsumer: medium => attachConsumer(medium, slotIndex, data.doorbells),
      recordSizeMax: data.recordSizeMax,
    })
    runtime.deploy(deployment, restored, channels).catch(error => post({ kind: 'exited', error: serializeError(error) }))
  }

  // What nobody awaits or catches: mostly a timer or a promise that the program left behind. The slot ends for it, as a process would.
  process.on('uncaughtException', (error: unknown) => {
    const message = `an error that nobody caught ended the slot: ${error instanceof Error ? error.message : String(error)}`
    const failure = new FlinkError(error instanceof AssertionError ? 'INTERNAL' : 'USER_FUNCTION', message, {}, error)
    post({ kind: 'exited', error: describeError(serializeError(failure)) })
  })

  port.on('message', (command: SlotCommand) => {
    switch (command.kind) {
      case 'deploy':
        return deploy(command)
      case 'cancel':
        return runtime?.cancel(command.executionIds)
      case 'add-splits':
        return runtime?.addSplits(command.executionId, command.operatorId, command.splits)
      case 'no-more-splits':
        return runtime?.noMoreSplits(command.executionId, command.operatorId)
      case 'trigger-checkpoint':
        return runtime?.triggerCheckpoint(command.executionIds, command.barrier)
      case 'notify-checkpoint':
        return runtime?.notifyCheckpoint(command.executionIds, command.checkpointId, command.outcome)
      case 'return-memory':
        garbageBytes += segmentMemory.giveBack(command.buffers)
        if (garbageBytes < GARBAGE_MAX) return
        garbageBytes = 0
        return collectGarbage()
    }
  })
}
