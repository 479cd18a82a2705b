import type { Catalogue } from '../../../runtime/checkpoint/catalogue.ts'
import { FlinkError } from '../../../runtime/common/errors.ts'
import type { JarRunRequest, RestClient } from '../../../runtime/rest/types.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { configMaps } from '../../kube/resources.ts'
import { fenced } from '../../manager/pass.ts'
import { type Action, type JobPrograms, NotYet, type ProcessProblem } from '../actions.ts'
import type { ClusterScope } from './cluster-scope.ts'
import { type ClusterInput, optionsOf, podParts, readObjects, selectorLabels } from './objects.ts'
import type { ReadyProgram } from './planner-answer.ts'
import { PlannerPods } from './planner-pods.ts'
import { jarIdOf } from './pod-specs.ts'
import { UploaderPods } from './uploader-pods.ts'

/** The program of a FlinkJob: planned by pods, bundled by the pod of its JobManager, or by one that takes it to the JobManager of its session. */
export interface KubernetesProgramsOptions {
  readonly scope: ClusterScope
  /** Of jobs that run with these options. */
  readonly catalogue: (options: Readonly<Record<string, string>>) => Catalogue
  /** How long a program may take to be planned, its image fetched. */
  readonly plannerDeadlineS: number
  /** Of a job that has no cluster of its own. */
  readonly session?: SessionOfPrograms
}

export interface SessionOfPrograms {
  readonly tokenName: string
  /** The spec with what the session says of its pods and options. */
  readonly complete: (spec: FlinkJobSpec) => FlinkJobSpec
}

export interface KubernetesPrograms extends JobPrograms {
  /** Pods of the job that are no processes, and what keeps them from doing their work. */
  problems(pods: readonly KubeObject[]): readonly ProcessProblem[]
}

export function createKubernetesPrograms({ scope, catalogue, plannerDeadlineS, session }: KubernetesProgramsOptions): KubernetesPrograms {
  const { owner, settings, objects, seen, clock } = scope
  const complete = session?.complete ?? ((spec: FlinkJobSpec) => spec)
  const inputOf = (spec: FlinkJobSpec): ClusterInput & { readonly spec: FlinkJobSpec } => ({
    owner,
    spec: complete(spec),
    settings,
    ...(session === undefined ? {} : { tokenName: session.tokenName }),
  })
  const catalogueOf = (spec: FlinkJobSpec, configuration: Readonly<Record<string, string>>) =>
    fenced(catalogue({ ...optionsOf(inputOf(spec)), ...configuration }))
  const planners = new PlannerPods({
    objects,
    seen,
    input: inputOf,
    clock,
    deadlineS: plannerDeadlineS,
    newestOf: async (spec: FlinkJobSpec, { configuration }: ReadyProgram, jobId: string) =>
      (await catalogueOf(spec, configuration).newest(jobId))?.location,
  })
  const uploaders = session === undefined ? undefined : new UploaderPods({ scope, input: inputOf, deadlineS: plannerDeadlineS })
  const known = async (spec: FlinkJobSpec) => {
    const answer = await planners.answer(spec)
    // A program that cannot be planned says nothing: what the manifest says counts.
    return answer === undefined ? undefined : catalogueOf(spec, answer.kind === 'ready' ? answer.configuration : {})
  }

  /** ConfigMaps of programs and options that nothing starts with any more. */
  const removeOutdated = async (wanted: readonly KubeObject[]) => {
    const maps = await objects.list(configMaps, selectorLabels(owner))
    await planners.removeOutdated(maps)
    const kept = new Set(wanted.map(({ metadata }) => metadata.name))
    for (const map of maps)
      if (objects.isOurs(map) && !kept.has(map.metadata.name) && map.metadata.labels?.['app.kubernetes.io/component'] === undefined)
        await objects.removeExactly(configMaps, map)
  }

  const run = async (rest: RestClient, jarId: string, { spec, jobId, ...action }: SubmitJob, more: Pick<JarRunRequest, 'flinkConfiguration'>) => {
    const { args, parallelism, allowNonRestoredState = action.allowNonRestoredState, entryClass } = spec.job
    await rest.runJar(jarId, {
      entryClass,
      programArgsList: args,
      jobId,
      ...more,
      ...(parallelism === undefined ? {} : { parallelism }),
      ...(allowNonRestoredState === undefined ? {} : { allowNonRestoredState }),
      ...(action.initialSavepointPath === undefined ? {} : { savepointPath: action.initialSavepointPath }),
    })
    // The job is submitted whatever comes of this; what is left goes with the next one.
    await removeOutdated(readObjects(inputOf(spec))).catch((error: unknown) => {
      if (!(error instanceof FlinkError)) throw error
    })
  }

  return {
    observeProgram: spec => planners.program(spec),
    observeStatePlan: question => planners.statePlan(question),
    catalogue: known,
    async plannedCatalogue(spec) {
      const found = await known(spec)
      if (found === undefined) throw new NotYet('where the job keeps its state is not known yet: its program is being planned')
      return found
    },
    async submit(rest, action) {
      // Bundled by the JobManager's pod, from the program that its StatefulSet was made with.
      if (uploaders === undefined) return run(rest, jarIdOf(podParts(inputOf(action.spec))), action, {})
      const { flinkConfiguration } = action.spec
      await uploaders.with(rest, action.spec, jarId => run(rest, jarId, action, { flinkConfiguration }))
    },
    problems: pods => [
      ...planners.problems(pods.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'planner')),
      ...(uploaders?.problems(pods) ?? []),
    ],
  }
}

type SubmitJob = Extract<Action, { readonly kind: 'submitJob' }>
