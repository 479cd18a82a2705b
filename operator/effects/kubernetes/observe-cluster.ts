import type { KubeObject } from '../../kube/object-api.ts'
import type { ObservedJobManager, ObservedTaskManagers, ProcessProblem } from '../actions.ts'
import type { SeenCluster } from './followed-clusters.ts'
import type { LostPods } from './lost-pods.ts'
import { names } from './objects.ts'
import type { OwnedObjects } from './owned-objects.ts'
import type { Component } from './pod-specs.ts'
import { asPod, creationProblem, isReady, mountProblem, ordinalOf, type Pod, podProblem, replacedProblem, replicasOf } from './pods.ts'

/**
 * What there is of a cluster: two StatefulSets and their pods, and what is wrong with them.
 *
 * - A set that is there stands for the processes it wants: Kubernetes replaces what is lost of them. Without its set a pod is on its way out, and counts until it is gone.
 * - A JobManager whose pod is on a lost node has ended: only we let its name go.
 * - Objects of these names that are not ours are said to be in the way. They are waited for, and never touched.
 */
export interface ObservedSets {
  readonly jobManager: ObservedJobManager
  readonly taskManagers: ObservedTaskManagers
  readonly problems: readonly ProcessProblem[]
  /** Pods that plan programs. */
  readonly planners: readonly KubeObject[]
}

/** Longer than a controller needs for what it does about a new object. */
const QUIET_MS = 5_000

interface Found {
  readonly process: 'jobmanager' | 'taskmanager'
  readonly set: KubeObject | undefined
  readonly pods: readonly Pod[]
}

export interface ObserveParts {
  readonly objects: OwnedObjects
  readonly seen: SeenCluster
  readonly lost: LostPods
}

export async function observeSets(parts: ObserveParts, name: string, nowMs: number): Promise<ObservedSets> {
  const { objects, seen, lost } = parts
  const sets = { jobManager: await seen.set(names.jobManager(name)), taskManager: await seen.set(names.taskManager(name)) }
  const all = await seen.pods(sets.jobManager !== undefined && sets.taskManager !== undefined)
  lost.keep(all)
  const of = (component: Component) => all.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === component)
  const jobManager: Found = {
    process: 'jobmanager',
    set: sets.jobManager,
    pods: of('jobmanager').map(asPod),
  }
  const taskManager: Found = {
    process: 'taskmanager',
    set: sets.taskManager,
    pods: of('taskmanager').map(asPod),
  }
  return {
    jobManager: jobManagerOf(jobManager, objects, lost),
    taskManagers: { running: runningOf(taskManager, lost), ended: [] },
    problems: [...(await problemsOf(jobManager, parts, nowMs)), ...(await problemsOf(taskManager, parts, nowMs))],
    planners: of('planner'),
  }
}

function jobManagerOf({ set, pods: found }: Found, objects: OwnedObjects, lost: LostPods): ObservedJobManager {
  const live = found.filter(pod => !lost.has(pod))
  if (set === undefined) return live.length === 0 ? { kind: 'missing' } : { kind: 'starting' }
  if (!objects.isOurs(set) || set.metadata.deletionTimestamp !== undefined) return { kind: 'starting' }
  const gone = found.find(pod => lost.has(pod))
  if (gone !== undefined && live.length === 0)
    return { kind: 'ended', message: podProblem(gone, 'jobmanager', true)?.message ?? 'the JobManager is lost' }
  // REST is answered by that of the cluster that ran before, while it is on its way out.
  return live.some(pod => isReady(pod) && isOf(pod, set)) ? { kind: 'ready', webAddress: '' } : { kind: 'starting' }
}

/** A pod of an earlier set of that name may be seen for a moment longer than it is there. */
function isOf({ metadata }: Pod, set: KubeObject): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid) === true
}

function runningOf({ set, pods: found }: Found, lost: LostPods): number {
  const live = found.filter(pod => !lost.has(pod))
  if (set === undefined) return live.length
  // A lost one keeps its name from the one that would replace it.
  const held = found.filter(pod => lost.has(pod) && ordinalOf(pod) < replicasOf(set)).length
  return Math.max(live.length, replicasOf(set) - held)
}

async function problemsOf(found: Found, { objects, seen, lost }: ObserveParts, nowMs: number): Promise<readonly ProcessProblem[]> {
  const { process, set } = found
  if (set !== undefined && !objects.isOurs(set)) return [{ process, reason: 'NameTaken', message: objects.foreignMessage(set) }]
  const nameOf = (pod: Pod) => (process === 'jobmanager' ? process : `${process}-${ordinalOf(pod)}`)
  const ofPods = found.pods.flatMap(pod => podProblem(pod, nameOf(pod), lost.has(pod)) ?? [])
  const isOld = ({ metadata }: Pick<KubeObject, 'metadata'>) => nowMs - Date.parse(metadata.creationTimestamp ?? '') > QUIET_MS
  const isIncomplete = set !== undefined && isOld(set) && found.pods.length < replicasOf(set)
  const creating = found.pods.filter(pod => pod.status?.phase === 'Pending' && isOld(pod))
  const starting = found.pods.filter(pod => pod.metadata.deletionTimestamp === undefined && !isReady(pod))
  if (!isIncomplete && starting.length === 0) return ofPods
  const warnings = await seen.warnings()
  const ofSet = set === undefined || !isIncomplete ? undefined : creationProblem(set, process, found.pods.length, warnings)
  const replaced = starting.flatMap(pod => replacedProblem(pod, nameOf(pod), warnings) ?? [])
  const mounting = creating.flatMap(pod => mountProblem(pod, nameOf(pod), warnings) ?? [])
  return [...(ofSet === undefined ? [] : [ofSet]), ...replaced, ...ofPods, ...mounting]
}
