import { expect, test } from 'vitest'
import { API_VERSION } from '../api/fields.ts'
import { checkFlinkJob, fieldPath } from './problems.ts'

const table = ['rest.port', 'taskmanager.host', 'pipeline.name'].map(key => ({ key, type: 'string', defaultValue: undefined, doc: '' }) as const)
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

test.each(['local', 'kubernetes'] as const)('more than one JobManager is refused, %s: high availability is not built', platform => {
  expect(check({ jobManager: { replicas: 2 } }, platform)).toEqual([
    'spec.jobManager.replicas: is refused: more than one JobManager needs high availability, which is not built yet',
  ])
})
