import type { ConfigOption } from './config.ts'

/** Options of processes as such, which belong to no room: bin/ reads them. */
export const processOptions = {
  clusterToken: {
    key: 'cluster.token',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'the secret that JobManager and TaskManagers of one cluster share; better kept in a file, see cluster.token-file',
  } satisfies ConfigOption<string | undefined>,
  clusterTokenFile: {
    key: 'cluster.token-file',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'a file with the shared secret; without it and without cluster.token one is made in MILLRACE_DIR, which is enough on one machine',
  } satisfies ConfigOption<string | undefined>,
  internalTls: {
    key: 'security.ssl.internal.enabled',
    type: 'boolean',
    defaultValue: false,
    doc: 'whether JobManager and TaskManagers speak TLS with each other, and show each other certificates: for the control plane, data and code',
  } satisfies ConfigOption<boolean>,
  internalCertificates: {
    key: 'security.ssl.internal.certificates',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'the folder with the certificate of this process, as PEM: ca.crt (the authority of this cluster alone), tls.crt (for the DNS name jobmanager or taskmanager) and tls.key. Files that change are read anew',
  } satisfies ConfigOption<string | undefined>,
  logLevel: {
    key: 'env.log.level',
    type: 'enum',
    defaultValue: 'INFO',
    values: ['DEBUG', 'INFO', 'WARN', 'ERROR'],
    doc: 'what JobManager and TaskManagers log, and what is worse. An edit of it in a FlinkJob or a FlinkSession restarts nothing',
  } satisfies ConfigOption<'DEBUG' | 'INFO' | 'WARN' | 'ERROR'>,
  logLevelFile: {
    key: 'env.log.level-file',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'a file with a level that counts instead of env.log.level while it is there; it is looked at every two seconds',
  } satisfies ConfigOption<string | undefined>,
  logDirectory: {
    key: 'env.log.dir',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: "where TaskManagers write their stdout file, and start-cluster the processes' logs; default: log in MILLRACE_DIR",
  } satisfies ConfigOption<string | undefined>,
  taskManagerHost: {
    key: 'taskmanager.host',
    type: 'string',
    defaultValue: 'localhost',
    doc: 'the host under which other TaskManagers reach this one; it listens there for data',
  } satisfies ConfigOption<string>,
  taskManagerDataPort: {
    key: 'taskmanager.data.port',
    type: 'int',
    defaultValue: 0,
    doc: 'the port for data of other TaskManagers; 0 = any free one',
  } satisfies ConfigOption<number>,
  taskManagerId: {
    key: 'taskmanager.resource-id',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'the id of this TaskManager; default: its host and a random part',
  } satisfies ConfigOption<string | undefined>,
  temporaryDirectories: {
    key: 'io.tmp.dirs',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'folders for files of blocking results, separated by commas or colons, each TaskManager with one of its own in them; default: tmp in MILLRACE_DIR',
  } satisfies ConfigOption<string | undefined>,
  taskHeapSize: {
    key: 'taskmanager.memory.task.heap.size',
    type: 'memory',
    defaultValue: undefined as number | undefined,
    doc: 'the heap that all slots of a TaskManager may use together; default: half of the memory of the machine',
  } satisfies ConfigOption<number | undefined>,
  plannerTimeout: {
    key: 'planner.timeout',
    type: 'duration',
    defaultValue: 60_000,
    doc: 'how long a program may take to build its graph',
  } satisfies ConfigOption<number>,
  plannerHeapSize: {
    key: 'planner.memory.heap.size',
    type: 'memory',
    defaultValue: 512 * 2 ** 20,
    doc: 'the heap that a program may use while it builds its graph',
  } satisfies ConfigOption<number>,
}

export const processOptionTable: readonly ConfigOption<unknown>[] = Object.values(processOptions)

/** Values that no answer, log or planner may show. */
export function isSecretKey(key: string): boolean {
  return /(^|[.-])(token|password|secret|credentials|(access|secret)[.-]key)$/.test(key)
}

export function withMaskedSecrets(entries: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).map(([key, value]) => [key, isSecretKey(key) ? '******' : value]))
}
