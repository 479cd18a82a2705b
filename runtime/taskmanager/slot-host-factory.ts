import type { ArtifactRef, SlotDeployment } from '../graph/deployment.ts'
import type { ResultSize } from '../network/task-result.ts'
import type { HardwareDescription } from '../rpc/job-manager-gateway.ts'
import type { SlotEvent, SlotHost, SlotWiring } from './slot-host.ts'

/**
 * All the TaskExecutor knows of threads, files and data sockets. Made once per TaskManager process by whoever wires it (bin/, tests,
 * simulation); worker threads behind one implementation, plain calls behind the other.
 */
export interface SlotHostFactory {
  readonly dataHost: string
  readonly dataPort: number
  readonly hardware: HardwareDescription
  /** One host for one job in one slot. `onEvent` is never called from inside `create`. */
  create(slotIndex: number, onEvent: (event: SlotEvent) => void): SlotHost
  /** Media of the channels that leave the slot. Called before `deploy`, for each slot of an attempt of a region in any order. Waits for buffers that are being released. */
  wire(deployment: SlotDeployment): SlotWiring | Promise<SlotWiring>
  /**
   * Drop channels and buffers made by `wire`: called exactly once for each, when the tasks have ended and, unless others run on in it, their host is gone.
   * `orderly`: all of them have finished, so that what they wrote must still reach its readers.
   */
  release(deployment: SlotDeployment, orderly: boolean): void
  /** A task with blocking edges has written its last: resolves when all of it is stored, to be read by tasks that are deployed later. */
  finishResult(executionId: string): Promise<ResultSize>
  /** Nobody reads these any more. Those that are not here, or never were, are passed over. */
  releaseResults(executionIds: readonly string[]): void
  /** Fetches and verifies the bundle when it is not here yet; the answer is its path. Called for each deployment. */
  ensureArtifact(ref: ArtifactRef): Promise<string>
  /** Figures of the TaskManager itself, Flink's names. */
  metrics(): Readonly<Record<string, number>>
  /** The last part of this TaskManager's stdout file, as text, at most `maxBytes`. */
  readStdout(maxBytes: number): Promise<string>
}
