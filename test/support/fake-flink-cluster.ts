import type { ClusterSpec, FlinkJobSpec } from '../../operator/api/flink-job.ts'
import type {
  Action,
  Executor,
  ObservedCluster,
  ObservedProgram,
  ObservedStatePlan,
  ProcessProblem,
  StatePlanQuestion,
} from '../../operator/effects/actions.ts'
import { rescale } from '../../operator/effects/rescale.ts'
import type { Catalogue, EndedJob, RestorePoint } from '../../runtime/checkpoint/catalogue.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { AsyncOperationJson, JobInfo, ResourceRequirementsJson, RestClient } from '../../runtime/rest/types.ts'
import { EpochClaims } from './epoch-claims.ts'
import { FakeProgress } from './fake-progress.ts'

interface FakeJob {
  state: string
  looks: number
  /** Of all its vertices. */
  parallelism: number
  requirements?: ResourceRequirementsJson
  rescale?: { readonly to: number; looks: number | undefined } | undefined
  isRescaled?: boolean
  message?: string
}

export interface FakeStart {
  readonly jobId: string
  readonly from: 'none' | 'checkpoint' | 'savepoint' | 'path'
}

/**
 * A cluster of one FlinkJob that keeps the rules of the real one and outlives the controller: processes take a look to become ready, a
 * job runs for some looks, a submission under a known id changes nothing, a job needs its TaskManagers. What would be wrong for good
 * (two JobManagers, a second job, stopping TaskManagers under a running job, a job that has ended and is submitted again) is noted in `violations`.
 */
export class FakeFlinkCluster implements Executor {
  readonly violations: string[] = []
  readonly claims = new EpochClaims(this.violations)
  readonly submittedIds = new Set<string>()
  readonly history: Action['kind'][] = []
  jobManager: 'missing' | 'starting' | 'ready' | 'ended' = 'missing'
  taskManagers = 0
  endedTaskManagers: { message: string; wasReady: boolean }[] = []
  problems: ProcessProblem[] | undefined
  /** Of jobs that run. */
  checkpointProblem: string | undefined
  jobs = new Map<string, FakeJob>()
  /** What lies at the store: of each job id what it goes on from, and how many times it was given up. */
  readonly state = new Map<string, string>()
  /** How jobs have ended, as it is stored. */
  readonly results = new Map<string, EndedJob>()
  /** Where nothing lies that a job could begin with. */
  readonly emptyPaths = new Set<string>()
  /** Why the store cannot be read. */
  storeFailure: string | undefined
  catalogueReads = 0
  /** What the JobManager answers to everything. */
  restFailure: FlinkError | undefined
  readonly operations = new Map<string, { looks: number; readonly jobId: string; readonly stops: boolean; readonly isCheckpoint?: boolean }>()
  /** What each submission went on from. */
  readonly restored: (string | undefined)[] = []
  /** Those that are complete, by their trigger. */
  private readonly savepoints = new Map<string, string>()
  savepointFailure: string | undefined
  /** By their script: refused by the JobManager. */
  readonly refusedPrograms = new Map<string, string>()
  readonly invalidPrograms = new Map<string, string>()
  /** By the script that takes the state over; what is not here keeps all of it. */
  readonly statePlans = new Map<string, ObservedStatePlan>()
  readonly planned: StatePlanQuestion[] = []
  /** Of what was submitted: whether state may be dropped. */
  readonly dropping: (boolean | undefined)[] = []
  /** Where the manifest says nothing of the parallelism, which all vertices have. */
  program: ObservedProgram = { kind: 'ready', jobName: 'fake', slotsNeeded: 3, slotsPerTaskManager: 2, parallelisms: { source: 3, sink: 3 } }
  /** By parallelism: programs whose operators are chained in another way. */
  readonly otherVertices = new Map<number, readonly string[]>()
  /** Why resource requirements are refused for good. */
  rescaleRefusal: string | undefined
  /** How many looks a checkpoint takes behind which a job is rescaled; undefined = it is aborted. */
  rescaleLooks: number | undefined = 1
  /** TaskManagers of which jobs have slots; undefined = the first ones. */
  usedTaskManagers: readonly string[] | undefined
  slotsRequired = 0
  /** undefined = it never ends by itself. */
  looksUntilFinished: number | undefined = 3
  failure: string | undefined
  readonly rescales: number[] = []
  /** Specs that were carried out beside what runs. */
  readonly live: ClusterSpec[] = []
  /** What was submitted, and what there was at the store for it to go on from. */
  readonly starts: FakeStart[] = []
  /** A program that is about to run: what it is like is set here. */
  onSubmit: (spec: FlinkJobSpec) => void = () => {}
  readonly progress = new FakeProgress()
  /** Where a job on Kubernetes is told to keep what lies at the store. */
  readonly options: Readonly<Record<string, string>> = {
    'execution.checkpointing.dir': 's3://state',
    'execution.checkpointing.savepoint-dir': 's3://savepoints',
  }

  async observeCluster(): Promise<ObservedCluster> {
    const kind = this.jobManager
    if (kind === 'starting') this.jobManager = 'ready'
    const jobManager =
      kind === 'ready' ? { kind, webAddress: 'http://fake' } : kind === 'ended' ? { kind, message: 'jobmanager-0 ended with exit code 1' } : { kind }
    const problems = this.problems === undefined ? {} : { problems: this.problems }
    return { jobManager, taskManagers: { running: this.taskManagers, ended: this.endedTaskManagers }, ...problems }
  }

  async observeProgram(spec: FlinkJobSpec): Promise<ObservedProgram> {
    const message = this.invalidPrograms.get(spec.job.script ?? '')
    if (message !== undefined) return { kind: 'invalid', message }
    const { parallelism } = spec.job
    if (parallelism === undefined || this.program.kind !== 'ready') return this.program
    const vertices = this.otherVertices.get(parallelism) ?? Object.keys(this.program.parallelisms ?? {})
    return { ...this.program, slotsNeeded: parallelism, parallelisms: Object.fromEntries(vertices.map(id => [id, parallelism])) }
  }

  async observeStatePlan(question: StatePlanQuestion): Promise<ObservedStatePlan> {
    this.planned.push(question)
    const restorePoint = this.state.get(question.jobId)
    return (
      this.statePlans.get(question.after.job.script ?? '') ?? {
        kind: 'ready',
        restorePoint,
        ignoresUnclaimedState: question.after.job.allowNonRestoredState === true,
        states: [],
      }
    )
  }

  async execute(action: Action): Promise<void> {
    this.history.push(action.kind)
    switch (action.kind) {
      case 'startJobManager':
        if (this.jobManager === 'starting' || this.jobManager === 'ready') {
          this.violations.push('a second JobManager')
          // It knows nothing of those of the first one.
          this.jobs.clear()
        }
        this.claims.begin()
        this.jobManager = 'starting'
        return
      case 'startTaskManagers':
        if (this.jobManager !== 'ready') throw new FlinkError('CONFLICT', 'TaskManagers before their JobManager')
        this.taskManagers = Math.max(this.taskManagers, action.replicas)
        return
      case 'submitJob':
        if (this.jobManager !== 'ready') throw new FlinkError('CONNECTION_REFUSED', 'the JobManager is not up')
        if (this.jobs.has(action.jobId)) return
        this.requireAccepted(action.spec)
        this.progress.savepointMs = undefined
        this.onSubmit(action.spec)
        if (this.results.has(action.jobId)) {
          this.violations.push('a job that has ended is submitted again')
          throw new FlinkError('CONFLICT', `job ${action.jobId} was globally terminated`)
        }
        this.submittedIds.add(action.jobId)
        if ([...this.jobs.values()].some(job => !hasEnded(job))) this.violations.push('a second job')
        this.jobs.set(action.jobId, { state: 'CREATED', looks: 0, parallelism: action.spec.job.parallelism ?? this.slotsNeeded })
        this.dropping.push(action.allowNonRestoredState ?? action.spec.job.allowNonRestoredState)
        this.restored.push(this.state.get(action.jobId) ?? action.initialSavepointPath)
        this.claims.takeOver(action.jobId, this.restored.at(-1), givesStateUp(action))
        this.begun(action.jobId)
        this.starts.push({ jobId: action.jobId, from: this.beginning(action.jobId, action.initialSavepointPath) })
        return
      case 'stopJob': {
        const { jobId, triggerId } = action
        if (this.jobs.get(jobId) === undefined) throw new FlinkError('NOT_FOUND', 'no such job')
        if (this.operations.has(triggerId)) return
        this.operations.set(triggerId, { looks: 0, jobId, stops: true })
        return
      }
      case 'applyLive':
        this.live.push(action.spec)
        return
      case 'rescaleJob':
        return rescale(this.rest(), action)
      case 'forgetResult':
        this.results.delete(action.jobId)
        return
      case 'removeState':
        if (this.storeFailure !== undefined) throw new FlinkError('EXTERNAL_SYSTEM', this.storeFailure)
        this.state.delete(action.jobId)
        this.claims.forget()
        this.results.delete(action.jobId)
        this.submittedIds.delete(action.jobId)
        return
      case 'cancelJob': {
        const job = this.jobs.get(action.jobId)
        if (job === undefined) throw new FlinkError('NOT_FOUND', 'no such job')
        if (hasEnded(job)) throw new FlinkError('CONFLICT', `the job has ${job.state} already`)
        job.state = 'CANCELLING'
        return
      }
      case 'stopTaskManagers':
        if (action.keep === undefined && [...this.jobs.values()].some(({ state }) => state === 'RUNNING'))
          this.violations.push('TaskManagers stopped under a running job')
        this.taskManagers = Math.min(this.taskManagers, action.keep ?? 0)
        for (const { state, parallelism } of this.jobs.values())
          if (state === 'RUNNING' && this.slots < parallelism && action.keep !== undefined)
            this.violations.push('a slot of a running job is taken away')
        this.endedTaskManagers = []
        return
      case 'stopJobManager':
        for (const [jobId, { state }] of this.jobs) if (state === 'RUNNING') this.leave(jobId, `checkpoint of ${jobId}`)
        this.jobManager = 'missing'
        this.claims.end()
        this.jobs.clear()
    }
  }

  /** From here the job goes on the next time. */
  private leave(jobId: string, location: string): void {
    this.state.set(jobId, location)
    this.claims.completed(jobId, location)
    this.left(jobId, location)
  }

  /** A run of the job has begun. */
  protected begun(_jobId: string): void {}

  /** It goes on from there. */
  protected left(_jobId: string, _location: string): void {}

  private beginning(jobId: string, path: string | undefined): FakeStart['from'] {
    const left = this.state.get(jobId)
    if (left !== undefined) return left.startsWith('savepoint') ? 'savepoint' : 'checkpoint'
    return path === undefined ? 'none' : 'path'
  }

  private requireAccepted({ job: { script = '' } }: FlinkJobSpec): void {
    const refusal = this.refusedPrograms.get(script)
    if (refusal !== undefined) throw new FlinkError('INVALID_PROGRAM', refusal)
  }

  /** The job goes on behind its last checkpoint when there are slots for it again. */
  loseTaskManager(): void {
    this.taskManagers = Math.max(0, this.taskManagers - 1)
    for (const job of this.jobs.values()) {
      if (job.state !== 'RUNNING') continue
      job.state = 'RESTARTING'
      job.isRescaled = true
      this.progress.restartedMs++
    }
  }

  /** As a process that is killed: what runs was checkpointed a moment ago. */
  loseJobManager(kind: 'missing' | 'ended' = 'ended'): void {
    for (const [jobId, { state }] of this.jobs) if (state === 'RUNNING') this.leave(jobId, `checkpoint of ${jobId}`)
    this.claims.end()
    this.jobs.clear()
    this.operations.clear()
    this.jobManager = kind
  }

  async catalogue(_spec: FlinkJobSpec): Promise<Catalogue> {
    return this.catalogueOfJobs()
  }

  catalogueOfJobs(): Catalogue {
    const read = <T>(value: () => T) => {
      this.catalogueReads++
      if (this.storeFailure !== undefined) throw new FlinkError('EXTERNAL_SYSTEM', this.storeFailure)
      return value()
    }
    const newest = (jobId: string): RestorePoint | undefined => {
      const location = this.state.get(jobId)
      if (location === undefined) return undefined
      const kind = location.startsWith('savepoint') ? 'savepoint' : 'checkpoint'
      return { checkpointId: 7, kind, location, timestampMs: 3_000, sizeBytes: 1, generation: 1, epoch: 2 }
    }
    return {
      knows: async jobId => read(() => this.submittedIds.has(jobId)),
      newest: async jobId => read(() => newest(jobId)),
      retained: async jobId => read(() => [newest(jobId)].filter(point => point !== undefined)),
      resultOf: async jobId => read(() => this.results.get(jobId)),
      forgetResult: async jobId => read(() => void this.results.delete(jobId)),
      snapshotAt: async location =>
        read(() => {
          if (this.emptyPaths.has(location)) throw new FlinkError('INVALID_ARGUMENT', `there is no savepoint at ${location}`)
          return { kind: 'savepoint', location, jobId: 'f'.repeat(32), timestampMs: 3_000 }
        }),
      disposeSavepoint: async () => {},
      removeJob: async jobId =>
        read(() => {
          this.state.delete(jobId)
          this.results.delete(jobId)
          this.submittedIds.delete(jobId)
        }),
    }
  }

  /** The job ends for good, and how is stored. */
  end(jobId: string, state: EndedJob['state'], failureCause: string | null = null): void {
    const job = this.jobs.get(jobId)
    if (job !== undefined) job.state = state
    this.claims.jobEnded(jobId)
    this.results.set(jobId, { jobId, name: 'fake', state, startTimeMs: 1_000, endTimeMs: 2_000, netRuntimeMs: 1_000, failureCause, savepoint: null })
  }

  readonly rest = (): RestClient =>
    ({
      job: async (jobId: string) => this.jobInfo(jobId),
      jobsOverview: async () => ({ jobs: [...this.jobs].map(([jid, { state }]) => ({ jid, name: 'fake', state })) }),
      jobStatus: async (jobId: string) => this.runningJob(jobId).state,
      jobExceptions: async (jobId: string) => this.runningJob(jobId) && this.progress.exceptions(this.failure),
      checkpointStatistics: async (jobId: string) => this.runningJob(jobId) && this.progress.statistics(),
      checkpointConfig: async (jobId: string) =>
        this.runningJob(jobId) && { interval: this.progress.checkpointIntervalMs, timeout: 60_000, tolerable_failed_checkpoints: 0 },
      jobMetrics: async (jobId: string) => this.runningJob(jobId) && [{ id: 'numRestarts', value: String(this.progress.restarts) }],
      triggerSavepoint: async (jobId: string, { triggerId }: { readonly triggerId: string }) => {
        this.requireRunning(jobId)
        if (!this.operations.has(triggerId)) this.operations.set(triggerId, { looks: 0, jobId, stops: false })
        return triggerId
      },
      triggerCheckpoint: async (jobId: string, { triggerId }: { readonly triggerId: string }) => {
        this.requireRunning(jobId)
        if (!this.operations.has(triggerId)) this.operations.set(triggerId, { looks: 0, jobId, stops: false, isCheckpoint: true })
        return triggerId
      },
      checkpointPath: async (jobId: string) => `checkpoint of ${jobId}`,
      operation: async (_kind: string, _jobId: string, triggerId: string): Promise<AsyncOperationJson> => this.operation(triggerId),
      resourceRequirements: async (jobId: string) => this.requirementsOf(this.runningJob(jobId)),
      putResourceRequirements: async (jobId: string, requirements: ResourceRequirementsJson) => this.rescaled(jobId, requirements),
      taskManagers: async () =>
        Array.from({ length: this.taskManagers }, (_, index) => {
          const id = `taskmanager-${index}`
          const [job] = this.jobs.values()
          const isUsed = this.usedTaskManagers?.includes(id) ?? index * this.slotsPerTaskManager < (job?.parallelism ?? 0)
          return { id, slotsNumber: this.slotsPerTaskManager, freeSlots: isUsed ? 0 : this.slotsPerTaskManager }
        }),
      overview: async () => ({ 'millrace-slots-required': this.slotsRequired }),
      // The controller asks nothing else.
    }) as unknown as RestClient

  private get slotsPerTaskManager(): number {
    return this.program.kind === 'ready' ? this.program.slotsPerTaskManager : 1
  }

  private get vertexIds(): readonly string[] {
    return this.program.kind === 'ready' ? Object.keys(this.program.parallelisms ?? {}) : []
  }

  private get slotsNeeded(): number {
    return this.program.kind === 'ready' ? this.program.slotsNeeded : 1
  }

  private get slots(): number {
    return this.taskManagers * this.slotsPerTaskManager
  }

  /** What nobody has asked for is what it was submitted with. */
  private requirementsOf({ requirements, parallelism }: FakeJob): ResourceRequirementsJson {
    return requirements ?? Object.fromEntries(this.vertexIds.map(id => [id, { parallelism: { lowerBound: 1, upperBound: parallelism } }]))
  }

  private requireRunning(jobId: string): void {
    const { state } = this.runningJob(jobId)
    if (state !== 'RUNNING') throw new FlinkError('INVALID_ARGUMENT', `the job is ${state}, a snapshot needs one that is RUNNING`)
  }

  private runningJob(jobId: string): FakeJob {
    const job = this.jobs.get(jobId)
    if (job === undefined) throw new FlinkError('NOT_FOUND', `job ${jobId} not found`)
    return job
  }

  /** As the JobManager does it: what it cannot do is refused at once, and it goes to what there are slots for. */
  private rescaled(jobId: string, requirements: ResourceRequirementsJson): void {
    const job = this.runningJob(jobId)
    const unknown = Object.keys(requirements).find(id => !this.vertexIds.includes(id))
    if (unknown !== undefined) throw new FlinkError('INVALID_ARGUMENT', `job ${jobId} has no vertex ${unknown}`)
    if (this.rescaleRefusal !== undefined) throw new FlinkError('INVALID_ARGUMENT', this.rescaleRefusal)
    if (job.state !== 'RUNNING') throw new FlinkError('CONFLICT', `the job is ${job.state}; it can be rescaled while it is RUNNING`)
    const wanted = Math.max(...Object.values(requirements).map(({ parallelism }) => parallelism.upperBound))
    this.rescales.push(wanted)
    job.requirements = requirements
    job.rescale = { to: Math.min(wanted, this.slots), looks: this.rescaleLooks }
  }

  private operation(triggerId: string): AsyncOperationJson {
    const operation = this.operations.get(triggerId)
    if (operation === undefined) throw new FlinkError('NOT_FOUND', `there is no operation ${triggerId}`)
    if (operation.looks++ === 0) return { status: { id: 'IN_PROGRESS' }, operation: null }
    if (this.savepointFailure !== undefined)
      return {
        status: { id: 'COMPLETED' },
        operation: { 'failure-cause': { class: 'E', 'stack-trace': `${this.savepointFailure}\n at x`, 'serialized-throwable': '' } },
      }
    const job = this.jobs.get(operation.jobId)
    if (job !== undefined && operation.stops) {
      job.state = 'FINISHED'
      this.claims.jobEnded(operation.jobId)
    }
    if (operation.isCheckpoint === true) return { status: { id: 'COMPLETED' }, operation: { checkpointId: 7 } }
    const before = this.savepoints.get(triggerId)
    const location = before ?? this.nextSavepoint(operation.jobId)
    this.savepoints.set(triggerId, location)
    if (before === undefined) {
      this.leave(operation.jobId, location)
      this.progress.savepointMs = 3_000
    }
    return { status: { id: 'COMPLETED' }, operation: { location } }
  }

  /** The first one of a job has no number. */
  private nextSavepoint(jobId: string): string {
    const number = [...this.savepoints.values()].filter(location => location.endsWith(` of ${jobId}`)).length + 1
    return `savepoint${number === 1 ? '' : ` ${number}`} of ${jobId}`
  }

  private jobInfo(jobId: string): JobInfo {
    if (this.restFailure !== undefined) throw this.restFailure
    const job = this.jobs.get(jobId)
    if (job === undefined) throw new FlinkError('NOT_FOUND', `job ${jobId} not found`)
    const { state, parallelism } = job
    if (state === 'CREATED') job.state = 'RUNNING'
    else if (state === 'CANCELLING') this.end(jobId, 'CANCELED')
    else if (state === 'RUNNING' && this.taskManagers > 0 && this.looksUntilFinished !== undefined && ++job.looks >= this.looksUntilFinished) {
      this.end(jobId, this.failure === undefined ? 'FINISHED' : 'FAILED', this.failure ?? null)
    }
    if (state === 'RESTARTING' && job.isRescaled === true && this.slots >= job.parallelism) {
      job.state = 'RUNNING'
      job.isRescaled = false
    } else if (job.state === 'RUNNING' && job.rescale?.looks !== undefined && job.rescale.looks-- === 0) {
      this.leave(jobId, `checkpoint of ${jobId}`)
      job.state = 'RESTARTING'
      job.isRescaled = true
      this.progress.restartedMs++
      job.parallelism = job.rescale.to
      job.rescale = undefined
    }
    // Only what the controller reads.
    return {
      jid: jobId,
      name: 'fake',
      state,
      ...(job.message === undefined ? {} : { 'millrace-message': job.message }),
      ...(this.checkpointProblem === undefined ? {} : { 'millrace-checkpoint-problem': this.checkpointProblem }),
      vertices: this.vertexIds.map(id => ({ id, parallelism, tasks: { [state]: parallelism } })),
      'start-time': 1_000,
      timestamps: { [state]: 2_000, RESTARTING: this.progress.restartedMs },
    } as unknown as JobInfo
  }
}

function hasEnded({ state }: FakeJob): boolean {
  return ['FINISHED', 'CANCELED', 'FAILED'].includes(state)
}

/** What such a start goes on from is for its spec to say. */
function givesStateUp({ spec: { job }, initialSavepointPath }: Extract<Action, { kind: 'submitJob' }>): boolean {
  return job.upgradeMode === 'stateless' || (job.savepointRedeployNonce !== undefined && job.initialSavepointPath === initialSavepointPath)
}
