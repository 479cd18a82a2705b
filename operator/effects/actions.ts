import type { Catalogue } from '../../runtime/checkpoint/catalogue.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { ClusterSpec, FlinkJobSpec } from '../api/flink-job.ts'

/**
 * What a controller may do to the world, as data. Every action is idempotent: it names what shall be there afterwards, and carries the spec
 * that was saved as intended, never the one that may have been edited since.
 */
export type Action =
  | { readonly kind: 'startJobManager'; readonly spec: ClusterSpec }
  /** As many as are missing of `replicas`. */
  | { readonly kind: 'startTaskManagers'; readonly spec: ClusterSpec; readonly replicas: number }
  /** A second submission under the same id finds the job and changes nothing. */
  | {
      readonly kind: 'submitJob'
      readonly spec: FlinkJobSpec
      readonly jobId: string
      /** What it begins with while there is no checkpoint under its id. */
      readonly initialSavepointPath?: string
      /** More than the spec allows, for this start: somebody has approved it. */
      readonly allowNonRestoredState?: boolean
    }
  | { readonly kind: 'cancelJob'; readonly jobId: string }
  /** That it has ended is forgotten at the store: it is to run again under its id. */
  | { readonly kind: 'forgetResult'; readonly spec: FlinkJobSpec; readonly jobId: string }
  /** To these parallelisms by vertex id, behind a checkpoint. One that was asked for them before is left alone, unless `again` says otherwise. */
  | {
      readonly kind: 'rescaleJob'
      readonly jobId: string
      readonly parallelisms: Readonly<Record<string, number>>
      readonly again: boolean
    }
  /** All that lies at the store under its id. */
  | { readonly kind: 'removeState'; readonly spec: FlinkJobSpec; readonly jobId: string }
  /** With a savepoint, under a trigger's id: asked for again it is the same one. */
  | { readonly kind: 'stopJob'; readonly jobId: string; readonly triggerId: string }
  /** Of a cluster that runs: what of the spec needs no restart (job/live.ts). */
  | { readonly kind: 'applyLive'; readonly spec: ClusterSpec }
  /** Answers when they have ended: those past the first `keep`, all where it is absent. */
  | { readonly kind: 'stopTaskManagers'; readonly keep?: number }
  | { readonly kind: 'stopJobManager' }

/** What starts and ends processes; the others are asked of a JobManager, or done at the store. */
export type ProcessAction = Extract<
  Action,
  { readonly kind: 'startJobManager' | 'startTaskManagers' | 'applyLive' | 'stopTaskManagers' | 'stopJobManager' }
>

/** What an action needs is on its way: it is tried again soon, and nothing is wrong. */
export class NotYet extends FlinkError {
  constructor(message: string) {
    super('EXTERNAL_SYSTEM', message)
  }
}

/** The JobManager of one FlinkJob, as it was found. */
export type ObservedJobManager =
  | { readonly kind: 'missing' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'ready'; readonly webAddress: string }
  /** It ended by itself. */
  | { readonly kind: 'ended'; readonly message: string }

export interface ObservedTaskManagers {
  /** That live, registered or not. */
  readonly running: number
  /** Those that ended by themselves, with what is known about it. */
  readonly ended: readonly { readonly message: string; readonly wasReady: boolean }[]
}

/** What keeps a process from being there or staying up, though nobody has to start it again. */
export interface ProcessProblem {
  /** `jobmanager`, `taskmanager-0`, `planner`, `session`; `checkpoints` where it is of none of them. */
  readonly process: string
  /** One word, as Kubernetes has it: ImagePullBackOff, CrashLoopBackOff, Unschedulable, OOMKilled. */
  readonly reason: string
  readonly message: string
}

export interface ObservedCluster {
  readonly jobManager: ObservedJobManager
  readonly taskManagers: ObservedTaskManagers
  /** Absent where processes that do not stay up are `ended`. */
  readonly problems?: readonly ProcessProblem[]
  /** Of a job that shares the processes of a session: those above are its part in them. */
  readonly session?: SharedCluster
}

export type Eviction = 'deletion' | 'restart'

export interface SharedCluster {
  readonly name: string
  /** Why no job can be started there now. */
  readonly unavailable?: string
  /** It is to go away, or to be restarted: its jobs suspend themselves, before a restart those that upgrade by savepoint. */
  readonly evicts?: Eviction
}

/** The program after bundling and planning: nothing is started for one that cannot run. */
export type ObservedProgram =
  | { readonly kind: 'pending' }
  | {
      readonly kind: 'ready'
      readonly jobName: string
      readonly slotsNeeded: number
      readonly slotsPerTaskManager: number
      /** By vertex id; absent: there are too many to be told. */
      readonly parallelisms?: Readonly<Record<string, number>>
    }
  | { readonly kind: 'invalid'; readonly message: string }

/** What becomes of the state of a job in another program; see job/state-plan.ts. */
export type ObservedStatePlan =
  | { readonly kind: 'pending' }
  | StatePlan
  /** It will be tried again. */
  | { readonly kind: 'failed'; readonly message: string }

export interface StatePlan {
  readonly kind: 'ready'
  /** Undefined = there is nothing that the job could go on from. */
  readonly restorePoint: string | undefined
  /** Of the program and its spec: what it does not declare may be dropped. */
  readonly ignoresUnclaimedState: boolean
  readonly states: readonly PlannedState[]
}

export interface PlannedState {
  /** Name of the operator; its uid, if it has one. */
  readonly operator: string
  readonly uid?: string
  /** Empty: all states of the operator. */
  readonly name: string
  readonly outcome: 'kept' | 'new' | 'dropped' | 'incompatible'
  readonly why?: string
}

export interface StatePlanQuestion {
  readonly jobId: string
  /** The spec that is carried out, and the one that is to take its state over. */
  readonly before: FlinkJobSpec
  readonly after: FlinkJobSpec
  /** Asked under another name it is planned anew: the job may have gone on since. */
  readonly occasion: string
}

/** The processes of a cluster. */
export interface ClusterProcesses {
  observeCluster(): Promise<ObservedCluster>
  execute(action: ProcessAction): Promise<void>
  /** REST of the JobManager; CONNECTION_REFUSED while none is up. */
  rest(): Promise<RestClient>
}

/** The program of a FlinkJob, on whatever cluster it runs. */
export interface JobPrograms extends Pick<Executor, 'observeProgram' | 'observeStatePlan' | 'catalogue'> {
  /** As `catalogue`, once it is known; EXTERNAL_SYSTEM where that is not waited for. */
  plannedCatalogue(spec: FlinkJobSpec): Promise<Catalogue>
  submit(rest: RestClient, action: Extract<Action, { readonly kind: 'submitJob' }>): Promise<void>
}

/** Executors: child processes of this machine, a fake in tests, Kubernetes later. All pass the same contract tests. */
export interface Executor {
  observeCluster(): Promise<ObservedCluster>
  observeProgram(spec: FlinkJobSpec): Promise<ObservedProgram>
  /** Looked at, not waited for. Both programs have been observed to be ready, or cannot be. */
  observeStatePlan(question: StatePlanQuestion): Promise<ObservedStatePlan>
  /** What there is at the store of jobs that run with this spec. Undefined = it is not known yet where that is, which the program may say. */
  catalogue(spec: FlinkJobSpec): Promise<Catalogue | undefined>
  /** Rejects with a `FlinkError`; its code says whether trying again can help. */
  execute(action: Action): Promise<void>
}
