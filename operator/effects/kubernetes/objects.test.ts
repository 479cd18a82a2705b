import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { clusterInput, fullSpec } from '../../../test/support/kubernetes-cluster.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { jobManagerObjects, plannerObjects, taskManagerObjects, tokenSecret } from './objects.ts'
import { templateProblems } from './pod-template.ts'

interface Container {
  readonly name: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value?: string }[]
  readonly volumeMounts: readonly { readonly name: string }[]
  readonly securityContext: object
}

interface PodSpec {
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly securityContext: object
  readonly automountServiceAccountToken: boolean
  readonly volumes: readonly { readonly name: string }[]
}

interface Spec {
  readonly selector: { readonly matchLabels: object }
  readonly template: { readonly metadata: { readonly labels: object }; readonly spec: PodSpec }
}

const minimal: FlinkJobSpec = {
  job: { module: '/jobs/words.ts', entryClass: 'main', args: [], state: 'running', upgradeMode: 'stateless', fallback: 'none' },
  flinkConfiguration: {},
  taskManager: {},
}

const allObjects = (spec: FlinkJobSpec, name?: string) => {
  const input = clusterInput(spec, name)
  return [tokenSecret(input.owner, 'dG9rZW4='), ...jobManagerObjects(input), ...taskManagerObjects(input, 2), ...plannerObjects(input, 120)]
}
const of = (objects: readonly KubeObject[], kind: string, name: string) => {
  const object = objects.find(each => each.kind === kind && each.metadata.name.startsWith(name))
  if (object === undefined) throw new Error(`no ${kind} ${name}`)
  return object
}
const setOf = (spec: FlinkJobSpec, name: string) => of(allObjects(spec), 'StatefulSet', name).spec as Spec
const plannerOf = (spec: FlinkJobSpec) => of(allObjects(spec), 'Pod', 'words-plan-')

test('a FlinkJob with every field becomes exactly these objects', async () => {
  const text = allObjects(fullSpec)
    .map(object => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n')
  await expect(text).toMatchFileSnapshot(join(import.meta.dirname, 'objects.test.yaml'))
})

test('a module of the image needs no ConfigMap for its text; the image is that of the operator', () => {
  const objects = allObjects(minimal)
  expect(objects.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name.replace(/[0-9a-f]{10}$/, '*'))).toEqual([
    'words-config-*',
    'words-log',
    'words-config-*',
    'words-config-*',
  ])
  expect(objects.filter(({ kind }) => kind === 'Ingress')).toEqual([])
  const { initContainers, containers } = setOf(minimal, 'words-jm').template.spec
  expect(initContainers?.map(({ args }) => args)).toEqual([
    ['bundle', '--class', 'main', '--output', expect.stringMatching(/^\/var\/lib\/millrace\/uploads\/[0-9a-f-]{36}_words\.mjs$/), '/jobs/words.ts'],
  ])
  expect(containers).toMatchObject([{ image: 'example/millrace:default' }])
})

test('all pods keep to the restricted Pod Security standard, and have no token of the API server', () => {
  for (const spec of [fullSpec, minimal]) {
    const pods = [setOf(spec, 'words-jm').template.spec, setOf(spec, 'words-tm').template.spec, plannerOf(spec).spec as PodSpec]
    for (const pod of pods) {
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
      expect(pod.automountServiceAccountToken).toBe(false)
      for (const container of [...pod.containers, ...(pod.initContainers ?? [])].filter(({ name }) => name === 'main' || name === 'program'))
        expect(container.securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } })
    }
  }
})

test('what runs user code to plan or bundle it has no secret of the cluster', () => {
  const { initContainers = [] } = setOf(fullSpec, 'words-jm').template.spec
  const planner = plannerOf(fullSpec).spec as PodSpec
  const running = [...initContainers.filter(({ name }) => name === 'program'), ...planner.containers]
  expect(running).toHaveLength(2)
  for (const { volumeMounts } of running) expect(volumeMounts.map(({ name }) => name)).toEqual(['work', 'temporary', 'configuration', 'program'])
  expect(planner.volumes.map(({ name }) => name)).not.toContain('token')
})

describe('templates', () => {
  test('the common one comes first, then that of the process; named things are merged by name, other lists follow one another', () => {
    const { template, selector } = setOf(fullSpec, 'words-tm')
    expect(template.metadata).toMatchObject({ labels: { team: 'words', ...selector.matchLabels }, annotations: { note: 'common' } })
    const [main, logs] = template.spec.containers
    expect(main?.env.filter(({ name }) => name === 'REGION')).toEqual([{ name: 'REGION', value: 'south' }])
    expect(main?.volumeMounts.map(({ name }) => name)).toEqual(['work', 'temporary', 'configuration', 'token', 'log-level', 'certificates', 'data'])
    expect(logs).toEqual({ name: 'logs', image: 'example/logs:1' })
    expect(template.spec).toMatchObject({ nodeSelector: { disk: 'fast' }, tolerations: [{}, {}, { key: 'dedicated' }] })
    expect(setOf(fullSpec, 'words-jm').template.spec.containers[0]?.env).toContainEqual({ name: 'REGION', value: 'north' })
  })

  test('init containers of a template run before ours, which may need what they fetch', () => {
    expect(setOf(fullSpec, 'words-jm').template.spec.initContainers?.map(({ name }) => name)).toEqual(['fetch', 'program'])
  })

  test('a volume that main mounts, and what its environment says, is there where the program is planned and bundled too', () => {
    const mount = { name: 'modules', mountPath: '/opt/millrace/modules' }
    const main = { name: 'main', env: [{ name: 'REGION', value: 'north' }], volumeMounts: [mount], livenessProbe: { periodSeconds: 60 } }
    const volumes = [{ name: 'modules', persistentVolumeClaim: { claimName: 'modules' } }]
    const own = { name: 'program', env: [{ name: 'REGION', value: 'south' }] }
    const specOf = (initContainers: readonly object[]): FlinkJobSpec => ({
      ...minimal,
      podTemplate: { spec: { volumes } },
      jobManager: { podTemplate: { spec: { containers: [main], initContainers } } },
    })
    const bundling = (spec: FlinkJobSpec) => setOf(spec, 'words-jm').template.spec.initContainers ?? []
    const [planner] = (plannerOf(specOf([])).spec as PodSpec).containers
    for (const container of [planner, ...bundling(specOf([]))])
      expect(container).toMatchObject({ env: expect.arrayContaining(main.env), volumeMounts: expect.arrayContaining([mount]) })
    expect(bundling(specOf([]))).toEqual([expect.not.objectContaining({ livenessProbe: expect.anything() })])
    const [fetch, program] = bundling(specOf([own, { name: 'fetch' }]))
    expect(fetch).toEqual({ name: 'fetch' })
    expect(program?.env).toEqual(expect.arrayContaining(own.env))
    expect(program?.env).not.toEqual(expect.arrayContaining(main.env))
  })

  test('a planner runs without the containers that a template adds, for it would never end', () => {
    const spec = { ...fullSpec, jobManager: { podTemplate: { spec: { containers: [{ name: 'logs', image: 'example/logs:1' }] } } } }
    expect((plannerOf(spec).spec as PodSpec).containers.map(({ name }) => name)).toEqual(['main'])
  })

  test('labels by which pods are found, what our container runs and our volumes are refused by name', () => {
    const template = {
      metadata: { labels: { 'millrace.dev/job': 'other', team: 'a' } },
      spec: {
        containers: [{ image: 'x' }, { name: 'main', image: 'x', command: ['sh'], env: [] }],
        initContainers: [{ name: 'program', args: [] }],
        volumes: [{ name: 'data' }, { name: 'work' }],
        restartPolicy: 'Never',
        serviceAccountName: 'admin',
      },
    }
    expect(templateProblems(template).map(({ path, message }) => `${path.join('.')}: ${message}`)).toEqual([
      'metadata.labels.millrace.dev/job: is refused: Millrace finds its pods by it',
      'spec.containers.0: is refused: a container needs a name; that of Millrace is main',
      'spec.containers.1.image: is refused: spec.image says it',
      'spec.containers.1.command: is refused: Millrace says what its container runs',
      'spec.initContainers.0.args: is refused: Millrace says what its container runs',
      "spec.volumes.1.name: is refused: work is a volume of Millrace's",
      'spec.restartPolicy: is refused: Millrace says it',
      'spec.serviceAccountName: is refused: spec.serviceAccount says it',
    ])
    for (const given of [fullSpec.podTemplate, fullSpec.jobManager?.podTemplate, fullSpec.taskManager.podTemplate])
      expect(templateProblems(given ?? {})).toEqual([])
  })
})

test('arguments of the program reach it as they are written: Kubernetes expands nothing in them', () => {
  expect((plannerOf(fullSpec).spec as PodSpec).containers[0]?.args.slice(-2)).toEqual(['--prefix', '$$(HOME)'])
})

test('another program or configuration has other ConfigMaps, another planner and another jar; another parallelism only another planner', () => {
  const namesOf = (spec: FlinkJobSpec) => ({
    maps: allObjects(spec)
      .filter(({ kind }) => kind === 'ConfigMap')
      .map(({ metadata }) => metadata.name),
    planner: plannerOf(spec).metadata.name,
    jar: setOf(spec, 'words-jm').template.spec.initContainers?.at(-1)?.args[4],
  })
  const first = namesOf(fullSpec)
  const program = namesOf({ ...fullSpec, job: { ...fullSpec.job, script: 'export default () => {}' } })
  const option = namesOf({ ...fullSpec, flinkConfiguration: { 'pipeline.name': 'other' } })
  const parallelism = namesOf({ ...fullSpec, job: { ...fullSpec.job, parallelism: 5 } })
  expect(program.jar).not.toBe(first.jar)
  expect(option.jar).toBe(first.jar)
  for (const other of [program, option]) {
    expect(other.maps).not.toEqual(first.maps)
    expect(other.planner).not.toBe(first.planner)
  }
  expect(parallelism).toEqual({ ...first, planner: expect.not.stringContaining(first.planner) })
})

test.each([
  ['/jobs/{{namespace}}/{{name}}', undefined, '/jobs/jobs/words'],
  ['https://{{name}}.example.com', 'words.example.com', '/'],
])('the ingress of %s', (template, host, path) => {
  const { rules } = of(allObjects({ ...minimal, ingress: { template } }), 'Ingress', 'words').spec as {
    rules: { host?: string; http: { paths: object[] } }[]
  }
  expect(rules[0]?.host).toBe(host)
  expect(rules[0]?.http.paths).toMatchObject([{ path, backend: { service: { name: 'words-rest', port: { name: 'rest' } } } }])
})

test('the longest name that a FlinkJob may have fits everywhere: Services, labels of pods, the revision of a StatefulSet', () => {
  for (const { kind, metadata } of allObjects(fullSpec, 'a'.repeat(45))) {
    // A StatefulSet's name, a dash and ten characters are a label.
    expect(metadata.name.length, metadata.name).toBeLessThanOrEqual(kind === 'StatefulSet' ? 52 : kind === 'ConfigMap' ? 253 : 63)
    for (const label of Object.values(metadata.labels ?? {})) expect(label.length).toBeLessThanOrEqual(63)
  }
})
