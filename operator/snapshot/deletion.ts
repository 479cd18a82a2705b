import { FORCE_DELETE_ANNOTATION } from '../api/fields.ts'
import { SNAPSHOT_FINALIZER } from '../api/flink-snapshot.ts'
import { answer, type Decision, type Input, POLL_MS, REST_MS, retryDelayMs, statusOf, untilMs, WAIT_MS } from './input.ts'
import { type Blocker, completed, statusWith } from './status.ts'

/**
 * A FlinkSnapshot that is to go away: pure. Its finalizer goes when nothing is left to do, or when somebody says so by `millrace.dev/force-delete: "true"`; until
 * then the condition DeletionBlocked names what holds it.
 *
 * - One that is being taken: its answer is waited for, up to ANSWER_TIMEOUT_MS, so that what came of it can be removed.
 * - A savepoint that a FlinkJob goes on from stays, as long as the FlinkJob names it.
 * - A savepoint's files are removed at the store, unless `disposeOnDelete` is false: no job has to run for it. As long as that fails the object stays, for nothing else
 *   knows of the files.
 * - A checkpoint belongs to its job.
 */
/** As long as a checkpoint may take (`execution.checkpointing.timeout`). */
const ANSWER_TIMEOUT_MS = 600_000

export function release(input: Input): Decision | undefined {
  const { metadata, spec } = input.snapshot
  if (metadata.deletionTimestamp === undefined) return undefined
  const status = statusOf(input)
  if (!metadata.finalizers?.includes(SNAPSHOT_FINALIZER)) return answer(status, REST_MS)
  const letGo = () => answer(status, REST_MS, { kind: 'dropFinalizer' })
  if (metadata.annotations?.[FORCE_DELETE_ANNOTATION] === 'true' || spec.savepoint?.disposeOnDelete !== true) return letGo()
  if (status.state === 'IN_PROGRESS') return awaitAnswer(input, metadata.deletionTimestamp) ?? letGo()
  if (status.state === 'COMPLETED' && status.path !== undefined) return dispose(input, status.path)
  return letGo()
}

/** Undefined = nothing will come. */
function awaitAnswer(input: Input, deletedAt: string): Decision | undefined {
  const { operation, job } = input.observed
  if (operation.kind === 'completed') return answer(completed(input, operation.location, new Date(input.nowMs).toISOString()), 0)
  const cannotCome = operation.kind === 'unknown' && (job.kind === 'missing' || job.kind === 'ended')
  if (operation.kind === 'failed' || operation.kind === 'missing' || cannotCome) return undefined
  if (input.nowMs - Date.parse(deletedAt) >= ANSWER_TIMEOUT_MS) return undefined
  return blocked(input, 'InProgress', 'it is being taken, and removed then', operation.kind === 'in-progress' ? POLL_MS : WAIT_MS)
}

function dispose(input: Input, location: string): Decision {
  const { usedBy } = input.observed
  const { disposal } = statusOf(input)
  if (usedBy.length > 0) return blocked(input, 'RestorePoint', `${usedBy.join(' and ')} would go on from it`, WAIT_MS)
  const leftMs = disposal === undefined ? 0 : untilMs(input, disposal.retryAt)
  if (leftMs > 0) return answer(statusOf(input), leftMs)
  return answer(statusOf(input), REST_MS, { kind: 'dispose', location }, { kind: 'dropFinalizer' })
}

function blocked(input: Input, reason: string, message: string, requeueAfterMs: number): Decision {
  return answer(statusWith(input, {}, message, { reason, message }), requeueAfterMs)
}

export function afterFailedDisposal(input: Input, message: string): Decision {
  const failures = (statusOf(input).disposal?.failures ?? 0) + 1
  const delayMs = retryDelayMs(failures)
  const blocker: Blocker = { reason: 'DisposalFailed', message: `its files cannot be removed, it is tried again later: ${message}` }
  const disposal = { failures, message, retryAt: new Date(input.nowMs + delayMs).toISOString() }
  return answer(statusWith(input, { disposal }, '', blocker), delayMs)
}
