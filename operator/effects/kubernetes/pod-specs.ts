import { assert } from '../../../runtime/common/assert.ts'
import type { ClusterSpec, ProcessSpec } from '../../api/flink-job.ts'
import { INIT_CONTAINER, MAIN_CONTAINER, merged, sharedWithProgram } from './pod-template.ts'

/**
 * What runs in the pods of a cluster: pure. Every pod keeps to the restricted Pod Security standard: no root, no rights, a root file system that is read only. None has a token
 * of the API server, but for JobManagers that stand by for each other, whose container has one in which only a Lease is open to them. What a process writes lies in two emptyDirs, which stay over a restart of its container.
 */
export type Component = 'jobmanager' | 'taskmanager' | 'planner' | 'uploader'

/** Of each pod; they are nobody's choice, for nobody else listens there. */
export const PORTS = { rest: 8081, rpc: 6123, data: 6122 } as const

export interface PodParts {
  readonly name: string
  readonly namespace: string
  readonly labels: (component: Component) => Readonly<Record<string, string>>
  readonly image: string
  readonly spec: ClusterSpec
  readonly configName: string
  readonly tokenName: string
  readonly logName: string
  /** Secrets with the certificates of its processes, by what they are; absent: they speak without TLS. */
  readonly certificateNames?: Readonly<Record<'jobmanager' | 'taskmanager', string>>
  /** Of JobManagers that stand by for each other. */
  readonly standby?: { readonly startId: string; readonly accountName: string }
  /** Absent for a cluster that jobs come to by themselves. */
  readonly program?: Program
}

export interface Program {
  readonly entry: string
  /** In the image, or its address; of an inline program the name of its file. */
  readonly path: string
  /** Of a path that is an address. */
  readonly digest?: string
  readonly configMapName?: string
  /** Of the program and the image: the jar that it becomes is named by it. */
  readonly hash: string
}

type Json = Readonly<Record<string, unknown>>

/** The entry point of the runtime image, said again for images that are built on it and change it. */
export const LAUNCHER = ['node', '--disable-warning=ExperimentalWarning', '/opt/millrace/dist/millrace.js']
const HOME = '/opt/millrace'
const WORK = '/var/lib/millrace'
const UPLOADS = `${WORK}/uploads`
const CONFIGURATION = '/etc/millrace'
const LOG = '/etc/millrace-log'
const TOKEN = '/var/run/secrets/millrace'
const CERTIFICATES = '/var/run/secrets/millrace-tls'
/** Where every client of an API server looks for it. */
const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
/** The kubelet replaces a token when a fifth of this is left; Kubernetes' own value. */
const ACCOUNT_TOKEN_S = 3_607
/** Beside the packages of the image, so that imports of a program find them. */
const PROGRAM = '/opt/millrace/program'
/** Longer than a JobManager that is alive takes to answer; a lost connection is noticed by heartbeats long before. */
const UNREACHABLE_S = 30

/** As the JobManager stores uploads: the name of the file is the id. */
export function jarIdOf({ name, program }: Pick<PodParts, 'name' | 'program'>): string {
  const digits = program?.hash ?? ''
  const uuid = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20, 32)].join('-')
  return `${uuid}_${name}.mjs`
}

export function jobManagerPod(parts: PodParts): Json {
  const { standby } = parts
  const probe = { httpGet: { path: '/config', port: 'rest' }, timeoutSeconds: 5 }
  // Who stands by does not listen, however long: it is not ready, and nothing is wrong. A leader that hangs loses its Lease.
  const startup = standby === undefined ? { startupProbe: { ...probe, periodSeconds: 2, failureThreshold: 60 } } : {}
  const liveness = standby === undefined ? { livenessProbe: { ...probe, periodSeconds: 10, failureThreshold: 6 } } : {}
  const main = {
    name: MAIN_CONTAINER,
    args: [
      'jobmanager',
      '--log-format',
      'json',
      ...dynamic({
        'env.log.level-file': `${LOG}/level`,
        'jobmanager.rpc.address': '$(POD_IP)',
        'jobmanager.rpc.port': PORTS.rpc,
        'rest.bind-address': '0.0.0.0',
        'rest.port': PORTS.rest,
        'rest.require-token': true,
        'cluster.token-file': `${TOKEN}/token`,
        'web.upload.dir': UPLOADS,
        ...(standby === undefined ? {} : { 'high-availability.start-id': standby.startId }),
        ...tlsOptions(parts),
      }),
    ],
    ports: [
      { name: 'rest', containerPort: PORTS.rest, protocol: 'TCP' },
      { name: 'rpc', containerPort: PORTS.rpc, protocol: 'TCP' },
    ],
    ...startup,
    readinessProbe: { ...probe, periodSeconds: 2, failureThreshold: 3 },
    ...liveness,
  }
  const bundle = programContainer(parts, INIT_CONTAINER, ['--output', `${UPLOADS}/${jarIdOf(parts)}`])
  return podOf(parts, 'jobmanager', main, bundle)
}

export function taskManagerPod(parts: PodParts): Json {
  const main = {
    name: MAIN_CONTAINER,
    args: [
      'taskmanager',
      '--log-format',
      'json',
      ...dynamic({
        'env.log.level-file': `${LOG}/level`,
        'jobmanager.rpc.address': `${parts.name}-jobmanager.${parts.namespace}.svc`,
        'jobmanager.rpc.port': PORTS.rpc,
        'cluster.token-file': `${TOKEN}/token`,
        'taskmanager.host': '$(POD_IP)',
        'taskmanager.data.port': PORTS.data,
        'taskmanager.resource-id': 'taskmanager-$(POD_INDEX)',
        ...tlsOptions(parts),
      }),
    ],
    ports: [{ name: 'data', containerPort: PORTS.data, protocol: 'TCP' }],
    readinessProbe: { tcpSocket: { port: 'data' }, periodSeconds: 2, failureThreshold: 3 },
  }
  return podOf(parts, 'taskmanager', main, undefined)
}

function tlsOptions({ certificateNames }: PodParts): Readonly<Record<string, string | boolean>> {
  return certificateNames === undefined ? {} : { 'security.ssl.internal.enabled': true, 'security.ssl.internal.certificates': CERTIFICATES }
}

export interface PlanRequest {
  readonly args: readonly string[]
  readonly parallelism?: number
  /** The job that the program is to go on with. */
  readonly stateOf?: string
  readonly allowNonRestoredState?: boolean
}

/** Says in its termination message what the program needs, or why it is refused. */
export function plannerPod(parts: PodParts, plan: PlanRequest, deadlineS: number): Json {
  const { args, parallelism, stateOf, allowNonRestoredState } = plan
  const options = [
    '--summary',
    '/dev/termination-log',
    ...(parallelism === undefined ? [] : ['--parallelism', String(parallelism)]),
    ...(stateOf === undefined ? [] : ['--stateOf', stateOf]),
    ...(allowNonRestoredState === true ? ['--allowNonRestoredState'] : []),
  ]
  const main = programContainer(parts, MAIN_CONTAINER, options, args)
  assert(main !== undefined, 'a program is planned')
  return endingPod(parts, 'planner', main, deadlineS)
}

/** Takes the bundle of a program to the JobManager of a session, and says in its termination message which jar it is there. */
export function uploaderPod(parts: PodParts, address: string, deadlineS: number): Json {
  const options = ['--upload', '/dev/termination-log', '--jobmanager', address, ...dynamic({ 'rest.token-file': `${TOKEN}/token` })]
  const main = programContainer(parts, MAIN_CONTAINER, options)
  assert(main !== undefined, 'a program is uploaded')
  return endingPod(parts, 'uploader', main, deadlineS)
}

function endingPod(parts: PodParts, component: 'planner' | 'uploader', main: Container, deadlineS: number): Json {
  const { metadata, spec } = podOf(parts, component, main, undefined) as unknown as PodOfTemplate
  // Containers that a template adds beside ours go on running, and the pod would never end.
  const containers = spec.containers.filter(container => container['name'] === MAIN_CONTAINER)
  return { metadata, spec: { ...spec, containers, restartPolicy: 'Never', activeDeadlineSeconds: deadlineS, automountServiceAccountToken: false } }
}

function programContainer(parts: PodParts, name: string, options: readonly string[], args: readonly string[] = []): Container | undefined {
  const { program } = parts
  if (program === undefined) return undefined
  const path = program.configMapName === undefined ? program.path : `${PROGRAM}/${program.path}`
  const pinned = program.digest === undefined ? [] : ['--digest', program.digest]
  return {
    name,
    // What comes from elsewhere finds the packages of the image.
    ...(program.digest === undefined ? {} : { workingDir: HOME }),
    args: ['bundle', '--class', literal(program.entry), ...pinned, ...options, literal(path), ...args.map(literal)],
  }
}

interface Container {
  readonly name: string
  readonly args: readonly string[]
  readonly [other: string]: unknown
}

/** A process of the cluster has its token; what runs a program has its text, and no secret. What uploads one runs nothing of it. */
function podOf(parts: PodParts, component: Component, main: Container, bundle: Container | undefined): Json {
  const { spec, configName, tokenName, program } = parts
  const { resources, podTemplate = {} } = processOf(parts, component)
  const hasToken = component !== 'planner'
  const isProcess = component === 'jobmanager' || component === 'taskmanager'
  const ownsText = component === 'planner' || component === 'uploader'
  const token = { name: 'token', mountPath: TOKEN, readOnly: true }
  const log = { name: 'log-level', mountPath: LOG, readOnly: true }
  const certificateName = component === 'jobmanager' || component === 'taskmanager' ? parts.certificateNames?.[component] : undefined
  const certificates = certificateName === undefined ? [] : [{ name: 'certificates', mountPath: CERTIFICATES, readOnly: true }]
  const account = component === 'jobmanager' ? parts.standby?.accountName : undefined
  const text = program?.configMapName === undefined ? [] : [{ name: 'program', mountPath: PROGRAM, readOnly: true }]
  const complete = (container: Container, mounts: readonly Json[]): Json => ({
    ...container,
    image: parts.image,
    ...(spec.imagePullPolicy === undefined ? {} : { imagePullPolicy: spec.imagePullPolicy }),
    command: LAUNCHER,
    env: [
      { name: 'MILLRACE_CONF_DIR', value: CONFIGURATION },
      { name: 'MILLRACE_DIR', value: WORK },
      { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'POD_INDEX', valueFrom: { fieldRef: { fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" } } },
    ],
    ...(resources === undefined ? {} : { resources }),
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    volumeMounts: [
      { name: 'work', mountPath: WORK },
      { name: 'temporary', mountPath: '/tmp' },
      { name: 'configuration', mountPath: CONFIGURATION, readOnly: true },
      ...mounts,
    ],
  })
  const readsText = text.length > 0 && (bundle !== undefined || ownsText)
  const base = {
    automountServiceAccountToken: false,
    ...(account !== undefined
      ? { serviceAccountName: account }
      : spec.serviceAccount === undefined
        ? {}
        : { serviceAccountName: spec.serviceAccount }),
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    ...(bundle === undefined ? {} : { initContainers: [complete(bundle, text)] }),
    containers: [
      complete(main, [
        ...(hasToken ? [token] : []),
        ...(ownsText ? text : []),
        ...(isProcess ? [log] : []),
        ...certificates,
        ...(account === undefined ? [] : [{ name: 'account', mountPath: ACCOUNT, readOnly: true }]),
      ]),
    ],
    volumes: [
      { name: 'work', emptyDir: {} },
      { name: 'temporary', emptyDir: {} },
      { name: 'configuration', configMap: { name: configName } },
      ...(hasToken ? [{ name: 'token', secret: { secretName: tokenName } }] : []),
      ...(certificateName === undefined ? [] : [{ name: 'certificates', secret: { secretName: certificateName } }]),
      ...(isProcess ? [{ name: 'log-level', configMap: { name: parts.logName, optional: true } }] : []),
      ...(account === undefined ? [] : [accountVolume]),
      ...(readsText ? [{ name: 'program', configMap: { name: program?.configMapName } }] : []),
    ],
    // A node that is lost should leave somebody who stands by.
    ...(account === undefined ? {} : { topologySpreadConstraints: [spreadOverNodes(parts.labels('jobmanager'))] }),
    tolerations: ['not-ready', 'unreachable'].map(condition => ({
      key: `node.kubernetes.io/${condition}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: UNREACHABLE_S,
    })),
  }
  const [common, specific] = [spec.podTemplate ?? {}, podTemplate].map(template => (bundle === undefined ? template : sharedWithProgram(template)))
  const templated = merged(merged({ metadata: {}, spec: base }, common), specific) as PodOfTemplate
  // Those of a template come first: they may fetch what the program needs.
  const inits = [...(templated.spec.initContainers ?? [])].sort((a, b) => Number(a['name'] === INIT_CONTAINER) - Number(b['name'] === INIT_CONTAINER))
  return {
    metadata: merged(templated.metadata, { labels: parts.labels(component) }) as Json,
    spec: { ...templated.spec, ...(inits.length === 0 ? {} : { initContainers: inits }) },
  }
}

/** As Kubernetes mounts it by itself, which would be into each container, those that run the program among them. */
const accountVolume = {
  name: 'account',
  projected: {
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: ACCOUNT_TOKEN_S } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
    ],
  },
}

function spreadOverNodes(matchLabels: Readonly<Record<string, string>>): Json {
  return { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway', labelSelector: { matchLabels } }
}

interface PodOfTemplate {
  readonly metadata: Json
  readonly spec: { readonly initContainers?: readonly Json[]; readonly containers: readonly Json[] }
}

/** What plans a program runs what its JobManager will run. */
function processOf({ spec }: PodParts, component: Component): ProcessSpec {
  return (component === 'taskmanager' ? spec.taskManager : spec.jobManager) ?? {}
}

function dynamic(entries: Readonly<Record<string, string | number | boolean>>): readonly string[] {
  return Object.entries(entries).flatMap(([key, value]) => ['-D', `${key}=${value}`])
}

/** Kubernetes replaces `$(NAME)` in arguments; `$$` is a dollar sign. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$')
}
