import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkSession, FlinkSessionStatus } from '../api/flink-session.ts'
import type { Executor } from '../effects/actions.ts'
import { decideSession } from './decide.ts'
import type { ObservedSession, SessionJob, SessionLoad } from './input.ts'

/** The shell around `decideSession`: one pass = observe everything once -> decide -> save the status -> act (operator/job/controller.ts). */
export interface SessionControllerParts {
  readonly store: FlinkSessionStore
  /** Of the session's cluster. */
  readonly executor: Pick<Executor, 'observeCluster' | 'execute'>
  /** FlinkJobs that name it. */
  readonly jobs: () => Promise<readonly SessionJob[]>
  readonly rest: (address: string) => RestClient
  readonly clock: Clock
  readonly log: Logger
}

export interface FlinkSessionStore {
  read(): Promise<FlinkSession>
  /** CONFLICT when somebody has written since `session` was read. */
  writeStatus(session: FlinkSession, status: FlinkSessionStatus): Promise<FlinkSession>
}

export interface ReconciledSession {
  readonly session: FlinkSession
  readonly requeueAfterMs: number
}

const RETRY_MS = 1_000

export async function reconcileSession(parts: SessionControllerParts): Promise<ReconciledSession> {
  const { store, executor, clock, log } = parts
  const session = await store.read()
  const observed = await observe(parts)
  const { status, actions, requeueAfterMs } = decideSession({ session, observed, nowMs: clock.nowMs() })
  const isSame = session.status !== undefined && JSON.stringify(session.status) === JSON.stringify(status)
  const saved = isSame ? session : await store.writeStatus(session, status)
  for (const action of actions) {
    log.debug('acting', { action: action.kind })
    try {
      await executor.execute(action)
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
      log.warn('an action failed, and is tried again', { action: action.kind, error: error.message })
      return { session: saved, requeueAfterMs: RETRY_MS }
    }
  }
  return { session: saved, requeueAfterMs }
}

async function observe({ executor, jobs, rest }: SessionControllerParts): Promise<ObservedSession> {
  const cluster = await executor.observeCluster()
  const { jobManager } = cluster
  return { cluster, jobs: await jobs(), load: jobManager.kind === 'ready' ? await loadOf(rest(jobManager.webAddress)) : undefined }
}

async function loadOf(rest: RestClient): Promise<SessionLoad | undefined> {
  try {
    const [overview, taskManagers] = [await rest.overview(), await rest.taskManagers()]
    const busy = taskManagers.filter(({ freeSlots, slotsNumber }) => freeSlots < slotsNumber).map(({ id }) => numberOf(id) + 1)
    return { slotsRequired: overview['millrace-slots-required'], slotsTotal: overview['slots-total'], busyUpTo: Math.max(0, ...busy) }
  } catch (error) {
    // A JobManager that is starting or going away: the processes tell which, at the next look.
    if (error instanceof FlinkError && ['CONNECTION_REFUSED', 'CONNECTION_LOST', 'TIMEOUT'].includes(error.code)) return undefined
    throw error
  }
}

/** TaskManagers are numbered from 0, in their ids and as pods; one of another name is somebody else's, and goes with none of ours. */
function numberOf(id: string): number {
  const number = /-(\d+)$/.exec(id)?.[1]
  return number === undefined ? -1 : Number(number)
}
