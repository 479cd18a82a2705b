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
  /** One host for one stage of a job attempt in one slot. `onEvent` is never called from inside `create`. */
  create(slotIndex: number, onEvent: (event: SlotEvent) => void): SlotHost
  /** Media of the channels that leave the slot. Called before the slot's `deploy`, for each slot of a stage in any order. */
  wire(deployment: SlotDeployment): SlotWiring
  /** The slot is free again: drop channels and buffers made by `wire` for it. Called exactly once per host, after it is gone. */
  releaseJob(deployment: SlotDeployment): void
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
