import { expect, test } from 'vitest'
import { z } from 'zod'
import { spec } from '../../test/support/operator-world.ts'
import { flinkJobSchema } from '../api/flink-job.ts'
import { classOfField, editOf } from './diff.ts'

/** Paths of all fields that hold a value: maps of ours are walked, foreign ones are one field. */
function leaves(schema: z.core.JSONSchema.JSONSchema | boolean, path: string): string[] {
  if (typeof schema === 'boolean') return [path]
  const { properties = {}, additionalProperties } = schema
  const names = Object.keys(properties)
  if (names.length === 0 || (typeof additionalProperties === 'object' && names.length === 0)) return [path]
  return names.flatMap(name => leaves(properties[name] as z.core.JSONSchema.JSONSchema, `${path}.${name}`))
}

test('every field of the schema has a class: a new one has to be thought about here', () => {
  const fields = leaves(z.toJSONSchema(flinkJobSchema.shape.spec, { io: 'input', unrepresentable: 'any' }), 'spec')
  const byClass = Map.groupBy(fields, classOfField)
  expect(byClass.get('ignore')).toEqual([
    'spec.job.configMapRef.name',
    'spec.job.configMapRef.key',
    'spec.job.upgradeMode',
    'spec.job.fallback',
    'spec.job.initialSavepointPath',
    'spec.job.allowNonRestoredState',
    'spec.job.savepointTriggerNonce',
    'spec.snapshots.interval',
    'spec.snapshots.cron',
    'spec.snapshots.retain',
    'spec.deletionPolicy',
    'spec.deletionTimeout',
    'spec.rollback.enabled',
    'spec.rollback.deadline',
  ])
  expect(byClass.get('live')).toEqual([
    'spec.ingress.template',
    'spec.ingress.className',
    'spec.ingress.annotations',
    'spec.ingress.labels',
    'spec.ingress.tls',
  ])
  // More TaskManagers are a live edit: see below.
  expect(byClass.get('rescale')).toEqual(['spec.job.parallelism', 'spec.taskManager.replicas'])
  expect(byClass.get('restart')).toEqual([
    'spec.job.script',
    'spec.job.module',
    'spec.job.moduleDigest',
    'spec.job.sql',
    'spec.job.entryClass',
    'spec.job.args',
    'spec.job.state',
    'spec.job.savepointRedeployNonce',
    'spec.sessionName',
    'spec.flinkConfiguration',
    'spec.restartStrategy.type',
    'spec.restartStrategy.attempts',
    'spec.restartStrategy.delay',
    'spec.restartStrategy.initialBackoff',
    'spec.restartStrategy.maxBackoff',
    'spec.restartStrategy.multiplier',
    'spec.restartStrategy.jitter',
    'spec.restartStrategy.resetAfter',
    'spec.restartStrategy.maxFailures',
    'spec.restartStrategy.interval',
    'spec.kafka.partitionDiscoveryInterval',
    'spec.kafka.defaultApiTimeout',
    'spec.kafka.requestTimeout',
    'spec.kafka.maxBlock',
    'spec.image',
    'spec.imagePullPolicy',
    'spec.serviceAccount',
    'spec.podTemplate',
    'spec.jobManager.replicas',
    'spec.jobManager.resources.requests',
    'spec.jobManager.resources.limits',
    'spec.jobManager.podTemplate',
    'spec.taskManager.slots',
    'spec.taskManager.resources.requests',
    'spec.taskManager.resources.limits',
    'spec.taskManager.podTemplate',
    'spec.restartNonce',
  ])
  expect(byClass.size).toBe(4)
})

const rests = { ...spec.job, state: 'suspended' } as const

test.each([
  ['nothing', {}, {}, undefined],
  ['how later edits are done', {}, { job: { ...spec.job, upgradeMode: 'savepoint' } }, 'ignore'],
  ['what becomes of it in the end', {}, { deletionPolicy: 'Delete', deletionTimeoutMs: 1 }, 'ignore'],
  ['more TaskManagers', { taskManager: { replicas: 1 } }, { taskManager: { replicas: 2 } }, 'live'],
  ['fewer TaskManagers', { taskManager: { replicas: 2 } }, { taskManager: { replicas: 1 } }, 'rescale'],
  ['a number of TaskManagers that is given or left open', {}, { taskManager: { replicas: 1 } }, 'rescale'],
  ['the parallelism, beside a smaller one', {}, { job: { ...spec.job, parallelism: 2, upgradeMode: 'savepoint' } }, 'rescale'],
  ['where REST is found', {}, { ingress: { template: 'a.example' } }, 'live'],
  ['how much is logged', {}, { flinkConfiguration: { ...spec.flinkConfiguration, 'env.log.level': 'DEBUG' } }, 'live'],
  [
    'how much is logged by a job that rests',
    { job: rests },
    { job: rests, flinkConfiguration: { ...spec.flinkConfiguration, 'env.log.level': 'DEBUG' } },
    'ignore',
  ],
  [
    'how much is logged, beside another option',
    {},
    { flinkConfiguration: { ...spec.flinkConfiguration, 'env.log.level': 'DEBUG', 'parallelism.default': '2' } },
    'state-loss',
  ],
  [
    'how much is logged, beside the parallelism',
    {},
    { job: { ...spec.job, parallelism: 2 }, flinkConfiguration: { ...spec.flinkConfiguration, 'env.log.level': 'DEBUG' } },
    'rescale',
  ],
  ['an option of Flink’s', {}, { flinkConfiguration: { 'parallelism.default': '2' } }, 'state-loss'],
  [
    'the same in a mode with state',
    { job: { ...spec.job, upgradeMode: 'last-state' } },
    { job: { ...spec.job, upgradeMode: 'last-state', args: ['a'] } },
    'restart',
  ],
  ['the parallelism of a job that is to rest', {}, { job: { ...spec.job, state: 'suspended', parallelism: 2 } }, 'restart'],
] as const)('an edit of %s', (_, before, after, expected) => {
  expect(editOf({ ...spec, ...before }, { ...spec, ...after })?.class).toBe(expected)
})
