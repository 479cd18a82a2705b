/**
 * For each CEL rule of the three kinds an object that breaks it and nothing else: a small sound object with `spec` put over it, and, for rules about a change,
 * `old` for the one before. `path` and `message` are what is answered. Held by our own check and by a real kube-apiserver.
 */
export interface RuleExample {
  readonly kind: 'FlinkJob' | 'FlinkSession' | 'FlinkSnapshot'
  readonly spec: Readonly<Record<string, unknown>>
  readonly old?: Readonly<Record<string, unknown>>
  readonly path: string
  readonly message: string
}

const sql = { job: { sql: 'SELECT 1' } }
const savepointOf = { jobReference: { name: 'job' }, savepoint: {} }

export const soundSpecs: Readonly<Record<RuleExample['kind'], Readonly<Record<string, unknown>>>> = {
  FlinkJob: sql,
  FlinkSession: {},
  FlinkSnapshot: savepointOf,
}

const program = 'expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef'
const job = (fields: Readonly<Record<string, unknown>>) => ({ job: { sql: 'SELECT 1', ...fields } })
const strategy = (fields: Readonly<Record<string, unknown>>) => ({ ...sql, restartStrategy: fields })
const session = (field: string, value: unknown): RuleExample => ({
  kind: 'FlinkJob',
  spec: { ...sql, sessionName: 'shared', [field]: value },
  path: `spec.${field}`,
  message: 'belongs to the FlinkSession that sessionName names',
})
const wrongStrategy = (field: string, value: unknown, type: string, message: string): RuleExample => ({
  kind: 'FlinkJob',
  spec: strategy({ type, [field]: value }),
  path: `spec.restartStrategy.${field}`,
  message,
})
const exponential = 'belongs to type exponential-delay only'
const pinned = 'belongs to a module at s3://, which needs it: what lies under an address may change, and is planned and run at different times'
const move = 'a job cannot move to or from a session: delete it and create it anew'

export const ruleExamples: readonly RuleExample[] = [
  { kind: 'FlinkJob', spec: { job: {} }, path: 'spec.job', message: program },
  { kind: 'FlinkJob', spec: job({ script: 'export default () => {}' }), path: 'spec.job', message: program },
  { kind: 'FlinkJob', spec: job({ configMapRef: { name: 'a', key: 'b' } }), path: 'spec.job', message: program },
  {
    kind: 'FlinkJob',
    spec: { job: { module: 'https://example.org/words.mjs' } },
    path: 'spec.job.module',
    message:
      'is refused: a module is a file, in the image or on a volume, or an object at s3://; an init container of the podTemplate may fetch it from elsewhere',
  },
  { kind: 'FlinkJob', spec: { job: { module: 's3://bucket/jobs/words.mjs' } }, path: 'spec.job.moduleDigest', message: pinned },
  {
    kind: 'FlinkJob',
    spec: { job: { module: 'words.mjs', moduleDigest: `sha256:${'0'.repeat(64)}` } },
    path: 'spec.job.moduleDigest',
    message: pinned,
  },
  { kind: 'FlinkJob', spec: job({ entryClass: 'main' }), path: 'spec.job.entryClass', message: 'has no meaning beside sql, which exports nothing' },
  {
    kind: 'FlinkJob',
    spec: job({ upgradeMode: 'last-state', fallback: 'last-state' }),
    path: 'spec.job.fallback',
    message: 'last-state is a fall-back of upgradeMode savepoint only',
  },
  {
    kind: 'FlinkJob',
    spec: job({ fallback: 'stateless' }),
    path: 'spec.job.fallback',
    message: 'upgradeMode stateless has nothing to fall back from',
  },
  {
    kind: 'FlinkJob',
    spec: job({ savepointRedeployNonce: 1 }),
    path: 'spec.job.savepointRedeployNonce',
    message: 'needs initialSavepointPath, from which the job is to start',
  },
  wrongStrategy('attempts', 3, 'failure-rate', 'belongs to type fixed-delay and exponential-delay only'),
  wrongStrategy('delay', '1 s', 'exponential-delay', 'belongs to type fixed-delay and failure-rate only'),
  wrongStrategy('initialBackoff', '1 s', 'fixed-delay', exponential),
  wrongStrategy('maxBackoff', '1 s', 'none', exponential),
  wrongStrategy('multiplier', 2, 'fixed-delay', exponential),
  wrongStrategy('jitter', 0.1, 'fixed-delay', exponential),
  wrongStrategy('resetAfter', '1 h', 'failure-rate', exponential),
  wrongStrategy('maxFailures', 3, 'fixed-delay', 'belongs to type failure-rate only'),
  wrongStrategy('interval', '1 min', 'none', 'belongs to type failure-rate only'),
  { kind: 'FlinkJob', spec: { ...sql, snapshots: {} }, path: 'spec.snapshots', message: 'expected either an interval or cron' },
  {
    kind: 'FlinkJob',
    spec: { ...sql, snapshots: { interval: '1 h', cron: '0 * * * *' } },
    path: 'spec.snapshots',
    message: 'expected either an interval or cron',
  },
  session('image', 'millrace'),
  session('imagePullPolicy', 'Always'),
  session('serviceAccount', 'flink'),
  session('podTemplate', { spec: {} }),
  session('jobManager', { replicas: 1 }),
  session('taskManager', { replicas: 2 }),
  session('ingress', { template: 'example.org' }),
  { kind: 'FlinkJob', old: sql, spec: { ...sql, sessionName: 'shared' }, path: 'spec.sessionName', message: move },
  { kind: 'FlinkJob', old: { ...sql, sessionName: 'shared' }, spec: sql, path: 'spec.sessionName', message: move },
  { kind: 'FlinkJob', old: { ...sql, sessionName: 'one' }, spec: { ...sql, sessionName: 'two' }, path: 'spec.sessionName', message: move },
  {
    kind: 'FlinkSession',
    spec: { taskManager: { replicas: 3 }, maxTaskManagers: 2 },
    path: 'spec.maxTaskManagers',
    message: 'must not be less than taskManager.replicas',
  },
  {
    kind: 'FlinkSnapshot',
    spec: { jobReference: { name: 'job' } },
    path: 'spec',
    message: 'expected exactly one of savepoint and checkpoint',
  },
  {
    kind: 'FlinkSnapshot',
    spec: { ...savepointOf, checkpoint: {} },
    path: 'spec',
    message: 'expected exactly one of savepoint and checkpoint',
  },
  {
    kind: 'FlinkSnapshot',
    spec: { savepoint: { path: 'file:///savepoint-1' } },
    path: 'spec.jobReference',
    message: 'is needed, unless the savepoint is there already',
  },
  {
    kind: 'FlinkSnapshot',
    spec: { savepoint: { alreadyExists: true } },
    path: 'spec.savepoint.path',
    message: 'is needed where alreadyExists is true',
  },
  {
    kind: 'FlinkSnapshot',
    old: savepointOf,
    spec: { ...savepointOf, backoffLimit: 3 },
    path: 'spec',
    message: 'a snapshot cannot be changed: delete it and make another one',
  },
  ...resourcesExamples('FlinkJob', sql, 'jobManager'),
  ...resourcesExamples('FlinkJob', sql, 'taskManager'),
  ...resourcesExamples('FlinkSession', {}, 'jobManager'),
  ...resourcesExamples('FlinkSession', {}, 'taskManager'),
]

function resourcesExamples(kind: RuleExample['kind'], sound: Readonly<Record<string, unknown>>, process: string): RuleExample[] {
  const example = (resources: Readonly<Record<string, unknown>>, field: string, message: string): RuleExample => ({
    kind,
    spec: { ...sound, [process]: { resources } },
    path: `spec.${process}.resources.${field}`,
    message,
  })
  return [
    example(
      { requests: { memory: '2Gi', cpu: 1 }, limits: { memory: '2047Mi', cpu: '1000m' } },
      'requests',
      'a request must not be more than its limit',
    ),
    example({ requests: { memory: '0' } }, 'requests', 'cpu and memory must be more than 0'),
    example({ limits: { cpu: '0.0' } }, 'limits', 'cpu and memory must be more than 0'),
  ]
}
