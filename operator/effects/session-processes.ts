import { type Clock, sleep } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { SessionView } from '../session/view.ts'
import { isUnreachable } from '../snapshot/observe.ts'
import type { ClusterProcesses, JobPrograms, ObservedCluster, ObservedJobManager } from './actions.ts'

/**
 * The part that one FlinkJob has in the processes of a session, so that its rules see a cluster of its own (decision 0034):
 *
 * - its JobManager is there when that of the session is and the job has been let in or is known there; starting it lets the job in, stopping it has the job released,
 *   which suspends it and has it forgotten: what happens to it when a JobManager of its own ends;
 * - TaskManagers are the session's matter: there are none to be started or stopped.
 *
 * That a job was let in is remembered here only. Another operator finds a job that is known, or lets it in once more, which changes nothing.
 */
export interface SessionProcessesOptions {
  readonly session: () => SessionView
  readonly jobId: () => string | undefined
  readonly rest: (webAddress: string) => RestClient
  readonly clock: Clock
  /** How long a released job may take to be forgotten before the action says so. */
  readonly stopTimeoutMs: number
}

const POLL_MS = 50

export function createSessionProcesses({ session, jobId, rest, clock, stopTimeoutMs }: SessionProcessesOptions): ClusterProcesses {
  let isIn = false

  const jobManager = (): RestClient => {
    const view = session()
    if (view.cluster.kind !== 'ready') throw new FlinkError('CONNECTION_REFUSED', view.unavailable ?? view.cluster.message)
    return rest(view.cluster.webAddress)
  }

  const release = async (id: string): Promise<void> => {
    if (session().cluster.kind === 'gone') return
    const client = jobManager()
    const untilMs = clock.monotonicMs() + stopTimeoutMs
    await unlessUnknown(client.releaseJob(id))
    while (await isKnown(client, id)) {
      if (clock.monotonicMs() > untilMs) throw new FlinkError('TIMEOUT', `job ${id} was not released by its session within ${stopTimeoutMs} ms`)
      await sleep(clock, POLL_MS)
    }
  }

  return {
    async observeCluster(): Promise<ObservedCluster> {
      const view = session()
      const { name, cluster, unavailable, evicts } = view
      if (cluster.kind === 'gone') isIn = false
      const id = jobId()
      let jobManager: ObservedJobManager = { kind: cluster.kind === 'gone' ? 'missing' : 'starting' }
      try {
        if (cluster.kind === 'ready' && !isIn && id !== undefined) isIn = await isKnown(rest(cluster.webAddress), id)
        if (cluster.kind === 'ready') jobManager = isIn ? cluster : { kind: 'missing' }
      } catch (error) {
        // Its object will say what has become of it.
        if (!(error instanceof FlinkError && isUnreachable(error))) throw error
      }
      return {
        jobManager,
        taskManagers: { running: 0, ended: [] },
        ...(view.problem === undefined ? {} : { problems: [{ process: 'session', ...view.problem }] }),
        session: { name, ...(unavailable === undefined ? {} : { unavailable }), ...(evicts === undefined ? {} : { evicts }) },
      }
    },
    async execute(action) {
      if (action.kind === 'startJobManager') {
        jobManager()
        isIn = true
      } else if (action.kind === 'stopJobManager') {
        const id = jobId()
        if (id !== undefined) await release(id)
        isIn = false
      }
    },
    rest: async () => jobManager(),
  }
}

async function isKnown(client: RestClient, jobId: string): Promise<boolean> {
  return (await unlessUnknown(client.jobStatus(jobId))) !== UNKNOWN
}

const UNKNOWN = Symbol('the job is not known there')

async function unlessUnknown<T>(answer: Promise<T>): Promise<T | typeof UNKNOWN> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof FlinkError && error.code === 'NOT_FOUND') return UNKNOWN
    throw error
  }
}

/** Of a session that nobody knows nothing can be planned, and nobody knows where its jobs keep their state. */
export function programsOfSession(programs: JobPrograms, session: () => SessionView | undefined): JobPrograms {
  const absence = () => {
    const view = session()
    return view?.spec === undefined ? (view?.unavailable ?? 'the session is not known') : undefined
  }
  const required = () => {
    const message = absence()
    if (message !== undefined) throw new FlinkError('EXTERNAL_SYSTEM', `where the job keeps its state is not known: ${message}`)
  }
  return {
    ...programs,
    observeProgram: async spec => (absence() === undefined ? programs.observeProgram(spec) : { kind: 'pending' }),
    observeStatePlan: async question => (absence() === undefined ? programs.observeStatePlan(question) : { kind: 'pending' }),
    async catalogue(spec) {
      required()
      return programs.catalogue(spec)
    },
    async plannedCatalogue(spec) {
      required()
      return programs.plannedCatalogue(spec)
    },
  }
}
