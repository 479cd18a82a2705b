import { SNAPSHOT_FINALIZER } from '../api/flink-snapshot.ts'
import { release } from './deletion.ts'
import { answer, type Decision, type Input, nameOf, POLL_MS, REST_MS, type Rule, retryDelayMs, statusOf, typeOf, untilMs, WAIT_MS } from './input.ts'
import { completed, isAtRest, statusWith } from './status.ts'

/**
 * What to do next about one FlinkSnapshot: pure, an ordered list of rules as in operator/job/decide.ts. The status is saved before the actions run.
 *
 *   TRIGGER_PENDING -> IN_PROGRESS -> COMPLETED     its path is in the status
 *                  <- a try has failed, later again  FAILED: more than `backoffLimit` tries
 *                                                   ABANDONED: its job has ended or rests, and nothing can be taken
 *
 * 1. `release`: an object that is to go away (deletion.ts).
 * 2. `hold`: the finalizer first, so that nothing is ever triggered or recorded that could not be removed again.
 * 3. `rest`: it is at its end.
 * 4. `waitForRetry`: the last try has failed.
 * 5. `recordExisting`: one that is there already is looked at, and nothing is taken.
 * 6. `followTrigger`: under the trigger's id that was saved before it was sent; sending it again is the same trigger.
 * 7. `trigger`: once the job runs.
 */
const rules: readonly Rule[] = [release, hold, rest, waitForRetry, recordExisting, followTrigger, trigger]

export function decide(input: Input): Decision {
  for (const rule of rules) {
    const decision = rule(input)
    if (decision !== undefined) return decision
  }
  return answer(statusOf(input), REST_MS)
}

function hold(input: Input): Decision | undefined {
  if (input.snapshot.metadata.finalizers?.includes(SNAPSHOT_FINALIZER)) return undefined
  if (input.snapshot.status !== undefined && isAtRest(input.snapshot.status)) return undefined
  return answer(statusWith(input, {}, 'it is about to be taken'), 0, { kind: 'addFinalizer' })
}

function rest(input: Input): Decision | undefined {
  return isAtRest(statusOf(input)) ? answer(statusOf(input), REST_MS) : undefined
}

function waitForRetry(input: Input): Decision | undefined {
  const { retryAt } = statusOf(input)
  const leftMs = retryAt === undefined ? 0 : untilMs(input, retryAt)
  return leftMs === 0 ? undefined : answer(statusOf(input), leftMs)
}

function recordExisting(input: Input): Decision | undefined {
  const { existing } = input.observed
  if (input.snapshot.spec.savepoint?.alreadyExists !== true) return undefined
  switch (existing.kind) {
    case 'unknown':
      return answer(statusWith(input, {}, 'its path is looked at'), WAIT_MS)
    case 'invalid':
      return afterFailedTry(input, existing.message)
    case 'savepoint': {
      const { location, timestampMs } = existing
      return answer(completed(input, location, new Date(timestampMs).toISOString()), 0)
    }
  }
}

function followTrigger(input: Input): Decision | undefined {
  const { state, triggerId, jobId } = statusOf(input)
  if (state !== 'IN_PROGRESS' || triggerId === undefined || jobId === undefined) return undefined
  const { job, operation } = input.observed
  // Its answer counts, whatever has become of the job since.
  if (operation.kind === 'completed') return answer(completed(input, operation.location, new Date(input.nowMs).toISOString()), 0)
  if (operation.kind === 'failed') return afterFailedTry(input, operation.message)
  if (job.kind === 'running' && job.jobId !== jobId) return abandoned(input, `${nameOf(input.snapshot)} has begun anew as job ${job.jobId}`)
  if (operation.kind === 'in-progress') return answer(statusWith(input, {}, 'the job takes it'), POLL_MS)
  if (job.kind === 'missing') return abandoned(input, `${nameOf(input.snapshot)} is gone`)
  if (job.kind === 'ended') return abandoned(input, job.why)
  if (operation.kind === 'missing' && job.kind === 'running')
    return answer(statusWith(input, {}, 'the job takes it'), POLL_MS, triggerAction(input, job, triggerId))
  const why = job.kind === 'waiting' ? job.why : 'its JobManager does not answer'
  return answer(statusWith(input, {}, `it waits for its answer: ${why}`), WAIT_MS)
}

function trigger(input: Input): Decision | undefined {
  const { job } = input.observed
  switch (job.kind) {
    case 'none':
    case 'missing':
      return answer(statusWith(input, {}, `it waits: there is no ${nameOf(input.snapshot)}`), WAIT_MS)
    case 'waiting':
      return answer(statusWith(input, {}, `it waits: ${job.why}`), WAIT_MS)
    case 'ended':
      return abandoned(input, job.why)
    case 'running': {
      const triggerId = input.freshTriggerId
      const change = { state: 'IN_PROGRESS', triggerId, jobId: job.jobId, triggerTimestamp: new Date(input.nowMs).toISOString() } as const
      return answer(statusWith(input, { ...change, retryAt: undefined }, 'the job takes it'), POLL_MS, triggerAction(input, job, triggerId))
    }
  }
}

function triggerAction({ snapshot }: Input, { jobId, webAddress }: { readonly jobId: string; readonly webAddress: string }, triggerId: string) {
  const targetDirectory = snapshot.spec.savepoint?.path
  return { kind: 'trigger', type: typeOf(snapshot), webAddress, jobId, triggerId, targetDirectory } as const
}

function abandoned(input: Input, why: string): Decision {
  return answer(statusWith(input, { state: 'ABANDONED', error: why, resultTimestamp: new Date(input.nowMs).toISOString() }), 0)
}

/** Later again, under a new trigger, as often as `backoffLimit` says. */
export function afterFailedTry(input: Input, message: string): Decision {
  const { backoffLimit } = input.snapshot.spec
  const failures = (statusOf(input).failures ?? 0) + 1
  const tried = { failures, error: message, triggerId: undefined, jobId: undefined }
  if (backoffLimit >= 0 && failures > backoffLimit) {
    const resultTimestamp = new Date(input.nowMs).toISOString()
    return answer(statusWith(input, { ...tried, state: 'FAILED', resultTimestamp, retryAt: undefined }), 0)
  }
  const delayMs = retryDelayMs(failures)
  const retryAt = new Date(input.nowMs + delayMs).toISOString()
  const why = `try ${failures} has failed, the next one is in ${delayMs / 1_000} s: ${message}`
  return answer(statusWith(input, { ...tried, state: 'TRIGGER_PENDING', retryAt }, why), delayMs)
}
