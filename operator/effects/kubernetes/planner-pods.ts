import type { Clock } from '../../../runtime/common/clock.ts'
import { FlinkError } from '../../../runtime/common/errors.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { configMaps, pods } from '../../kube/resources.ts'
import type { ObservedProgram, ObservedStatePlan, ProcessProblem, StatePlan, StatePlanQuestion } from '../actions.ts'
import type { SeenCluster } from './followed-clusters.ts'
import { type ClusterInput, metadataOf, plannerObjects } from './objects.ts'
import type { OwnedObjects } from './owned-objects.ts'
import { answerOf, finishedMs, type ProgramAnswer, plannerState, type ReadyProgram, statePlanOf } from './planner-answer.ts'
import { asPod, podProblem } from './pods.ts'

/**
 * Programs planned in pods: looked at by each pass, never waited for.
 *
 * 1. A pod is named by all that its answer depends on: the program, its arguments, the options, the image. Asked for again it is found, not made again.
 * 2. Its answer is kept in a ConfigMap of the same name, which outlives the operator, and the pod goes.
 * 3. One that ended without an answer is deleted after RETRY_AFTER_MS, and made anew; until then it is a problem, in words.
 *
 * What becomes of a job's state is asked in the same way, by a pod that reads the store as well; that answer holds for one occasion, and is kept in memory only.
 */
const RETRY_AFTER_MS = 10_000
const KEPT_MAX = 4
const ANSWER = 'answer.json'

export interface PlannerPodsOptions {
  readonly objects: OwnedObjects
  readonly seen: SeenCluster
  readonly input: (spec: FlinkJobSpec) => ClusterInput & { readonly spec: FlinkJobSpec }
  readonly clock: Clock
  readonly deadlineS: number
  /** Where a job with this spec, whose program answered this, has left its newest checkpoint. */
  readonly newestOf: (spec: FlinkJobSpec, program: ReadyProgram, jobId: string) => Promise<string | undefined>
}

type Looked = { readonly kind: 'pending' } | { readonly kind: 'failed'; readonly message: string } | ProgramAnswer

export class PlannerPods {
  private readonly options: PlannerPodsOptions
  /** The newest ones that were asked for, by the name of their pod. */
  private readonly known = new Map<string, ProgramAnswer>()
  private readonly asked = new Set<string>()

  constructor(options: PlannerPodsOptions) {
    this.options = options
  }

  async program(spec: FlinkJobSpec): Promise<ObservedProgram> {
    const answer = await this.answer(spec)
    if (answer === undefined) return { kind: 'pending' }
    if (answer.kind === 'invalid') return answer
    const { jobName, slotsNeeded, slotsPerTaskManager, parallelisms } = answer
    return { kind: 'ready', jobName, slotsNeeded, slotsPerTaskManager, ...(parallelisms === undefined ? {} : { parallelisms }) }
  }

  /** Undefined = it is being planned. */
  async answer(spec: FlinkJobSpec): Promise<ProgramAnswer | undefined> {
    const { objects, input, deadlineS } = this.options
    const wanted = plannerObjects(input(spec), deadlineS)
    const { name } = podOf(wanted).metadata
    const known = this.known.get(name)
    if (known !== undefined) return this.remember(name, known)
    this.asked.add(name)
    // While its pod is seen there is no other answer than the one that it has.
    const isSeen = this.seenPod(name) !== undefined
    const kept = isSeen ? undefined : await this.kept(name)
    if (kept !== undefined) {
      // It may be there still, when the last operator died just then.
      await this.removePod(name)
      return this.remember(name, kept)
    }
    const looked = await this.look(wanted)
    if (looked.kind === 'pending' || looked.kind === 'failed') return undefined
    const { owner } = input(spec)
    await objects.createOnce({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadataOf(owner, name, 'planner'),
      immutable: true,
      data: { [ANSWER]: JSON.stringify(looked) },
    })
    await this.removePod(name)
    return this.remember(name, looked)
  }

  async statePlan({ jobId, before, after, occasion }: StatePlanQuestion): Promise<ObservedStatePlan> {
    const { input, deadlineS, newestOf } = this.options
    const to = await this.answer(after)
    if (to === undefined) return { kind: 'pending' }
    if (to.kind === 'invalid') return { kind: 'failed', message: to.message }
    const from = (await this.answer(before)) ?? { kind: 'pending' }
    if (from.kind === 'pending') return { kind: 'pending' }
    // One that cannot be made any more says nothing about where it kept its state.
    const whence = from.kind === 'invalid' ? to : from
    if (whence.checkpointDirectory !== to.checkpointDirectory) return movedState(whence, to, await newestOf(before, whence, jobId))
    const wanted = plannerObjects(input(after), deadlineS, { jobId, occasion, allowNonRestoredState: after.job.allowNonRestoredState === true })
    const { name } = podOf(wanted).metadata
    const known = this.known.get(name)
    const looked = known ?? (await this.look(wanted))
    if (looked.kind === 'pending' || looked.kind === 'failed') return looked
    // The program itself is not refused: what was said of its state is asked again later.
    if (looked.kind === 'invalid') {
      await this.removeLater(name)
      return { kind: 'failed', message: looked.message }
    }
    if (known === undefined) await this.removePod(name)
    this.remember(name, looked)
    return statePlanOf(looked) ?? { kind: 'failed', message: 'the planner has not said what becomes of the state' }
  }

  /** What was planned before and nobody asks for any more, of these ConfigMaps of the owner and of its pods. */
  async removeOutdated(maps: readonly KubeObject[]): Promise<void> {
    const { objects, seen } = this.options
    const isPlanner = ({ metadata }: KubeObject) => metadata.labels?.['app.kubernetes.io/component'] === 'planner'
    for (const [type, all] of [
      [pods, await seen.pods(true)],
      [configMaps, maps],
    ] as const)
      for (const object of all.filter(isPlanner)) {
        const { name } = object.metadata
        const isNeeded = type === pods ? this.asked.has(name) && !this.known.has(name) : this.asked.has(name)
        if (objects.isOurs(object) && !isNeeded) await objects.removeExactly(type, object)
      }
  }

  problems(all: readonly KubeObject[]): readonly ProcessProblem[] {
    return all.flatMap(object => {
      const state = plannerState(asPod(object))
      if (state.kind === 'failed') return [{ process: 'planner', reason: 'PlannerFailed', message: state.message }]
      const found = state.kind === 'pending' ? podProblem(asPod(object), 'planner', false) : undefined
      return found === undefined ? [] : [found]
    })
  }

  private async kept(name: string): Promise<ProgramAnswer | undefined> {
    const { objects } = this.options
    const stored = await objects.find(configMaps, name)
    return stored === undefined || !objects.isOurs(stored) ? undefined : answerOf(String((stored['data'] as Record<string, unknown>)?.[ANSWER]))
  }

  private async removePod(name: string): Promise<void> {
    const { objects } = this.options
    const seen = this.seenPod(name)
    await (seen === undefined ? objects.remove(pods, name) : objects.removeExactly(pods, seen))
  }

  private seenPod(name: string): KubeObject | undefined {
    const pod = this.options.seen.cachedPod(name)
    return pod !== undefined && this.options.objects.isOurs(pod) ? pod : undefined
  }

  private async look(wanted: readonly KubeObject[]): Promise<Looked> {
    const { objects } = this.options
    const pod = podOf(wanted)
    const there = this.seenPod(pod.metadata.name) ?? (await objects.find(pods, pod.metadata.name))
    if (there === undefined) {
      // They never change under their name.
      for (const object of wanted.slice(0, -1)) await objects.createOnce(object)
      await objects.createOnce(pod)
      return { kind: 'pending' }
    }
    if (!objects.isOurs(there)) throw new FlinkError('EXTERNAL_SYSTEM', objects.foreignMessage(there))
    const state = plannerState(asPod(there))
    if (state.kind === 'answered') return state.answer
    if (state.kind === 'failed') await this.removeLater(pod.metadata.name)
    return state
  }

  private async removeLater(name: string): Promise<void> {
    const { objects, clock } = this.options
    const pod = this.seenPod(name) ?? (await objects.find(pods, name))
    if (pod !== undefined && clock.nowMs() - finishedMs(asPod(pod)) > RETRY_AFTER_MS) await objects.removeExactly(pods, pod)
  }

  private remember(name: string, answer: ProgramAnswer): ProgramAnswer {
    // Those that are asked for stay.
    this.known.delete(name)
    this.known.set(name, answer)
    for (const oldest of [...this.known.keys()].slice(0, -KEPT_MAX)) {
      this.known.delete(oldest)
      this.asked.delete(oldest)
    }
    return answer
  }
}

function podOf(wanted: readonly KubeObject[]): KubeObject {
  const pod = wanted.at(-1)
  if (pod === undefined) throw new Error('a planner has a pod')
  return pod
}

function movedState(from: ReadyProgram, to: ReadyProgram, restorePoint: string | undefined): StatePlan {
  if (restorePoint === undefined) return { kind: 'ready', restorePoint, ignoresUnclaimedState: false, states: [] }
  const why = `it lies in ${from.checkpointDirectory ?? 'no store'}, and the edited job looks for it in ${to.checkpointDirectory ?? 'no store'}: execution.checkpointing.dir of a job with state cannot change`
  return { kind: 'ready', restorePoint, ignoresUnclaimedState: false, states: [{ operator: to.jobName, name: '', outcome: 'incompatible', why }] }
}
