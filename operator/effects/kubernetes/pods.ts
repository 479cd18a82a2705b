import type { KubeObject, ObjectMeta } from '../../kube/object-api.ts'
import type { ProcessProblem } from '../actions.ts'

/**
 * What is wrong with the pods of a cluster, in words: pure. A pod is asked from the outside in: was it made at all (its StatefulSet says why not), has it a node, does its
 * image come, does its container start, does it stay up. The first answer is the reason, as Kubernetes names it; a pod that is on its way has none.
 */

interface ContainerState {
  readonly waiting?: { readonly reason?: string; readonly message?: string }
  readonly running?: { readonly startedAt?: string }
  readonly terminated?: Terminated
}

export interface Terminated {
  readonly exitCode: number
  readonly signal?: number
  readonly reason?: string
  readonly message?: string
  readonly finishedAt?: string
}

interface ContainerStatus {
  readonly name: string
  readonly ready?: boolean
  readonly restartCount?: number
  readonly image?: string
  readonly state?: ContainerState
  readonly lastState?: ContainerState
}

interface PodCondition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
}

export interface Pod {
  readonly metadata: ObjectMeta
  readonly spec?: { readonly nodeName?: string }
  readonly status?: {
    readonly phase?: string
    readonly reason?: string
    readonly message?: string
    readonly conditions?: readonly PodCondition[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
    readonly containerStatuses?: readonly ContainerStatus[]
  }
}

/** What Kubernetes hands out as a pod is one. */
export function asPod(object: KubeObject): Pod {
  return object as unknown as Pod
}

export function isReady({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp === undefined && status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
}

/** The number at the end of a name that a StatefulSet has given. */
export function ordinalOf({ metadata }: Pick<Pod, 'metadata'>): number {
  return Number(/-(\d+)$/.exec(metadata.name)?.[1] ?? -1)
}

export function podProblem(pod: Pod, process: string, isLost: boolean): ProcessProblem | undefined {
  const { metadata, spec, status = {} } = pod
  const about = (reason: string, message: string): ProcessProblem => ({ process, reason, message: `${process} (pod ${metadata.name}) ${message}` })
  if (isLost)
    return about(
      'NodeLost',
      `was to end at ${metadata.deletionTimestamp} and nobody says that it has: node ${spec?.nodeName ?? 'unknown'} does not answer`,
    )
  if (metadata.deletionTimestamp !== undefined) return undefined
  if (status.phase === 'Failed' && status.reason !== undefined)
    return about(status.reason, `was ended by its node: ${sentence(status.reason, status.message)}`)
  const scheduled = status.conditions?.find(({ type }) => type === 'PodScheduled')
  if (scheduled?.status === 'False')
    return about(scheduled.reason ?? 'Unschedulable', `waits for a node: ${sentence(scheduled.reason ?? 'Unschedulable', scheduled.message)}`)
  for (const container of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]) {
    const found = containerProblem(container)
    if (found !== undefined) return about(found.reason, `container ${container.name} ${found.message}`)
  }
  if (status.conditions?.some(({ type, status, reason }) => type === 'Ready' && status === 'Unknown' && reason === 'NodeStatusUnknown') === true)
    return about('NodeStatusUnknown', `may run or not: its node ${spec?.nodeName ?? ''} does not answer`)
  return undefined
}

const IMAGE_REASONS: ReadonlySet<string> = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ErrImageInspect',
  'RegistryUnavailable',
])
/** Not yet, and nothing is wrong. */
const ON_ITS_WAY: ReadonlySet<string> = new Set(['ContainerCreating', 'PodInitializing'])

function containerProblem({ image, state = {}, lastState = {}, restartCount = 0 }: ContainerStatus): { reason: string; message: string } | undefined {
  const { waiting, terminated } = state
  const last = terminated ?? lastState.terminated
  if (waiting?.reason !== undefined && !ON_ITS_WAY.has(waiting.reason)) {
    if (IMAGE_REASONS.has(waiting.reason))
      return { reason: waiting.reason, message: `has no image ${image ?? ''}: ${sentence(waiting.reason, waiting.message)}` }
    if (waiting.reason === 'CrashLoopBackOff' && last !== undefined)
      return {
        reason: last.reason === 'OOMKilled' ? 'OOMKilled' : 'CrashLoopBackOff',
        message: `ends again and again, ${times(restartCount)} so far: ${endOf(last)}`,
      }
    return { reason: waiting.reason, message: `cannot be started: ${sentence(waiting.reason, waiting.message)}` }
  }
  if (last === undefined || last.exitCode === 0) return undefined
  if (terminated !== undefined) return { reason: last.reason ?? 'Error', message: `has ended: ${endOf(last)}` }
  // It runs again; that it was short of memory is worth knowing all the same.
  return last.reason === 'OOMKilled' ? { reason: 'OOMKilled', message: `runs again after ${ends(restartCount)}: ${endOf(last)}` } : undefined
}

const SAID_MAX = 1_000

/** How a container has ended, with what it said last. */
export function endOf({ exitCode, signal, reason, message }: Terminated): string {
  const said = message === undefined || message.trim() === '' ? '' : `; it said last:\n${message.trim().slice(-SAID_MAX)}`
  if (reason === 'OOMKilled') return `it needed more memory than its limit and was killed (exit code ${exitCode})${said}`
  return `it ended with exit code ${exitCode}${signal === undefined ? '' : ` by signal ${signal}`}${reason === undefined || reason === 'Error' ? '' : ` (${reason})`}${said}`
}

interface StatefulSetObject {
  readonly spec?: { readonly replicas?: number }
}

export function replicasOf(set: KubeObject): number {
  // As we, or whoever scales it, have written it.
  return (set as StatefulSetObject).spec?.replicas ?? 1
}

/** Of the pods that are not there though their StatefulSet wants them: the newest of its warnings, as quota, a webhook or a missing account make them. */
export function creationProblem(set: KubeObject, process: string, podCount: number, events: readonly KubeObject[]): ProcessProblem | undefined {
  const missing = replicasOf(set) - podCount
  if (missing <= 0) return undefined
  const newest = events.filter(event => event['reason'] === 'FailedCreate' && isAbout(event, set)).sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1))[0]
  if (newest === undefined) return undefined
  const note = typeof newest['note'] === 'string' ? newest['note'] : 'no reason is given'
  return { process, reason: 'FailedCreate', message: `${missing} of ${replicasOf(set)} pods of ${set.metadata.name} cannot be made: ${note}` }
}

/** What keeps a pod whose containers are not even created: volumes that cannot be mounted, a network that is not there. */
export function mountProblem(pod: Pod, process: string, events: readonly KubeObject[]): ProcessProblem | undefined {
  const isCreating =
    pod.status?.phase === 'Pending' && pod.status.containerStatuses?.every(({ state }) => ON_ITS_WAY.has(state?.waiting?.reason ?? '')) === true
  if (!isCreating) return undefined
  const newest = events.filter(event => event['type'] === 'Warning' && isAbout(event, pod)).sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1))[0]
  if (newest === undefined) return undefined
  const reason = String(newest['reason'])
  return { process, reason, message: `${process} (pod ${pod.metadata.name}) is not started: ${sentence(reason, String(newest['note'] ?? ''))}` }
}

/** How long before a pod was made the one in its place may have been ended. */
const REPLACED_MS = 60_000

/** What ended the pod that this one replaces: it is gone before anybody looks, and only its warning says why. */
export function replacedProblem(pod: Pod, process: string, events: readonly KubeObject[]): ProcessProblem | undefined {
  const { name, uid, creationTimestamp = '' } = pod.metadata
  const sinceMs = Date.parse(creationTimestamp) - REPLACED_MS
  const newest = events
    .filter(event => {
      const regarding = event['regarding'] as { readonly name?: string; readonly uid?: string } | undefined
      return event['reason'] === 'Evicted' && regarding?.name === name && regarding.uid !== uid && Date.parse(timeOf(event)) >= sinceMs
    })
    .sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1))[0]
  if (newest === undefined) return undefined
  return {
    process,
    reason: 'Evicted',
    message: `${process} (pod ${name}) was ended by its node, and is replaced: ${sentence('Evicted', String(newest['note'] ?? ''))}`,
  }
}

function isAbout(event: KubeObject, { metadata }: { readonly metadata: ObjectMeta }): boolean {
  const regarding = event['regarding'] as { readonly name?: string; readonly uid?: string } | undefined
  return regarding?.uid === metadata.uid && regarding?.name === metadata.name
}

/** Older clients fill the fields that go by `deprecated`. */
function timeOf(event: KubeObject): string {
  const series = event['series'] as { readonly lastObservedTime?: string } | undefined
  return String(series?.lastObservedTime ?? event['deprecatedLastTimestamp'] ?? event['eventTime'] ?? event.metadata.creationTimestamp ?? '')
}

function sentence(reason: string, message: string | undefined): string {
  return message === undefined || message === '' ? reason : `${reason}: ${message}`
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}

function ends(count: number): string {
  return count === 1 ? 'its end' : `${count} ends`
}
