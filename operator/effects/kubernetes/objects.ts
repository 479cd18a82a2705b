import { assert } from '../../../runtime/common/assert.ts'
import type { ClusterRole } from '../../../runtime/common/cluster-sockets.ts'
import { processOptions } from '../../../runtime/common/options.ts'
import { type ClusterSpec, type FlinkJobSpec, KIND as JOB_KIND } from '../../api/flink-job.ts'
import { SESSION_KIND } from '../../api/flink-session.ts'
import { LOG_LEVEL } from '../../api/operator-options.ts'
import type { KubeObject, ObjectMeta } from '../../kube/object-api.ts'
import { type Component, jobManagerPod, PORTS, type PodParts, plannerPod, taskManagerPod, uploaderPod } from './pod-specs.ts'
import { hasStandby, jobManagersOf, standbyOptions } from './standby.ts'

/**
 * The objects that stand for a cluster on Kubernetes, as they shall be: pure. Decision 0029 says why they are these.
 *
 *   Secret      <name>-token             of the cluster, made once
 *               <name>-ca, <name>-jm-tls, <name>-tm-tls: its certificates (cluster-certificates.ts)
 *   ConfigMap   <name>-config-<hash>     options, as config.yaml; <name>-program-<hash>: the text of an inline program
 *               <name>-log             how much is logged, which may change under pods that run
 *   Service     <name>-jobmanager        headless: where TaskManagers find their JobManager; <name>-rest: REST and the web page
 *   StatefulSet <name>-jm, <name>-tm     the processes
 *   ServiceAccount, Role, RoleBinding <name>-jm, Lease: of JobManagers that stand by for each other (standby-objects.ts)
 *   Ingress     <name>-rest              where spec.ingress asks for one
 *   Pod         <name>-plan-<hash>       plans a program (planner-pods.ts); <name>-upload-<hash>: takes it to the JobManager of a session (uploader-pods.ts)
 *
 * All are owned by the object that the cluster belongs to: they go with it.
 */
export interface ClusterOwner {
  readonly apiVersion: string
  readonly kind: typeof JOB_KIND | typeof SESSION_KIND
  readonly name: string
  readonly namespace: string
  readonly uid: string
}

export interface ClusterSettings {
  /** Of the operator: where spec.image says none. */
  readonly image: string
  /** A digest of a text in lower-case hex, at least 32 digits. */
  readonly hash: (text: string) => string
}

export interface ClusterInput {
  readonly owner: ClusterOwner
  readonly spec: ClusterSpec | FlinkJobSpec
  readonly settings: ClusterSettings
  /** The Secret with the token of the cluster; default: one of the owner. */
  readonly tokenName?: string
  /** Of JobManagers that stand by: they go on with what was submitted to those of the same start. */
  readonly startId?: string
}

const HASH_LENGTH = 10
const INTERNAL_TLS = processOptions.internalTls.key
/** Of a StatefulSet of JobManagers that stand by: which start it is. Applied again it stays. */
export const START = 'millrace.dev/start'
/** Where the spec says nothing: a job that is stopped to be started again keeps its state. */
const DEFAULT_OPTIONS = { 'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION' }

export const names = {
  token: (name: string) => `${name}-token`,
  config: (name: string, hash: string) => `${name}-config-${hash}`,
  program: (name: string, hash: string) => `${name}-program-${hash}`,
  rpcService: (name: string) => `${name}-jobmanager`,
  restService: (name: string) => `${name}-rest`,
  jobManager: (name: string) => `${name}-jm`,
  taskManager: (name: string) => `${name}-tm`,
  planner: (name: string, hash: string) => `${name}-plan-${hash}`,
  log: (name: string) => `${name}-log`,
  uploader: (name: string, hash: string) => `${name}-upload-${hash}`,
  ingress: (name: string) => `${name}-rest`,
}

/** Where the certificates of a cluster lie. */
export function certificateSecrets(name: string): Readonly<Record<'authority' | ClusterRole, string>> {
  return { authority: `${name}-ca`, jobmanager: `${name}-jm-tls`, taskmanager: `${name}-tm-tls` }
}

/** Processes of a cluster speak TLS with each other unless its options say otherwise. */
export function hasTls({ flinkConfiguration }: ClusterSpec): boolean {
  return flinkConfiguration[INTERNAL_TLS] !== 'false'
}

export function webAddress({ name, namespace }: Pick<ClusterOwner, 'name' | 'namespace'>): string {
  return `http://${names.restService(name)}.${namespace}.svc:${PORTS.rest}`
}

/** Whose value is the name of the object that a cluster belongs to, by the kind of that. */
export const CLUSTER_LABELS = { [JOB_KIND]: 'millrace.dev/job', [SESSION_KIND]: 'millrace.dev/session' } as const
/** What all objects of all clusters have. */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'millrace' } as const

/** By which all objects of a cluster are found; of one kind of process with its component. */
export function selectorLabels(owner: Pick<ClusterOwner, 'kind' | 'name'>, component?: Component): Readonly<Record<string, string>> {
  return { [CLUSTER_LABELS[owner.kind]]: owner.name, ...(component === undefined ? {} : { 'app.kubernetes.io/component': component }) }
}

function labelsOf(owner: ClusterOwner, component?: Component): Readonly<Record<string, string>> {
  return {
    'app.kubernetes.io/name': 'millrace',
    'app.kubernetes.io/instance': owner.name,
    ...MANAGED_BY,
    ...selectorLabels(owner, component),
  }
}

export function metadataOf(owner: ClusterOwner, name: string, component?: Component, annotations?: Readonly<Record<string, string>>): ObjectMeta {
  const { apiVersion, kind, uid } = owner
  return {
    name,
    namespace: owner.namespace,
    labels: labelsOf(owner, component),
    ...(annotations === undefined ? {} : { annotations }),
    ownerReferences: [{ apiVersion, kind, name: owner.name, uid, controller: true, blockOwnerDeletion: true }],
  }
}

/** The file of an inline program, by the name that messages about it have. */
export function programOf(spec: ClusterSpec | FlinkJobSpec): { readonly fileName: string; readonly text: string } | undefined {
  const { script, sql } = jobOf(spec) ?? {}
  if (script !== undefined) return { fileName: 'job.ts', text: script }
  return sql === undefined ? undefined : { fileName: 'job.sql', text: sql }
}

export function jobOf(spec: ClusterSpec | FlinkJobSpec): FlinkJobSpec['job'] | undefined {
  return 'job' in spec ? spec.job : undefined
}

/** What the processes of a cluster are started with, and its state is looked for with. */
export function optionsOf({ owner, spec }: Pick<ClusterInput, 'owner' | 'spec'>): Readonly<Record<string, string>> {
  return { ...DEFAULT_OPTIONS, ...spec.flinkConfiguration, ...standbyOptions(owner, spec) }
}

export function configurationText(input: ClusterInput): string {
  // JSON is YAML, and needs no rules about quotes.
  return `${JSON.stringify(optionsOf(input), undefined, 2)}\n`
}

export function shortHash({ settings }: ClusterInput, text: string): string {
  return settings.hash(text).slice(0, HASH_LENGTH)
}

/** What pods read: the ConfigMaps, and how they are named in them. */
export function readObjects(input: ClusterInput): readonly KubeObject[] {
  const { owner, spec } = input
  const parts = podParts(input)
  const program = programOf(spec)
  const configuration = configMap(owner, parts.configName, { 'config.yaml': configurationText(input) })
  if (program === undefined || parts.program?.configMapName === undefined) return [configuration]
  return [configuration, configMap(owner, parts.program.configMapName, { [program.fileName]: program.text })]
}

/** In the order in which they are applied. */
export function jobManagerObjects(input: ClusterInput): readonly KubeObject[] {
  const { owner } = input
  return [
    ...readObjects(input),
    service(owner, names.rpcService(owner.name), [{ name: 'rpc', port: PORTS.rpc }], true),
    service(owner, names.restService(owner.name), [{ name: 'rest', port: PORTS.rest }], false),
    statefulSet(input, 'jobmanager', jobManagersOf(input.spec)),
    ...liveObjects(input),
  ]
}

/** What is applied to a cluster that runs as well: pods see the text of the ConfigMap change, the API server does the rest. */
export function liveObjects(input: ClusterInput): readonly KubeObject[] {
  const { owner, spec } = input
  const ingress = ingressOf(input)
  const { immutable: _, ...level } = configMap(owner, names.log(owner.name), { level: spec.flinkConfiguration[LOG_LEVEL] ?? '' })
  return [{ ...level, metadata: metadataOf(owner, names.log(owner.name), 'jobmanager') } as KubeObject, ...(ingress === undefined ? [] : [ingress])]
}

export function taskManagerObjects(input: ClusterInput, replicas: number): readonly KubeObject[] {
  return [...readObjects(input).slice(0, 1), statefulSet(input, 'taskmanager', replicas)]
}

export function tokenSecret(owner: ClusterOwner, base64Token: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadataOf(owner, names.token(owner.name)),
    type: 'Opaque',
    immutable: true,
    data: { token: base64Token },
  }
}

/** What the pods of a cluster have in common. */
export function podParts(input: ClusterInput): PodParts {
  const { owner, spec, settings } = input
  const job = jobOf(spec)
  const image = spec.image ?? settings.image
  const source = programOf(spec)
  const programHash =
    job === undefined
      ? undefined
      : settings.hash(
          JSON.stringify([source?.text ?? job.module, job.entryClass, image, ...(job.moduleDigest === undefined ? [] : [job.moduleDigest])]),
        )
  return {
    name: owner.name,
    namespace: owner.namespace,
    labels: component => labelsOf(owner, component),
    image,
    spec,
    configName: names.config(owner.name, shortHash(input, configurationText(input))),
    tokenName: input.tokenName ?? names.token(owner.name),
    logName: names.log(owner.name),
    ...(input.startId === undefined ? {} : { standby: { startId: input.startId, accountName: spec.serviceAccount ?? names.jobManager(owner.name) } }),
    ...(hasTls(spec) ? { certificateNames: certificateSecrets(owner.name) } : {}),
    ...(job === undefined || programHash === undefined
      ? {}
      : {
          program: {
            entry: job.entryClass,
            hash: programHash,
            ...(source === undefined
              ? { path: job.module ?? '', ...(job.moduleDigest === undefined ? {} : { digest: job.moduleDigest }) }
              : { path: source.fileName, configMapName: names.program(owner.name, shortHash(input, source.text)) }),
          },
        }),
  }
}

/** What becomes of a job's state in the program; asked on another occasion it is another question. */
interface StateQuestion {
  readonly jobId: string
  readonly occasion: string
  readonly allowNonRestoredState: boolean
}

/** The pod is the last of them, named by all that its answer depends on: one that is there has the answer. */
export function plannerObjects(
  input: ClusterInput & { readonly spec: FlinkJobSpec },
  deadlineS: number,
  state?: StateQuestion,
): readonly KubeObject[] {
  const { args, parallelism } = input.spec.job
  const question = state === undefined ? {} : { stateOf: state.jobId, allowNonRestoredState: state.allowNonRestoredState }
  const pod = plannerPod(podParts(input), { args, ...(parallelism === undefined ? {} : { parallelism }), ...question }, deadlineS)
  return [...readObjects(input), namedPod(input, 'planner', pod, shortHash(input, JSON.stringify([pod, state?.occasion])))]
}

/** The pod is the last of them, named by what it uploads and where to. */
export function uploaderObjects(input: ClusterInput & { readonly spec: FlinkJobSpec }, address: string, deadlineS: number): readonly KubeObject[] {
  const pod = uploaderPod(podParts(input), address, deadlineS)
  return [...readObjects(input), namedPod(input, 'uploader', pod, shortHash(input, JSON.stringify(pod)))]
}

function namedPod(input: ClusterInput, component: 'planner' | 'uploader', pod: object, hash: string): KubeObject {
  const { owner } = input
  const { metadata, spec } = pod as { readonly metadata: ObjectMeta; readonly spec: unknown }
  const named = metadataOf(owner, names[component](owner.name, hash), component)
  return { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, ...named, labels: { ...metadata.labels, ...named.labels } }, spec }
}

function statefulSet(input: ClusterInput, component: 'jobmanager' | 'taskmanager', replicas: number): KubeObject {
  const { owner } = input
  const parts = podParts(input)
  const name = component === 'jobmanager' ? names.jobManager(owner.name) : names.taskManager(owner.name)
  const { startId } = input
  assert(component === 'taskmanager' || hasStandby(input.spec) === (startId !== undefined), 'JobManagers that stand by, and no others, have a start')
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: metadataOf(owner, name, component, component === 'taskmanager' || startId === undefined ? undefined : { [START]: startId }),
    spec: {
      replicas,
      serviceName: names.rpcService(owner.name),
      podManagementPolicy: 'Parallel',
      // When pods change is for the rules to say: they stop the cluster and start it.
      updateStrategy: { type: 'OnDelete' },
      selector: { matchLabels: selectorLabels(owner, component) },
      template: component === 'jobmanager' ? jobManagerPod(parts) : taskManagerPod(parts),
    },
  }
}

function configMap(owner: ClusterOwner, name: string, data: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadataOf(owner, name), immutable: true, data }
}

function service(
  owner: ClusterOwner,
  name: string,
  ports: readonly { readonly name: string; readonly port: number }[],
  isHeadless: boolean,
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadataOf(owner, name, 'jobmanager'),
    spec: {
      type: 'ClusterIP',
      ...(isHeadless ? { clusterIP: 'None', publishNotReadyAddresses: true } : {}),
      selector: selectorLabels(owner, 'jobmanager'),
      ports: ports.map(port => ({ ...port, targetPort: port.name, protocol: 'TCP' })),
    },
  }
}

/** `{{name}}.example.com/path`, or `/{{namespace}}/{{name}}` for any host. */
function ingressOf({ owner, spec: { ingress } }: ClusterInput): KubeObject | undefined {
  if (ingress === undefined) return undefined
  const { template, className, annotations = {}, labels = {}, tls } = ingress
  const address = template
    .replaceAll('{{name}}', owner.name)
    .replaceAll('{{namespace}}', owner.namespace)
    .replace(/^\w+:\/\//, '')
  const slash = address.indexOf('/')
  const [host, path] = slash < 0 ? [address, '/'] : [address.slice(0, slash), address.slice(slash)]
  const metadata = metadataOf(owner, names.ingress(owner.name), 'jobmanager')
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      ...metadata,
      labels: { ...labels, ...metadata.labels },
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: {
      ...(className === undefined ? {} : { ingressClassName: className }),
      ...(tls === undefined ? {} : { tls }),
      rules: [
        {
          ...(host === '' ? {} : { host }),
          http: {
            paths: [
              {
                path,
                pathType: 'ImplementationSpecific',
                backend: { service: { name: names.restService(owner.name), port: { name: 'rest' } } },
              },
            ],
          },
        },
      ],
    },
  }
}
