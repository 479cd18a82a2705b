import type { Action, ClusterProcesses, JobPrograms, ObservedCluster } from '../../operator/effects/actions.ts'
import type { Catalogue, EndedJob } from '../../runtime/checkpoint/catalogue.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { JobInfo, RestClient } from '../../runtime/rest/types.ts'

interface FakeJob {
  state: 'CREATED' | 'RUNNING' | 'FINISHED' | 'SUSPENDED'
}

/**
 * The processes of a session and the jobs on it, each of which needs one slot of the one that a TaskManager has. It keeps the rules of the real ones and outlives the
 * operator; what would be wrong for good is noted in `violations`.
 */
export class FakeSessionCluster {
  readonly violations: string[] = []
  jobManager: 'missing' | 'starting' | 'ready' | 'ended' = 'missing'
  taskManagers = 0
  /** No job gets a slot, however many there are. */
  isShort = false
  readonly jobs = new Map<string, FakeJob>()
  /** What lies at the store: of each job id what it goes on from. */
  readonly state = new Map<string, string>()
  readonly results = new Map<string, EndedJob>()
  private readonly known = new Set<string>()
  private readonly operations = new Map<string, { readonly jobId: string; looks: number }>()
  /** Of each submission whether it began with state, in their order. */
  readonly starts: boolean[] = []
  readonly savepoints: string[] = []
  readonly history: Action['kind'][] = []

  readonly processes: ClusterProcesses = {
    observeCluster: async () => this.observe(),
    execute: async action => {
      this.history.push(action.kind)
      if (action.kind === 'startJobManager') {
        if (this.jobManager === 'starting' || this.jobManager === 'ready') this.violations.push('a second JobManager')
        this.jobManager = 'starting'
      } else if (action.kind === 'startTaskManagers') this.taskManagers = Math.max(this.taskManagers, action.replicas)
      else if (action.kind === 'stopTaskManagers') this.stopTaskManagers(action.keep ?? 0)
      else this.loseJobManager('missing')
    },
    rest: async () => this.rest(),
  }

  private observe(): ObservedCluster {
    const kind = this.jobManager
    if (kind === 'starting') this.jobManager = 'ready'
    const jobManager =
      kind === 'ready'
        ? { kind, webAddress: 'http://session' }
        : kind === 'ended'
          ? { kind, message: 'jobmanager-0 ended with exit code 1' }
          : { kind }
    return { jobManager, taskManagers: { running: this.taskManagers, ended: [] } }
  }

  /** What runs was checkpointed a moment ago, and is suspended. */
  loseJobManager(kind: 'missing' | 'ended'): void {
    for (const [jobId, { state }] of this.jobs) if (state === 'RUNNING') this.state.set(jobId, `checkpoint of ${jobId}`)
    this.jobs.clear()
    this.operations.clear()
    this.jobManager = kind
  }

  private stopTaskManagers(keep: number): void {
    this.taskManagers = Math.min(this.taskManagers, keep)
    if (this.running > this.taskManagers) this.violations.push('a slot of a running job is taken away')
  }

  private get running(): number {
    return [...this.jobs.values()].filter(({ state }) => state === 'RUNNING').length
  }

  /** Jobs that wait get the slots that are free. */
  private progress(): void {
    for (const job of this.jobs.values()) if (!this.isShort && job.state === 'CREATED' && this.running < this.taskManagers) job.state = 'RUNNING'
  }

  submit(jobId: string): void {
    if (this.jobManager !== 'ready') throw new FlinkError('CONNECTION_REFUSED', 'the JobManager is not up')
    if (this.jobs.has(jobId)) return
    if (this.results.has(jobId)) {
      this.violations.push('a job that has ended is submitted again')
      throw new FlinkError('CONFLICT', `job ${jobId} was globally terminated`)
    }
    this.known.add(jobId)
    this.jobs.set(jobId, { state: 'CREATED' })
    this.starts.push(this.state.has(jobId))
  }

  programs(submit: (action: () => void) => Promise<void>): JobPrograms {
    const catalogue = this.catalogue()
    return {
      observeProgram: async () => ({ kind: 'ready', jobName: 'fake', slotsNeeded: 1, slotsPerTaskManager: 1, parallelisms: { source: 1 } }),
      observeStatePlan: async ({ jobId }) => ({ kind: 'ready', restorePoint: this.state.get(jobId), ignoresUnclaimedState: false, states: [] }),
      catalogue: async () => catalogue,
      plannedCatalogue: async () => catalogue,
      submit: (_rest, { jobId }) => submit(() => this.submit(jobId)),
    }
  }

  catalogue(): Catalogue {
    const newest = (jobId: string) => {
      const location = this.state.get(jobId)
      if (location === undefined) return undefined
      const kind = location.startsWith('savepoint') ? ('savepoint' as const) : ('checkpoint' as const)
      return { checkpointId: 7, kind, location, timestampMs: 3_000, sizeBytes: 1, generation: 1, epoch: 2 }
    }
    return {
      knows: async jobId => this.known.has(jobId),
      newest: async jobId => newest(jobId),
      retained: async jobId => [newest(jobId)].filter(point => point !== undefined),
      resultOf: async jobId => this.results.get(jobId),
      forgetResult: async jobId => void this.results.delete(jobId),
      snapshotAt: async location => ({ kind: 'savepoint', location, jobId: 'f'.repeat(32), timestampMs: 3_000 }),
      disposeSavepoint: async () => {},
      removeJob: async jobId => void this.state.delete(jobId),
    }
  }

  rest(address = 'http://session'): RestClient {
    const up = () => {
      if (this.jobManager !== 'ready') throw new FlinkError('CONNECTION_REFUSED', 'nobody listens')
      this.progress()
    }
    const job = (jobId: string): FakeJob => {
      up()
      const found = this.jobs.get(jobId)
      if (found === undefined) throw new FlinkError('NOT_FOUND', `job ${jobId} not found`)
      return found
    }
    return {
      address,
      overview: async () => {
        up()
        const waiting = [...this.jobs.values()].filter(({ state }) => state === 'CREATED').length
        return { 'millrace-slots-required': waiting, 'slots-total': this.taskManagers }
      },
      taskManagers: async () => {
        up()
        return Array.from({ length: this.taskManagers }, (_, n) => ({ id: `taskmanager-${n}`, slotsNumber: 1, freeSlots: n < this.running ? 0 : 1 }))
      },
      jobStatus: async (jobId: string) => job(jobId).state,
      job: async (jobId: string) => {
        const { state } = job(jobId)
        // Only what the controller reads.
        return {
          jid: jobId,
          name: 'fake',
          state,
          vertices: [{ id: 'source', parallelism: 1 }],
          'start-time': 1_000,
          timestamps: { [state]: 2_000 },
        } as unknown as JobInfo
      },
      releaseJob: async (jobId: string) => {
        const { state } = job(jobId)
        if (state === 'RUNNING') this.state.set(jobId, `checkpoint of ${jobId}`)
        this.jobs.delete(jobId)
      },
      stopWithSavepoint: async (jobId: string, { triggerId }: { readonly triggerId: string }) => {
        job(jobId)
        if (!this.operations.has(triggerId)) this.operations.set(triggerId, { jobId, looks: 0 })
        return triggerId
      },
      operation: async (_kind: string, _jobId: string, triggerId: string) => {
        up()
        const operation = this.operations.get(triggerId)
        if (operation === undefined) throw new FlinkError('NOT_FOUND', `there is no operation ${triggerId}`)
        if (operation.looks++ === 0) return { status: { id: 'IN_PROGRESS' }, operation: null }
        const location = `savepoint ${triggerId} of ${operation.jobId}`
        const stopped = this.jobs.get(operation.jobId)
        if (stopped?.state === 'RUNNING') {
          stopped.state = 'FINISHED'
          this.state.set(operation.jobId, location)
          this.savepoints.push(location)
        }
        return { status: { id: 'COMPLETED' }, operation: { location } }
      },
      cancelJob: async (jobId: string) => {
        job(jobId).state = 'FINISHED'
      },
      jobExceptions: async () => ({ exceptionHistory: { truncated: false, entries: [] } }),
      checkpointStatistics: async () => ({ counts: { completed: 1 }, latest: { completed: null, savepoint: null }, history: [] }),
      checkpointConfig: async () => ({ interval: 1_000, timeout: 60_000, tolerable_failed_checkpoints: 0 }),
      jobMetrics: async () => [],
      // The operator asks nothing else.
    } as unknown as RestClient
  }
}
