import type { FlinkSession, FlinkSessionSpec, FlinkSessionStatus } from '../api/flink-session.ts'
import { LOG_LEVEL } from '../api/operator-options.ts'
import type { Action, ObservedCluster } from '../effects/actions.ts'

/** What the rules of a session look at and what they answer: data, and small questions about it. */
export interface SessionInput {
  readonly session: FlinkSession
  readonly observed: ObservedSession
  readonly nowMs: number
}

export interface ObservedSession {
  readonly cluster: ObservedCluster
  /** Undefined = nobody could be asked. */
  readonly load: SessionLoad | undefined
  /** FlinkJobs that name the session. */
  readonly jobs: readonly SessionJob[]
}

export interface SessionLoad {
  /** More slots than there are free ones. */
  readonly slotsRequired: number
  readonly slotsTotal: number
  /** How many TaskManagers there have to be so that each that has work is among them: they go from the highest number down. */
  readonly busyUpTo: number
}

export interface SessionJob {
  readonly name: string
  /** Suspended, ended for good, or never started: its cluster may go. */
  readonly isAtRest: boolean
  /** It runs, and its state is to be carried over by a savepoint. */
  readonly needsSavepoint: boolean
  /** Why it is not at rest. */
  readonly message: string | undefined
}

export interface SessionDecision {
  readonly status: FlinkSessionStatus
  readonly actions: readonly Action[]
  readonly requeueAfterMs: number
  /** The status once the actions are done. */
  readonly statusAfter?: FlinkSessionStatus
}

/** What a change of restarts the cluster. */
export function restartingPart({ cluster }: FlinkSessionSpec): string {
  const { ingress: _, flinkConfiguration, ...rest } = cluster
  const { [LOG_LEVEL]: _level, ...options } = flinkConfiguration
  return JSON.stringify({ ...rest, flinkConfiguration: options })
}

/** Between the least and the most that the spec allows: those that have work, and more while jobs wait for slots. */
export function taskManagersNeeded(spec: FlinkSessionSpec, load: SessionLoad, before: number): number {
  const missing = load.slotsRequired <= 0 ? 0 : Math.ceil(load.slotsRequired / spec.slotsPerTaskManager)
  // Slots that are on their way count: `before` of them were asked for, and not all have registered.
  const registered = Math.floor(load.slotsTotal / spec.slotsPerTaskManager)
  const wanted = missing === 0 ? load.busyUpTo : Math.max(before, registered + missing)
  return Math.min(spec.maxTaskManagers, Math.max(spec.minTaskManagers, wanted))
}
