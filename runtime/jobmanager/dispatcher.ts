import { endText } from '../checkpoint/job-results.ts'
import type { Timer } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import { isId, newId } from '../common/ids.ts'
import { canonicalJson } from '../common/json.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { type ResourceRequirements, withParallelisms } from '../graph/rescale.ts'
import type { CancelAnswer, JobSubmission } from '../rpc/job-manager-gateway.ts'
import { endedJob, removeStored } from './job-clearing.ts'
import { JobMaster, type JobMasterServices } from './job-master.ts'
import { isOver, isTerminalStatus } from './job-status.ts'
import type { RecoveredJob } from './job-store.ts'
import { missingEnumerators } from './source-coordinators.ts'

/**
 * Takes jobs, makes a JobMaster for each, and keeps the ones that ended for `completed-application-store.expiration-time`, so that
 * clients can still ask for their result. Submitting is idempotent by job id, for a client repeats a submit whose answer was lost.
 */
export interface DispatcherOptions {
  readonly services: Omit<JobMasterServices, 'onTerminal'>
  readonly completedJobExpirationMs: number
  /** A job that ended is no longer known. */
  readonly onForgotten: () => void
}

/** Beyond it the oldest ended job is forgotten early. */
const completedJobsMax = 1_000

export class Dispatcher {
  private readonly options: DispatcherOptions
  /** In order of submission. */
  private readonly jobs = new Map<string, JobMaster>()
  /** In order of their end. */
  private readonly completed = new Map<string, Timer>()
  /** They are on their way out of this JobManager. */
  private readonly leaving = new Set<string>()
  private closed = false

  constructor(options: DispatcherOptions) {
    this.options = options
  }

  /** Answered when the job is where the next JobManager finds it. */
  async submit(submission: JobSubmission, artifact: () => Promise<Uint8Array>): Promise<string> {
    if (this.closed) throw new FlinkError('CONFLICT', 'the jobmanager is shutting down and takes no jobs')
    const { services } = this.options
    const jobId = submission.jobId ?? newId(services.random)
    if (!isId(jobId)) throw new FlinkError('INVALID_ARGUMENT', `job id ${jobId} is not 32 lower-case hex digits`)
    const jobGraph = graphOf(submission)
    await this.forgetIfToldTo(jobId)
    const known = this.jobs.get(jobId)
    if (this.leaving.has(jobId)) throw new FlinkError('EXTERNAL_SYSTEM', `job ${jobId} is being released, and can be submitted again behind that`)
    if (known !== undefined) {
      if (known.job.artifact.digest === submission.artifact.digest && sameGraph(known.job.jobGraph, jobGraph)) return jobId
      throw new FlinkError('CONFLICT', `job ${jobId} was already submitted, with another program`)
    }
    this.check(jobGraph)
    const jobMaster = this.make(jobId, jobGraph, submission)
    this.jobs.set(jobId, jobMaster)
    try {
      await this.refuseEnded(jobId)
    } catch (error) {
      this.jobs.delete(jobId)
      throw error
    }
    try {
      if (services.jobStore !== undefined) await services.jobStore.add(jobId, submission, await artifact())
    } catch (error) {
      this.jobs.delete(jobId)
      throw new FlinkError('EXTERNAL_SYSTEM', `job ${submission.name} could not be stored for high availability, and is not started`, {}, error)
    }
    const { state } = jobMaster
    if (state === 'CREATED') jobMaster.start()
    // Cancelled meanwhile, and perhaps cleared before all of it was there: the next JobManager must not find it.
    else if (isTerminalStatus(state)) {
      await services.results?.record(endedJob(await jobMaster.result, null))
      await removeStored(jobId, services)
    }
    return jobId
  }

  /** Of one that is to run again under its id nothing is remembered here either. */
  private async forgetIfToldTo(jobId: string): Promise<void> {
    const { results } = this.options.services
    const known = this.jobs.get(jobId)
    if (known === undefined || !isTerminalStatus(known.state) || results?.keepsResults !== true) return
    await known.whenCleared
    if ((await results.resultOf(jobId)) !== undefined || this.jobs.get(jobId) !== known) return
    this.completed.get(jobId)?.cancel()
    this.completed.delete(jobId)
    this.jobs.delete(jobId)
  }

  /** One that has ended under this id is not run again, whoever remembers it. */
  private async refuseEnded(jobId: string): Promise<void> {
    const ended = await this.options.services.results?.resultOf(jobId)
    if (ended === undefined) return
    const detail = { jobId, state: ended.state, globallyTerminated: true }
    throw new FlinkError(
      'CONFLICT',
      `Job has already been submitted. Job ${jobId} (${ended.name}) was globally terminated: ${endText(ended)}`,
      detail,
    )
  }

  /** What the JobManager before has left. */
  recover({ jobId, submission, size, result }: RecoveredJob): void {
    const { services } = this.options
    const { log } = services
    const submitted = graphOf(submission)
    const jobGraph = size === undefined ? submitted : withParallelisms(submitted, size.parallelisms)
    const jobMaster = this.make(jobId, jobGraph, submission, size?.requirements)
    if (result !== undefined) {
      log.info('a job that has ended is cleared', { jobId, result: result.state })
      void jobMaster.clearAfter(result)
      return
    }
    log.info(`job ${submission.name} is recovered`, { jobId })
    this.jobs.set(jobId, jobMaster)
    jobMaster.start()
  }

  private make(jobId: string, jobGraph: JobGraph, { artifact, args }: JobSubmission, requirements?: ResourceRequirements): JobMaster {
    return new JobMaster({ jobId, jobGraph, artifact, args, requirements }, { ...this.options.services, onTerminal: ended => this.retain(ended) })
  }

  job(jobId: string): JobMaster | undefined {
    return this.jobs.get(jobId)
  }

  all(): readonly JobMaster[] {
    return [...this.jobs.values()]
  }

  running(): readonly JobMaster[] {
    return this.all().filter(job => !isOver(job.state))
  }

  cancel(jobId: string): CancelAnswer {
    const job = this.jobs.get(jobId)
    if (job === undefined) return { kind: 'not-found' }
    if (isTerminalStatus(job.state)) return { kind: 'already-terminal', state: job.state }
    job.cancel()
    return { kind: 'accepted' }
  }

  /**
   * Lets one job go as if this JobManager ended: one that runs is suspended, and whoever submits it again goes on from its newest checkpoint. Of one that has ended
   * nothing is remembered here; how it has ended stays at the store. It is known until that is done.
   */
  release(jobId: string): 'accepted' | 'not-found' {
    const job = this.jobs.get(jobId)
    if (job === undefined) return 'not-found'
    if (this.leaving.has(jobId)) return 'accepted'
    this.leaving.add(jobId)
    job.suspend()
    void this.letGo(job)
    return 'accepted'
  }

  private async letGo(job: JobMaster): Promise<void> {
    const { jobId } = job.job
    const { jobStore, log } = this.options.services
    try {
      await job.whenCleared
      // The next JobManager must not find it.
      if (job.state === 'SUSPENDED') await jobStore?.remove(jobId)
      this.forget(jobId)
    } catch (error) {
      // It is here until somebody asks again.
      log.warn('a job could not be released', { jobId, error: String(error) })
    } finally {
      this.leaving.delete(jobId)
    }
  }

  /** Takes nothing more. Jobs are cancelled, or suspended where they may be gone on with: that a cluster ends is not how its jobs have ended. */
  close(): void {
    this.closed = true
    for (const job of this.running()) {
      if (job.outlivesJobManager || this.options.services.results !== undefined) job.suspend()
      else job.cancel()
    }
    for (const timer of this.completed.values()) timer.cancel()
  }

  private retain(job: JobMaster): void {
    const { jobId } = job.job
    if (!this.closed) {
      const { services, completedJobExpirationMs } = this.options
      this.completed.set(
        jobId,
        services.clock.schedule(completedJobExpirationMs, () => this.forget(jobId)),
      )
      const oldest = this.completed.keys().next().value
      if (this.completed.size > completedJobsMax && oldest !== undefined) this.forget(oldest)
    }
  }

  private forget(jobId: string): void {
    this.completed.get(jobId)?.cancel()
    this.completed.delete(jobId)
    this.jobs.delete(jobId)
    this.options.onForgotten()
  }

  private check(jobGraph: JobGraph): void {
    if (!Array.isArray(jobGraph.vertices) || !Array.isArray(jobGraph.edges))
      throw new FlinkError('INVALID_ARGUMENT', 'the job graph has no vertices or no edges')
    if (jobGraph.vertices.length === 0) throw new FlinkError('INVALID_PROGRAM', `job ${jobGraph.jobName} has no operators`)
    for (const { name, parallelism } of jobGraph.vertices) {
      if (!Number.isInteger(parallelism) || parallelism < 1) throw new FlinkError('INVALID_ARGUMENT', `vertex ${name} has parallelism ${parallelism}`)
    }
    // Barriers would wait for tasks that are not there yet.
    const blocking = jobGraph.edges.find(edge => edge.exchange === 'blocking')
    if (blocking !== undefined && jobGraph.runtimeMode !== 'BATCH')
      throw new FlinkError('UNSUPPORTED', `edge ${blocking.id} is a blocking exchange, which jobs that are not in batch mode cannot have`)
    const missing = missingEnumerators(jobGraph, this.options.services.enumerators)
    if (missing.length > 0) throw new FlinkError('UNSUPPORTED', `this jobmanager has no source ${missing.join(', ')}`)
  }
}

/** Made by buildJobGraph in the planner; validated as far as it is relied on. */
function graphOf(submission: JobSubmission): JobGraph {
  return { ...submission.jobGraph, jobName: submission.name } as unknown as JobGraph
}

/** A graph that came over the network has lost its undefined fields; both are compared as JSON. */
function sameGraph(a: JobGraph, b: JobGraph): boolean {
  return canonicalJson(JSON.parse(JSON.stringify(a))) === canonicalJson(JSON.parse(JSON.stringify(b)))
}
