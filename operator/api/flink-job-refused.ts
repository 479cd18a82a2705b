/**
 * Fields of Flink's operator (and of later releases of ours) that are known and not built: refused by name, so that nobody believes that
 * they have an effect. Paths below the document.
 */
const refusedFields: Readonly<Record<string, string>> = {
  'spec.deploymentName': 'name the FlinkSession in spec.sessionName',
  'spec.engine': 'other engines are not supported yet',
  'spec.flinkVersion': 'there is no Flink below: remove it',
  'spec.mode': 'there is only one way to deploy: remove it',
  'spec.logConfiguration': 'log configuration is not supported yet',
  'spec.job.jarURI': 'there are no jars: name a TypeScript module in spec.job.module, or write the job in spec.job.script',
  'spec.job.checkpointTriggerNonce': 'checkpoints are not supported yet',
  'spec.job.autoscalerResetNonce': 'the autoscaler is not supported yet',
  'spec.jobManager.resource': 'write it as requests and limits in spec.jobManager.resources',
  'spec.taskManager.resource': 'write it as requests and limits in spec.taskManager.resources',
}

const processes = 'millrace up runs processes of this machine, and has no pods'

/** Fields that say how pods are made. */
const refusedOnThisMachine: Readonly<Record<string, string>> = {
  'spec.image': processes,
  'spec.imagePullPolicy': processes,
  'spec.serviceAccount': processes,
  'spec.podTemplate': processes,
  'spec.ingress': processes,
  'spec.jobManager.replicas': processes,
  'spec.jobManager.resources': processes,
  'spec.jobManager.podTemplate': processes,
  'spec.taskManager.resources': `${processes}; the heap of tasks is taskmanager.memory.task.heap.size`,
  'spec.taskManager.podTemplate': processes,
}

/** What a cluster adds to an object: read back from there, a manifest carries them, and they say nothing about what is wanted. */
export const ignoredFields: ReadonlySet<string> = new Set([
  'status',
  'metadata.uid',
  'metadata.resourceVersion',
  'metadata.generation',
  'metadata.creationTimestamp',
  'metadata.deletionTimestamp',
  'metadata.deletionGracePeriodSeconds',
  'metadata.finalizers',
  'metadata.managedFields',
  'metadata.ownerReferences',
  'metadata.selfLink',
])

/** Options that `spec.flinkConfiguration` may not set. */
const refusedOptions: Readonly<Record<string, string>> = {
  'taskmanager.resource-id': 'Millrace names the TaskManagers of a FlinkJob itself',
  'taskmanager.data.port': 'TaskManagers of a FlinkJob take any free port',
  'env.log.dir': 'the logs of a FlinkJob lie beside its status',
  'cluster.token': 'each FlinkJob gets a token of its own',
  'cluster.token-file': 'each FlinkJob gets a token of its own',
  'execution.target': 'a FlinkJob runs on a cluster of its own',
  'execution.attached': 'it is an option of millrace run',
}

/** Beginnings of the keys of options that a job on a session may set: the others are read by processes that it shares. */
const optionsOfJobs = [
  'execution.',
  'jobmanager.execution.',
  'kafka.',
  'parallelism.',
  'pipeline.',
  'restart-strategy.',
  'state.',
  'table.',
  'kubernetes.operator.',
]
const notOfJobs = ['execution.checkpointing.local-backup.', 'execution.state-recovery.from-local']

/** Undefined = it may set it. */
export function refusedOnSession(key: string): string | undefined {
  const isOfJob = optionsOfJobs.some(start => key.startsWith(start)) && !notOfJobs.some(start => key.startsWith(start))
  return isOfJob ? undefined : 'processes of a session are shared: set it in the FlinkSession'
}

const ownApiServer = 'JobManagers that stand by ask the API server of their pods'
const ownPod = 'the processes of a FlinkJob have pods of their own, in which Millrace says it'

const refusedOptionsOnKubernetes: Readonly<Record<string, string>> = {
  'security.ssl.internal.certificates': 'each cluster gets certificates of its own',
  'rest.port': ownPod,
  'rest.address': ownPod,
  'rest.bind-address': ownPod,
  'rest.require-token': 'REST of a FlinkJob requires a token always',
  'jobmanager.rpc.address': ownPod,
  'jobmanager.rpc.port': ownPod,
  'taskmanager.host': ownPod,
  'web.upload.dir': ownPod,
  'high-availability.start-id': 'each start of a cluster has one of its own',
  'kubernetes.api-server': ownApiServer,
  'kubernetes.certificate-authority': ownApiServer,
  'kubernetes.namespace': ownApiServer,
  'kubernetes.token-file': ownApiServer,
}

/** Values that an option may not have in `spec.flinkConfiguration`. */
const refusedValues: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'high-availability.type': { kubernetes: 'on Kubernetes spec.jobManager.replicas above 1 says it' },
}

/** Undefined = it may be set so. */
export function refusedValue(key: string, value: string): string | undefined {
  return Object.hasOwn(refusedValues, key) ? refusedValues[key]?.[value] : undefined
}

/** What carries a FlinkJob out: `millrace up` by processes of this machine, or the operator by pods. */
export type Platform = 'local' | 'kubernetes'

export function refusedFieldsOn(platform: Platform): Readonly<Record<string, string>> {
  return platform === 'local' ? { ...refusedFields, ...refusedOnThisMachine } : refusedFields
}

export function refusedSessionFieldsOn(platform: Platform): Readonly<Record<string, string>> {
  return platform === 'local' ? refusedOnThisMachine : {}
}

export function refusedOptionsOn(platform: Platform): Readonly<Record<string, string>> {
  return platform === 'local' ? refusedOptions : { ...refusedOptions, ...refusedOptionsOnKubernetes }
}
