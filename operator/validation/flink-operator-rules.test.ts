import { expect, test } from 'vitest'
import { optionTables } from '../../bin/option-tables.ts'
import { definitions } from '../api/crd.ts'
import { API_VERSION } from '../api/fields.ts'
import { checkFlinkJob, checkObject, fieldPath } from './problems.ts'
import { brokenRules } from './rules.ts'

/**
 * The 32 validation rules of Flink's operator (DefaultValidator, reference/operator.md 1.5), one by one: what breaks each is refused here too, or there is nothing here that it could be
 * about, and what would say it is refused by name.
 */
interface Row {
  readonly rule: number
  readonly says: string
  /** A FlinkJob on Kubernetes, unless it says another kind. */
  readonly spec?: Readonly<Record<string, unknown>>
  readonly kind?: string
  readonly name?: string
  /** Before the edit, for rules about changes. */
  readonly old?: Readonly<Record<string, unknown>>
  /** A problem has it. */
  readonly problem?: RegExp
  /** The rule does not exist here; nothing breaks it. */
  readonly absent?: string
}

const sql = { job: { sql: 'SELECT 1' } }
const withJob = (fields: object) => ({ job: { ...sql.job, ...fields } })
const places = { 'execution.checkpointing.dir': 's3://b/c', 'execution.checkpointing.savepoint-dir': 's3://b/s' }

const rows: readonly Row[] = [
  { rule: 1, says: 'name', spec: sql, name: 'a'.repeat(46), problem: /^metadata\.name: expected a name of up to 45/ },
  {
    rule: 2,
    says: 'flinkVersion is set',
    spec: { ...sql, flinkVersion: 'v2_0' },
    problem: /^spec\.flinkVersion: is refused: there is no Flink below/,
  },
  { rule: 3, says: 'flinkVersion is supported', spec: { ...sql, flinkVersion: 'v1_1' }, problem: /^spec\.flinkVersion: is refused/ },
  { rule: 4, says: 'flinkVersion does not change', spec: { ...sql, flinkVersion: 'v2_1' }, problem: /^spec\.flinkVersion: is refused/ },
  {
    rule: 5,
    says: 'forbidden keys',
    spec: { ...sql, flinkConfiguration: { 'kubernetes.cluster-id': 'x' } },
    problem: /"kubernetes\.cluster-id"\]: .*not supported/,
  },
  {
    rule: 6,
    says: 'roll-back needs high availability',
    spec: { ...sql, rollback: {} },
    absent: 'restore points are read at the store; without checkpoints it goes back to an empty job',
  },
  {
    rule: 7,
    says: 'the health check needs recovery of the JobManager',
    spec: { ...sql, flinkConfiguration: { 'kubernetes.operator.cluster.health-check.enabled': 'true' } },
    absent: 'a lost JobManager is always recovered from',
  },
  { rule: 8, says: 'ingress.template', spec: { ...sql, ingress: {} }, problem: /^spec\.ingress\.template: is missing/ },
  {
    rule: 9,
    says: 'keys of logConfiguration',
    spec: { ...sql, logConfiguration: { 'log4j.properties': '' } },
    problem: /^spec\.logConfiguration: is refused/,
  },
  {
    rule: 10,
    says: 'state needs a checkpoint folder',
    spec: withJob({ upgradeMode: 'last-state' }),
    problem: /^spec\.flinkConfiguration: execution\.checkpointing\.dir is needed/,
  },
  {
    rule: 11,
    says: 'savepoints need a folder',
    spec: { ...withJob({ savepointTriggerNonce: 1 }) },
    problem: /execution\.checkpointing\.savepoint-dir is needed .*savepointTriggerNonce/,
  },
  {
    rule: 12,
    says: 'replicas or parallelism of at least 1',
    spec: withJob({ parallelism: 0 }),
    problem: /^spec\.job\.parallelism: expected a whole number from 1/,
  },
  { rule: 13, says: 'memory of the JobManager', spec: sql, absent: 'a pod without resources has the limits of its namespace' },
  {
    rule: 14,
    says: 'quantities parse',
    spec: { ...sql, jobManager: { resources: { limits: { memory: '1 gig' } } } },
    problem: /^spec\.jobManager\.resources\.limits\.memory: expected a quantity/,
  },
  {
    rule: 15,
    says: 'requests up to limits',
    spec: { ...sql, taskManager: { resources: { requests: { cpu: 2 }, limits: { cpu: 1 } } } },
    problem: /^spec\.taskManager\.resources\.requests: a request must not be more than its limit/,
  },
  {
    rule: 16,
    says: 'one JobManager without high availability',
    spec: { ...sql, jobManager: { replicas: 2 } },
    problem: /^spec\.jobManager\.replicas: above 1 needs high-availability\.storageDir/,
  },
  {
    rule: 17,
    says: 'replicas of TaskManagers',
    spec: { ...sql, taskManager: { replicas: 0 } },
    problem: /^spec\.taskManager\.replicas: expected a whole number from 1/,
  },
  {
    rule: 18,
    says: 'no move between session and job',
    old: { ...sql, sessionName: 'shared' },
    spec: sql,
    problem: /^spec\.sessionName: a job cannot move to or from a session/,
  },
  {
    rule: 19,
    says: 'no move between native and standalone',
    spec: { ...sql, mode: 'native' },
    problem: /^spec\.mode: is refused: there is only one way to deploy/,
  },
  {
    rule: 20,
    says: 'savepointRedeployNonce needs a path',
    spec: withJob({ savepointRedeployNonce: 1 }),
    problem: /^spec\.job\.savepointRedeployNonce: needs initialSavepointPath/,
  },
  { rule: 21, says: 'serviceAccount is set', spec: sql, absent: 'pods of a job ask the API server for nothing: the one of the namespace will do' },
  {
    rule: 22,
    says: 'numbers of the autoscaler',
    spec: { ...sql, flinkConfiguration: { 'job.autoscaler.enabled': 'true' } },
    problem: /"job\.autoscaler\.enabled"\]: unknown option/,
  },
  {
    rule: 23,
    says: 'windows of the autoscaler',
    spec: { ...sql, flinkConfiguration: { 'job.autoscaler.metrics.window': '1 min' } },
    problem: /unknown option/,
  },
  { rule: 24, says: 'name of the session', spec: { ...sql, sessionName: 'Not A Name' }, problem: /^spec\.sessionName: / },
  { rule: 25, says: 'a job is given', spec: {}, problem: /^spec\.job: is missing/ },
  {
    rule: 26,
    says: 'the session does not change',
    old: { ...sql, sessionName: 'one' },
    spec: { ...sql, sessionName: 'two' },
    problem: /^spec\.sessionName: a job cannot move/,
  },
  { rule: 27, says: 'jarURI', spec: { job: { jarURI: 'https://10.0.0.1/job.jar' } }, problem: /^spec\.job\.jarURI: is refused: there are no jars/ },
  {
    rule: 28,
    says: 'the target is a session',
    spec: { ...sql, sessionName: 'shared' },
    absent: 'the job waits for the session, and its conditions name it: operator/session',
  },
  {
    rule: 29,
    says: 'savepoint or checkpoint',
    kind: 'FlinkSnapshot',
    spec: { jobReference: { name: 'job' }, savepoint: {}, checkpoint: {} },
    problem: /^spec: expected exactly one of savepoint and checkpoint/,
  },
  {
    rule: 30,
    says: 'one that is there needs nothing else',
    kind: 'FlinkSnapshot',
    spec: { savepoint: { path: 's3://b/s', alreadyExists: true } },
    absent: 'it is held',
  },
  { rule: 31, says: 'jobReference', kind: 'FlinkSnapshot', spec: { savepoint: {} }, problem: /^spec\.jobReference: is needed/ },
  {
    rule: 32,
    says: 'the target exists',
    kind: 'FlinkSnapshot',
    spec: { jobReference: { name: 'nobody' }, savepoint: {} },
    absent: 'it waits for the job: operator/snapshot',
  },
]

function problems({ kind = 'FlinkJob', name = 'job', spec = {}, old }: Row): string[] {
  const document = { apiVersion: API_VERSION, kind, metadata: { name, namespace: 'default' }, spec }
  const definition = definitions.find(one => one.kind === kind)
  if (old !== undefined && definition !== undefined)
    return brokenRules(definition.spec, spec, old, ['spec']).map(({ path, message }) => `${fieldPath(path)}: ${message}`)
  const checked = kind === 'FlinkJob' ? checkFlinkJob(document, optionTables, 'kubernetes') : checkObject(document, optionTables)
  return checked.kind === 'valid' ? [] : checked.problems.map(({ path, message }) => `${fieldPath(path)}: ${message}`)
}

test.each(rows)('rule $rule: $says', row => {
  const found = problems(row)
  if (row.problem === undefined) expect(found).toEqual([])
  else expect(found).toContainEqual(expect.stringMatching(row.problem))
})

test('every one of the 32 rules has its row', () => {
  expect(rows.map(({ rule }) => rule)).toEqual(Array.from({ length: 32 }, (_, n) => n + 1))
  for (const { rule, problem, absent } of rows) expect((problem === undefined) === (absent !== undefined), `rule ${rule}`).toBe(true)
})

test('a job that keeps state at places that outlive pods is sound', () => {
  expect(
    problems({
      rule: 0,
      says: '',
      spec: {
        ...withJob({ upgradeMode: 'savepoint', savepointTriggerNonce: 1 }),
        snapshots: { interval: '1 h' },
        deletionPolicy: 'Savepoint',
        flinkConfiguration: places,
      },
    }),
  ).toEqual([])
})
