import { expect, test } from 'vitest'
import { optionTables } from '../../bin/option-tables.ts'
import { type ConfigOption, Configuration } from '../../runtime/common/config.ts'
import { parseManifest } from './manifest.ts'
import { type CheckedFlinkJob, checkFlinkJob } from './problems.ts'

const options: readonly ConfigOption<unknown>[] = [
  { key: 'restart-strategy.fixed-delay.delay', type: 'duration', defaultValue: 1000, doc: '' },
  { key: 'parallelism.default', type: 'int', defaultValue: 1, doc: '' },
  { key: 'taskmanager.numberOfTaskSlots', type: 'int', defaultValue: 1, doc: '' },
  { key: 'taskmanager.resource-id', type: 'string', defaultValue: undefined, doc: '' },
]
const parse = (text: string) => parseManifest(text, 'job.yaml', [options])
const problemsOf = (text: string) => {
  const parsed = parse(text)
  return parsed.kind === 'valid' ? [] : parsed.problems
}

const withoutColumn = (problem: string) => problem.replace(/^(\S+:\d+):\d+:/, '$1:')

const minimal = `apiVersion: millrace.dev/v1alpha1
kind: FlinkJob
metadata:
  name: words
spec:
  job:
    module: job.ts
`

test('a minimal manifest gets its defaults', () => {
  const parsed = parse(minimal)
  expect(parsed).toEqual({
    kind: 'valid',
    scriptLine: undefined,
    job: {
      metadata: { name: 'words', namespace: 'default' },
      spec: {
        job: { module: 'job.ts', entryClass: 'default', args: [], state: 'running', upgradeMode: 'stateless', fallback: 'none' },
        flinkConfiguration: {},
        taskManager: {},
        deletionPolicy: 'Keep',
        deletionTimeoutMs: 300_000,
      },
    },
  })
})

test('options are taken flat and nested, numbers as texts', () => {
  const parsed = parse(`${minimal}    args: [--rows, 5]
  flinkConfiguration:
    parallelism.default: 2
    taskmanager:
      numberOfTaskSlots: 4
  taskManager: { replicas: 3 }
`)
  expect(parsed).toMatchObject({
    kind: 'valid',
    job: {
      spec: {
        job: { args: ['--rows', '5'] },
        flinkConfiguration: { 'parallelism.default': '2', 'taskmanager.numberOfTaskSlots': '4' },
        taskManager: { replicas: 3 },
      },
    },
  })
})

test('inline TypeScript knows the line of the manifest on which it begins', () => {
  const script = minimal.replace('    module: job.ts\n', '    script: |\n      export default () => {}\n')
  expect(parse(script)).toMatchObject({ kind: 'valid', scriptLine: 8 })
  expect(parse(minimal.replace('module: job.ts', 'script: "export default () => {}"'))).toMatchObject({ kind: 'valid', scriptLine: undefined })
})

test('a SQL script is a program, and knows the line on which it begins', () => {
  const parsed = parse(minimal.replace('    module: job.ts\n', '    sql: |\n      SELECT 1;\n'))
  expect(parsed).toMatchObject({ kind: 'valid', scriptLine: 8, job: { spec: { job: { sql: 'SELECT 1;\n' } } } })
})

test('what a cluster adds to an object is no problem', () => {
  const readBack = minimal.replace('  name: words\n', '  name: words\n  uid: abc\n  resourceVersion: "7"\n  generation: 2\n')
  expect(parse(`${readBack}status: { lifecycleState: STABLE }\n`).kind).toBe('valid')
})

test('options of the operator are read by it, and not handed to processes', () => {
  const options = `${minimal}  flinkConfiguration:
    parallelism.default: 2
    kubernetes.operator.cluster.health-check: { enabled: true, restarts.threshold: 5, checkpoint-progress.window: 10 min }
`
  const { job } = parse(options) as { job: CheckedFlinkJob }
  expect(job.spec.flinkConfiguration).toEqual({ 'parallelism.default': '2' })
  expect(job.spec.healthCheck).toEqual({ restartsThreshold: 5, restartsWindowMs: 120_000, checkpointProgress: true, checkpointWindowMs: 600_000 })
  const off = parse(options.replace('enabled: true', 'enabled: false')) as { job: CheckedFlinkJob }
  expect(off.job.spec.healthCheck).toBeUndefined()
  expect(parse(options.replace('restarts.threshold: 5', 'restarts.treshold: 5'))).toMatchObject({
    kind: 'invalid',
    problems: [expect.stringMatching(/option kubernetes.operator.cluster.health-check.restarts.treshold is not supported yet$/)],
  })
})

const table: readonly [title: string, text: string, problems: readonly string[]][] = [
  [
    'a mistyped field, with the nearest name',
    `${minimal}    paralelism: 2\n`,
    ['job.yaml:8:5: spec.job.paralelism: unknown field, did you mean parallelism?'],
  ],
  [
    'an unknown field that is like no other',
    `${minimal}    xyzzy: 2\n`,
    [
      'job.yaml:8:5: spec.job.xyzzy: unknown field, expected one of script, module, moduleDigest, sql, configMapRef, entryClass, args, parallelism, state, upgradeMode, fallback, initialSavepointPath, allowNonRestoredState, savepointTriggerNonce, savepointRedeployNonce',
    ],
  ],
  [
    'two programs',
    `${minimal}    sql: SELECT 1\n`,
    ['job.yaml:7:5: spec.job: expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef'],
  ],
  [
    'an export of a SQL script',
    minimal.replace('module: job.ts', 'sql: SELECT 1\n    entryClass: main'),
    ['job.yaml:8:5: spec.job.entryClass: has no meaning beside sql, which exports nothing'],
  ],
  ['a wrong type', `${minimal}    parallelism: two\n`, ['job.yaml:8:18: spec.job.parallelism: expected a whole number from 1 to 32768, got "two"']],
  [
    'a number that is too small',
    `${minimal}    parallelism: 0\n`,
    ['job.yaml:8:18: spec.job.parallelism: expected a whole number from 1 to 32768, got 0'],
  ],
  [
    'no program',
    minimal.replace('    module: job.ts\n', '    args: []\n'),
    ['job.yaml:7:5: spec.job: expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef'],
  ],
  [
    'two programs',
    minimal.replace('    module: job.ts\n', '    script: export default 1\n    module: job.ts\n'),
    ['job.yaml:7:5: spec.job: expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef'],
  ],
  ['another kind', minimal.replace('FlinkJob', 'FlinkDeployment'), ['job.yaml:2:7: kind: expected FlinkJob, got "FlinkDeployment"']],
  [
    'a missing name',
    minimal.replace('  name: words\n', '  labels: {}\n'),
    ['job.yaml:3:1: metadata.name: is missing, expected a name of up to 45 lower-case letters, digits and dashes that starts with a letter'],
  ],
  ['a missing spec', minimal.slice(0, minimal.indexOf('spec:')), ['job.yaml:1:1: spec: is missing, expected the map "spec" with a job']],
  [
    'an option of the processes that a job on a session shares',
    `${minimal}  sessionName: shared\n  flinkConfiguration:\n    parallelism.default: 2\n    taskmanager.numberOfTaskSlots: 2\n`,
    [
      'job.yaml:11:5: spec.flinkConfiguration["taskmanager.numberOfTaskSlots"]: is refused: processes of a session are shared: set it in the FlinkSession',
    ],
  ],
  [
    'an unknown option, with the nearest name',
    `${minimal}  flinkConfiguration:\n    paralelism.default: 2\n`,
    ['job.yaml:9:5: spec.flinkConfiguration["paralelism.default"]: unknown option paralelism.default, did you mean parallelism.default?'],
  ],
  [
    "a nested option's wrong value",
    `${minimal}  flinkConfiguration:\n    taskmanager:\n      numberOfTaskSlots: many\n`,
    [
      'job.yaml:10:7: spec.flinkConfiguration.taskmanager.numberOfTaskSlots: option taskmanager.numberOfTaskSlots: expected a whole number, got "many"',
    ],
  ],
  [
    'an option that is not the author’s to set',
    `${minimal}  flinkConfiguration:\n    taskmanager.resource-id: tm\n`,
    ['job.yaml:9:5: spec.flinkConfiguration["taskmanager.resource-id"]: is refused: Millrace names the TaskManagers of a FlinkJob itself'],
  ],
  [
    'a value that an option may not have in a manifest',
    `${minimal}  flinkConfiguration:\n    high-availability.type: kubernetes\n`,
    ['job.yaml:9:5: spec.flinkConfiguration["high-availability.type"]: is refused: on Kubernetes spec.jobManager.replicas above 1 says it'],
  ],
  ['two documents', `${minimal}---\n${minimal}`, ['job.yaml:9:1: the file has 2 documents, expected one FlinkJob']],
  ['an empty file', '', ['job.yaml:1:1: the file is empty, expected a FlinkJob manifest']],
  ['a list', '- 1\n', ['job.yaml:1:1: expected a FlinkJob manifest: a map with apiVersion, kind, metadata and spec, got [1]']],
  ['a key that stands twice', `${minimal}kind: FlinkJob\n`, ['job.yaml:8:1: map keys must be unique']],
]

const strategies: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['{ type: none }', { 'restart-strategy.type': 'none' }],
  [
    '{ type: fixed-delay, attempts: 2147483647, delay: 10 s }',
    { 'restart-strategy.type': 'fixed-delay', 'restart-strategy.fixed-delay.attempts': '2147483647', 'restart-strategy.fixed-delay.delay': '10 s' },
  ],
  [
    '{ type: exponential-delay, attempts: 5, initialBackoff: 1 s, maxBackoff: 1 min, multiplier: 1.5, jitter: 0.1, resetAfter: 1 h }',
    {
      'restart-strategy.type': 'exponential-delay',
      'restart-strategy.exponential-delay.attempts-before-reset-backoff': '5',
      'restart-strategy.exponential-delay.initial-backoff': '1 s',
      'restart-strategy.exponential-delay.max-backoff': '1 min',
      'restart-strategy.exponential-delay.backoff-multiplier': '1.5',
      'restart-strategy.exponential-delay.jitter-factor': '0.1',
      'restart-strategy.exponential-delay.reset-backoff-threshold': '1 h',
    },
  ],
  [
    '{ type: failure-rate, maxFailures: 3, interval: 5 min, delay: 1 s }',
    {
      'restart-strategy.type': 'failure-rate',
      'restart-strategy.failure-rate.max-failures-per-interval': '3',
      'restart-strategy.failure-rate.failure-rate-interval': '5 min',
      'restart-strategy.failure-rate.delay': '1 s',
    },
  ],
]

test.each(strategies)('seed-B15: restartStrategy %s is handed to the job in Flink’s keys', (text, flinkConfiguration) => {
  const parsed = parseManifest(`${minimal}  restartStrategy: ${text}\n`, 'job.yaml', [options])
  expect(parsed).toMatchObject({ kind: 'valid', job: { spec: { flinkConfiguration } } })
  expect(Configuration.parse(flinkConfiguration, optionTables).problems).toEqual([])
})

test('seed-B15: a different value under flinkConfiguration is refused, the same one is not', () => {
  const both = (delay: string) =>
    problemsOf(`${minimal}  restartStrategy: { type: fixed-delay, delay: 10 s }
  flinkConfiguration: { restart-strategy.fixed-delay.delay: ${delay}, taskmanager.numberOfTaskSlots: 2 }
  taskManager: { slots: 3 }
`)
  const slots =
    'job.yaml:9:66: spec.flinkConfiguration["taskmanager.numberOfTaskSlots"]: is "2", but spec.taskManager.slots is "3": remove one of them'
  expect(both('10 s').map(withoutColumn)).toEqual([slots].map(withoutColumn))
  expect(both('11 s').map(withoutColumn)).toEqual(
    [
      'job.yaml:9:25: spec.flinkConfiguration["restart-strategy.fixed-delay.delay"]: is "11 s", but spec.restartStrategy.delay is "10 s": remove one of them',
      slots,
    ].map(withoutColumn),
  )
})

test.each(table)('%s is answered with its place', (_title, text, problems) => {
  expect(problemsOf(text)).toEqual(problems)
})

test('all problems are reported together, in the order of the file', () => {
  const problems = problemsOf(`apiVersion: v1
kind: FlinkJob
metadata: { name: Words }
spec:
  image: x
  job:
    module: job.ts
    parallelism: -1
  flinkConfiguration: { nonsense.key: 1 }
`)
  expect(problems.map(problem => problem.split(': ').slice(0, 2).join(': '))).toEqual([
    'job.yaml:1:13: apiVersion',
    'job.yaml:3:19: metadata.name',
    'job.yaml:5:3: spec.image',
    'job.yaml:8:18: spec.job.parallelism',
    'job.yaml:9:25: spec.flinkConfiguration["nonsense.key"]',
  ])
})

test('broken YAML is answered with its place', () => {
  const [problem, ...more] = problemsOf('kind: [FlinkJob\nspec: 1\n')
  expect(problem).toMatch(/^job\.yaml:2:1: /)
  expect(more.length).toBeLessThan(3)
})

test.each([
  ['that stands for nothing', '*gone', 'job.yaml:8:23: alias *gone: expected an anchor &gone before it'],
  ['that stands for what it is a part of', '&all { rest: *all }', 'job.yaml:8:36: alias *all: stands for what it is a part of'],
  [
    'that is many values',
    `[${['&a1 [1, 1]', ...Array.from({ length: 12 }, (_, n) => `&a${n + 2} [${`*a${n + 1}, `.repeat(9)}]`)].join(', ')}]`,
    'job.yaml:1:1: its aliases stand for too many values',
  ],
])('an alias %s is answered with its place', (_title, value, problem) => {
  expect(problemsOf(`${minimal}  flinkConfiguration: ${value}\n`)).toEqual([problem])
})

test('a document in which nothing stands is none', () => {
  expect(parse(`${minimal}---\n# the end\n`)).toMatchObject({ kind: 'valid', job: { metadata: { name: 'words' } } })
})

test('periodic snapshots by an interval or a cron expression, which has to make sense', () => {
  const spec = (text: string) => {
    const parsed = parse(`${minimal}    savepointTriggerNonce: 4\n  snapshots: ${text}\n`)
    return parsed.kind === 'valid' ? parsed.job.spec : parsed.problems
  }
  expect(spec('{interval: 6 h, retain: 3}')).toMatchObject({ job: { savepointTriggerNonce: 4 }, snapshots: { intervalMs: 21_600_000, retain: 3 } })
  expect(spec('{cron: 0 3 * * sun}')).toMatchObject({ snapshots: { cron: '0 3 * * sun', retain: 10 } })
  expect(spec('{interval: 100 ms}')).toEqual(['job.yaml:9:25: spec.snapshots.interval: expected at least 1 s, got "100 ms"'])
  expect(spec('{cron: 0 25 * * *}')).toEqual([
    'job.yaml:9:21: spec.snapshots.cron: "25" is no hour: expected numbers from 0 to 23, such as 0, 0-23 or *',
  ])
  expect(spec('{cron: "@daily", interval: 1 h}')).toEqual([
    'job.yaml:9:14: spec.snapshots: expected either an interval or cron',
    'job.yaml:9:21: spec.snapshots.cron: expected five fields (minute, hour, day of the month, month, day of the week), got 1',
  ])
  expect(spec('{interval: 1 h, retain: 0}')).toEqual(['job.yaml:9:38: spec.snapshots.retain: expected a whole number from 1 to 10000, got 0'])
})

/** As issue M4 lists them, with a value each. */
const everyField = {
  job: {
    script: 'export default () => 1',
    args: ['a'],
    parallelism: 2,
    upgradeMode: 'savepoint',
    fallback: 'last-state',
    state: 'running',
    initialSavepointPath: 's3://b/savepoint-1',
    allowNonRestoredState: true,
    savepointTriggerNonce: 1,
  },
  flinkConfiguration: { 'execution.checkpointing.dir': 's3://b/c', 'execution.checkpointing.savepoint-dir': 's3://b/s' },
  restartStrategy: { type: 'fixed-delay', attempts: 3, delay: '1 s' },
  kafka: { partitionDiscoveryInterval: '1 min', defaultApiTimeout: '1 min', requestTimeout: '30 s', maxBlock: '1 min' },
  image: 'example/job:1',
  imagePullPolicy: 'Always',
  serviceAccount: 'runner',
  podTemplate: { metadata: { labels: { team: 'a' } } },
  jobManager: { replicas: 1, resources: { limits: { memory: '1Gi' } }, podTemplate: {} },
  taskManager: { replicas: 2, slots: 2, resources: { limits: { cpu: 1 } }, podTemplate: {} },
  snapshots: { interval: '1 h', retain: 3 },
  deletionPolicy: 'Savepoint',
  restartNonce: 1,
  ingress: { template: '{{name}}.example' },
  rollback: { enabled: true, deadline: '1 min' },
  deletionTimeout: '1 min',
}

test('every field of the issue is taken on Kubernetes, and what it says is in the spec that is carried out', () => {
  const document = (spec: object) => ({ apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', metadata: { name: 'job' }, spec })
  const check = (spec: object) => checkFlinkJob(document(spec), optionTables, 'kubernetes')
  const outcome = check(everyField)
  expect(outcome).toMatchObject({ kind: 'valid' })
  if (outcome.kind !== 'valid') return
  const { spec } = outcome.object
  const { restartStrategy: _strategy, kafka: _kafka, deletionTimeout: _timeout, snapshots: _snapshots, jobManager, taskManager, ...same } = everyField
  const options = {
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '3',
    'kafka.max-block': '1 min',
    'kafka.request-timeout': '30 s',
    'taskmanager.numberOfTaskSlots': '2',
  }
  expect(spec).toMatchObject({
    ...same,
    flinkConfiguration: { ...same.flinkConfiguration, ...options },
    jobManager: { resources: jobManager.resources, podTemplate: {} },
    taskManager: { replicas: 2, resources: taskManager.resources, podTemplate: {} },
    snapshots: { intervalMs: 3_600_000, retain: 3 },
    deletionTimeoutMs: 60_000,
  })
  for (const program of [{ module: '/jobs/a.ts' }, { sql: 'SELECT 1' }, { configMapRef: { name: 'programs', key: 'a.sql' } }])
    expect(check({ job: program }), JSON.stringify(program)).toMatchObject({ kind: 'valid' })
  expect(check({ job: { script: '', sql: '' } })).toMatchObject({ kind: 'invalid' })
  expect(check({ job: { sql: 'SELECT 1' }, sessionName: 'shared' })).toMatchObject({ kind: 'valid' })
})
