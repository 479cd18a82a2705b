import { describe, expect, test } from 'vitest'
import { API_VERSION } from '../api/fields.ts'
import { checkFlinkJob, checkFlinkSession, fieldPath } from './problems.ts'

const ofStandby = ['storageDir', 'type', 'cluster-id', 'start-id'].map(name => `high-availability.${name}`)
const table = ['rest.port', 'taskmanager.host', 'pipeline.name', 'kubernetes.namespace', ...ofStandby].map(
  key => ({ key, type: 'string', defaultValue: undefined, doc: '' }) as const,
)
const fields = {
  image: 'example/millrace:1',
  imagePullPolicy: 'Always',
  serviceAccount: 'runner',
  podTemplate: { spec: { nodeSelector: { disk: 'fast' } } },
  jobManager: { replicas: 1, resources: { limits: { memory: '1Gi' } } },
  taskManager: { replicas: 2, podTemplate: { metadata: { annotations: { note: 'x' } } } },
  ingress: { template: '{{name}}.example.com' },
}
const check = (spec: object, platform: 'local' | 'kubernetes') => {
  const metadata = { name: 'words', namespace: 'jobs' }
  const checked = checkFlinkJob(
    { apiVersion: API_VERSION, kind: 'FlinkJob', metadata, spec: { job: { module: '/job.ts' }, ...spec } },
    [table],
    platform,
  )
  return checked.kind === 'valid' ? checked.object.spec : checked.problems.map(({ path, message }) => `${fieldPath(path)}: ${message}`)
}

test('what says how pods are made is carried out on Kubernetes, field by field', () => {
  const { replicas: _one, ...jobManager } = fields.jobManager
  expect(check(fields, 'kubernetes')).toMatchObject({ ...fields, jobManager })
  expect(check({}, 'kubernetes')).toMatchObject({ taskManager: {} })
  expect(Object.keys(check({}, 'kubernetes'))).toEqual(expect.not.arrayContaining(['image', 'podTemplate', 'jobManager', 'ingress']))
})

test('where there are no pods it is refused by name, each field of it', () => {
  const problems = check(fields, 'local') as string[]
  expect(problems.map(problem => problem.split(':')[0])).toEqual([
    'spec.image',
    'spec.imagePullPolicy',
    'spec.serviceAccount',
    'spec.podTemplate',
    'spec.jobManager.resources',
    'spec.taskManager.podTemplate',
    'spec.ingress',
  ])
  for (const problem of problems) expect(problem).toContain('is refused: millrace up runs processes of this machine, and has no pods')
})

test('a template that says what our container runs is refused, with the place', () => {
  const podTemplate = { spec: { containers: [{ name: 'main', command: ['sh'] }] } }
  expect(check({ taskManager: { podTemplate } }, 'kubernetes')).toEqual([
    'spec.taskManager.podTemplate.spec.containers[0].command: is refused: Millrace says what its container runs',
  ])
})

test('addresses and ports in a pod are ours; on this machine they are everybody’s', () => {
  const spec = { flinkConfiguration: { rest: { port: '9000' }, 'taskmanager.host': 'h', 'pipeline.name': 'words' } }
  expect((check(spec, 'kubernetes') as string[]).map(problem => problem.split(': ')[0])).toEqual([
    'spec.flinkConfiguration.rest.port',
    'spec.flinkConfiguration["taskmanager.host"]',
  ])
  expect(check(spec, 'local')).toMatchObject({ flinkConfiguration: { 'rest.port': '9000', 'taskmanager.host': 'h' } })
})

describe('JobManagers that stand by', () => {
  const flinkConfiguration = { 'high-availability.storageDir': 's3://bucket/ha' }

  test('are carried out where they have a store to take over from, of a FlinkSession too; one is no different from none said', () => {
    expect(check({ jobManager: { replicas: 2 }, flinkConfiguration }, 'kubernetes')).toMatchObject({
      jobManager: { replicas: 2 },
      flinkConfiguration,
    })
    expect(Object.keys(check({ jobManager: { replicas: 1 } }, 'kubernetes'))).not.toContain('jobManager')
    const session = (spec: object) =>
      checkFlinkSession(
        { apiVersion: API_VERSION, kind: 'FlinkSession', metadata: { name: 'shared' }, spec: { jobManager: { replicas: 3 }, ...spec } },
        [table],
        'kubernetes',
      )
    expect(session({ flinkConfiguration })).toMatchObject({ kind: 'valid', object: { spec: { cluster: { jobManager: { replicas: 3 } } } } })
    expect(session({})).toMatchObject({ kind: 'invalid', problems: [{ path: ['spec', 'jobManager', 'replicas'] }] })
  })

  test('without a store are refused, with the field and the option', () => {
    expect(check({ jobManager: { replicas: 2 } }, 'kubernetes')).toEqual([
      'spec.jobManager.replicas: above 1 needs high-availability.storageDir in spec.flinkConfiguration: a place that outlives pods, such as s3://bucket/folder, where the JobManager that takes over finds the jobs',
    ])
  })

  test('are said by their number alone: what the operator says of them is refused as an option', () => {
    const options = { ...flinkConfiguration, 'high-availability.type': 'filesystem', 'high-availability.cluster-id': 'words' }
    expect(check({ jobManager: { replicas: 2 }, flinkConfiguration: options }, 'kubernetes')).toEqual([
      'spec.jobManager.replicas: above 1 says high-availability.type itself: remove it from spec.flinkConfiguration',
      'spec.jobManager.replicas: above 1 says high-availability.cluster-id itself: remove it from spec.flinkConfiguration',
    ])
    const ofTheStart = { 'high-availability.start-id': 'a', 'kubernetes.namespace': 'other' }
    expect((check({ flinkConfiguration: ofTheStart }, 'kubernetes') as string[]).map(problem => problem.split(': ').slice(0, 2))).toEqual([
      ['spec.flinkConfiguration["high-availability.start-id"]', 'is refused'],
      ['spec.flinkConfiguration["kubernetes.namespace"]', 'is refused'],
    ])
  })

  test('are not made on this machine: refused by name', () => {
    expect(check({ jobManager: { replicas: 2 }, flinkConfiguration }, 'local')).toEqual([
      'spec.jobManager.replicas: is refused: millrace up runs processes of this machine, and has no pods',
    ])
    expect(check({ jobManager: { replicas: 1 } }, 'local')).toMatchObject({ taskManager: {} })
  })
})
