import type { ClusterSpec, FlinkJobManifest, IngressSpec, ProcessSpec } from '../api/flink-job.ts'
import type { FlinkSessionManifest } from '../api/flink-session.ts'
import { templateProblems } from '../effects/kubernetes/pod-template.ts'
import type { Problem } from './problems.ts'

/** The fields that say how pods are made, from the manifest to the spec as it is carried out. Where there are no pods they were refused before. */
type Spec = FlinkJobManifest['spec'] | FlinkSessionManifest['spec']

export function podFieldsOf(
  spec: Spec,
): Pick<ClusterSpec, 'image' | 'imagePullPolicy' | 'serviceAccount' | 'podTemplate' | 'jobManager' | 'ingress'> {
  const { image, imagePullPolicy, serviceAccount, podTemplate, jobManager, ingress } = spec
  const replicas = jobManager?.replicas ?? 1
  const process = { ...(replicas === 1 ? {} : { replicas }), ...processOf(jobManager) }
  return {
    ...(image === undefined ? {} : { image }),
    ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
    ...(serviceAccount === undefined ? {} : { serviceAccount }),
    ...(podTemplate === undefined ? {} : { podTemplate }),
    ...(Object.keys(process).length === 0 ? {} : { jobManager: process }),
    ...(ingress === undefined ? {} : { ingress: defined(ingress) as IngressSpec }),
  }
}

export function processOf({ resources, podTemplate }: Spec['jobManager'] | Spec['taskManager'] = { replicas: 1 }): ProcessSpec {
  return {
    ...(resources === undefined ? {} : { resources: defined(resources) as NonNullable<ProcessSpec['resources']> }),
    ...(podTemplate === undefined ? {} : { podTemplate }),
  }
}

/** What no schema says: what a template may not. */
export function podProblems(spec: Spec | undefined): readonly Problem[] {
  if (spec === undefined) return []
  const templates: readonly [readonly string[], Spec['podTemplate']][] = [
    [['spec', 'podTemplate'], spec.podTemplate],
    [['spec', 'jobManager', 'podTemplate'], spec.jobManager?.podTemplate],
    [['spec', 'taskManager', 'podTemplate'], spec.taskManager?.podTemplate],
  ]
  return templates.flatMap(([at, template]) =>
    templateProblems(template ?? {}).map(({ path, message }) => ({ path: [...at, ...path], message, atKey: true })),
  )
}

const STORAGE = 'high-availability.storageDir'
/** What the operator says of JobManagers that stand by, by the option. */
const OF_STANDBY = ['high-availability.type', 'high-availability.cluster-id']

/** JobManagers that stand by for each other take over what lies at a store. */
export function standbyProblems(spec: Spec | undefined, configuration: Readonly<Record<string, string>>): readonly Problem[] {
  if ((spec?.jobManager?.replicas ?? 1) === 1) return []
  const set = OF_STANDBY.filter(key => configuration[key] !== undefined)
  const messages = [
    ...(configuration[STORAGE] === undefined
      ? [
          `above 1 needs ${STORAGE} in spec.flinkConfiguration: a place that outlives pods, such as s3://bucket/folder, where the JobManager that takes over finds the jobs`,
        ]
      : []),
    ...set.map(key => `above 1 says ${key} itself: remove it from spec.flinkConfiguration`),
  ]
  return messages.map(message => ({ path: ['spec', 'jobManager', 'replicas'], message, atKey: true }))
}

/** Absent fields, not undefined ones: the spec is compared and stored as JSON. */
function defined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined))
}
