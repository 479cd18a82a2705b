import type { JsonObject } from '../common/json.ts'
import type { JobEdge, JobGraph, JobVertex } from './job-graph.ts'

/** What the JobMaster sends to a TaskManager for one slot: all subtasks of one region in that slot at once, so that edges inside the slot are known. */
export interface SlotDeployment {
  readonly jobId: string
  readonly jobName: string
  readonly generation: number
  /** Index among the regions of the graph (regions.ts): each is deployed, and ended, by itself. */
  readonly region: number
  /** How often the region was deployed before. */
  readonly attempt: number
  readonly allocationId: string
  readonly artifact: ArtifactRef
  /** Arguments of the program (`main(env, args)`). */
  readonly args: readonly string[]
  readonly configuration: Readonly<Record<string, string>>
  readonly runtimeMode: JobGraph['runtimeMode']
  readonly tasks: readonly TaskDeployment[]
}

export interface ArtifactRef {
  /** sha256, hex. */
  readonly digest: string
  /** Name of the export that is the program; 'default' unless -c says otherwise. */
  readonly entry: string
}

export interface TaskDeployment {
  /** 32 hex, new for each attempt of a subtask. */
  readonly executionId: string
  readonly vertex: JobVertex
  readonly subtaskIndex: number
  readonly inputs: readonly InputDeployment[]
  readonly outputs: readonly OutputDeployment[]
  /** A `TaskRestore` of runtime/checkpoint; null = it begins empty. */
  readonly restore: JsonObject | null
}

export interface InputDeployment {
  readonly edge: JobEdge
  readonly channels: readonly ChannelDeployment[]
}

export interface OutputDeployment {
  readonly edge: JobEdge
  /** One per consumer subtask that this subtask can reach, in order of consumer subtask index (RESCALE and FORWARD: only theirs). */
  readonly channels: readonly ChannelDeployment[]
  readonly consumerParallelism: number
  readonly consumerMaxParallelism: number
}

export interface ChannelDeployment {
  /** `channelId` or, of a blocking edge, `resultChannelId` of channels.ts. */
  readonly channelId: string
  /** The other side. */
  readonly peer: ChannelPeer
  readonly peerSubtaskIndex: number
}

export type ChannelPeer =
  | { readonly kind: 'slot' }
  /** Another slot of the same TaskManager. */
  | { readonly kind: 'local'; readonly allocationId: string }
  /** The results of this TaskManager: what is written to a blocking edge, and what is read of one that was written here. */
  | { readonly kind: 'result' }
  | { readonly kind: 'remote'; readonly taskManagerId: string; readonly host: string; readonly dataPort: number }
