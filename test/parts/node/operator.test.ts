import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { crdFiles } from '../../../bin/crds.ts'
import { buildArchive } from '../../../bin/image/buildah.ts'
import { images, stageRoot } from '../../../bin/image/root-fs.ts'
import { version } from '../../../bin/version.ts'
import type { FlinkJob } from '../../../operator/api/flink-job.ts'
import { type KubernetesNode, startKubernetesNode } from '../../support/kubernetes-node.ts'
import { ACCESS_KEY, S3Server, SECRET_KEY } from '../../support/s3-server.ts'

/** The operator and jobs in pods of a real node, in a namespace that enforces the restricted Pod Security standard. */
const SYSTEM = 'millrace-system'
const JOBS = 'jobs'
const BUCKET = 'state'
const WITH_JOB = 'millrace-with-job'
const folder = mkdtempSync(join(tmpdir(), 'millrace-images-'))
let node: KubernetesNode
let s3: S3Server

const restricted = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }
const operator = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'millrace-operator', namespace: SYSTEM } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'millrace-operator' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'millrace-operator', namespace: SYSTEM }],
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'millrace-operator', namespace: SYSTEM },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'millrace-operator' } },
      template: {
        metadata: { labels: { app: 'millrace-operator' } },
        spec: {
          serviceAccountName: 'millrace-operator',
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              name: 'operator',
              image: `millrace-operator:${version}`,
              imagePullPolicy: 'Never',
              args: ['operator', '--image', `millrace:${version}`],
              readinessProbe: { httpGet: { path: '/readyz', port: 8085 }, periodSeconds: 1 },
              securityContext: restricted,
              volumeMounts: [{ name: 'temporary', mountPath: '/tmp' }],
            },
          ],
          volumes: [{ name: 'temporary', emptyDir: {} }],
        },
      },
    },
  },
]

beforeAll(async () => {
  for (const image of images) await stageRoot(image, folder)
  node = await startKubernetesNode()
  for (const image of images) node.importImage(buildArchive(image, folder).path)
  node.importImage(imageWithJob())
  s3 = await S3Server.start(node.outside)
  s3.createBucket(BUCKET)
  for (const [, text] of crdFiles()) await node.kubectl(['apply', '--server-side', '-f', '-'], text)
  for (const namespace of [SYSTEM, JOBS]) {
    await node.kubectl(['create', 'namespace', namespace])
    await node.kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted'])
  }
  await apply(...operator)
  await node.kubectl(['-n', SYSTEM, 'wait', '--for=condition=Available', 'deployment/millrace-operator', '--timeout=60s'])
}, 180_000)
afterAll(async () => {
  await s3?.stop()
  await node?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

/** As people build theirs on ours (docs/images.md): a program, and a package that it imports. */
function imageWithJob(): string {
  const files = {
    'node_modules/greeting/package.json': JSON.stringify({ name: 'greeting', version: '1.0.0', type: 'module', exports: './index.js' }),
    'node_modules/greeting/index.js': "export const greeting = whom => 'hello ' + whom\n",
    'job/job.ts': printing('the image'),
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, 'runtime/opt/millrace', name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  const [runtime] = images.filter(({ target }) => target === 'runtime')
  if (runtime === undefined) throw new Error('there is no image of the runtime')
  return buildArchive({ ...runtime, name: WITH_JOB }, folder).path
}

function printing(whom: string): string {
  return `import { DataGeneratorSource, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
import { greeting } from 'greeting'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 10, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').map(() => greeting('${whom}')).print()
}
`
}

function apply(...objects: readonly object[]): Promise<string> {
  return node.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
}

const job = (threshold: number, spec: object = {}, more: object = {}) => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name: 'numbers', namespace: JOBS },
  spec: {
    flinkConfiguration: {
      'execution.checkpointing.interval': '1 s',
      'execution.checkpointing.dir': `s3://${BUCKET}/checkpoints`,
      'execution.checkpointing.savepoint-dir': `s3://${BUCKET}/savepoints`,
      's3.endpoint': s3.endpoint,
      's3.access-key': ACCESS_KEY,
      's3.secret-key': SECRET_KEY,
      's3.region': 'us-east-1',
    },
    job: {
      upgradeMode: 'savepoint',
      parallelism: 1,
      script: `import { DataGeneratorSource, Types, WatermarkStrategy } from 'millrace'
export default env => {
  env.fromSource(new DataGeneratorSource(n => [n % 4, 1], { rowsPerSecond: 100, type: Types.tuple(Types.INT, Types.INT) }), WatermarkStrategy.noWatermarks(), 'numbers')
    .keyBy(0).sum(1).uid('sums').filter(([, count]) => count > ${threshold}).print()
}`,
      ...more,
    },
    ...spec,
  },
})

async function status(): Promise<FlinkJob['status']> {
  const { items } = JSON.parse(await node.kubectl(['-n', JOBS, 'get', 'flinkjobs', '-o', 'json'])) as { items: readonly FlinkJob[] }
  return items[0]?.status
}

const reaches = (wanted: object) => expect.poll(status, { timeout: 120_000, interval: 200 }).toMatchObject(wanted)
const runs = (generation: number) => ({ lifecycleState: 'STABLE', observedGeneration: generation, jobStatus: { state: 'RUNNING' } })
/** Of processes: one that planned a program stays until the next submission. */
const PROCESSES = 'app.kubernetes.io/component in (jobmanager,taskmanager)'
const pods = async () => (await node.kubectl(['-n', JOBS, 'get', 'pods', '-l', PROCESSES, '-o', 'name'])).trim().split('\n').sort()

test('deployed, upgraded with its state, rescaled, saved, suspended, resumed, deleted', { timeout: 400_000 }, async () => {
  await apply(job(0))
  await reaches(runs(1))
  expect(await pods()).toEqual(['pod/numbers-jm-0', 'pod/numbers-tm-0'])

  await apply(job(10))
  await reaches({ ...runs(2), restore: { kind: 'savepoint' } })

  await apply(job(10, {}, { parallelism: 2 }))
  await reaches({ ...runs(3), jobStatus: { state: 'RUNNING', parallelism: 2 } })

  await node.kubectl(['-n', JOBS, 'annotate', 'flinkjob', 'numbers', 'millrace.dev/savepoint=now'])
  await reaches({ lastSavepoint: { trigger: 'MANUAL' } })

  await apply(job(10, {}, { parallelism: 2, state: 'suspended' }))
  await reaches({ lifecycleState: 'SUSPENDED' })
  await expect.poll(pods, { timeout: 60_000 }).toEqual([''])
  await apply(job(10, {}, { parallelism: 2 }))
  await reaches({ ...runs(5), restore: { kind: 'savepoint' } })

  await node.kubectl(['-n', JOBS, 'delete', 'flinkjob', 'numbers', '--timeout=120s'])
  await expect.poll(pods, { timeout: 60_000 }).toEqual([''])
  await expect.poll(() => node.kubectl(['-n', JOBS, 'get', 'services,statefulsets,secrets', '-o', 'name']), { timeout: 60_000 }).toBe('')
  expect(s3.objects(BUCKET)).toContain('_metadata')
})

test('modules of the image and of a volume run, with the packages of the image, and kubectl logs shows what they print', {
  timeout: 200_000,
}, async () => {
  const flinkJob = (name: string, module: string, spec: object) => ({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name, namespace: JOBS },
    spec: { image: `${WITH_JOB}:${version}`, job: { module }, ...spec },
  })
  const mount = { name: 'modules', mountPath: '/opt/millrace/modules' }
  const template = { spec: { volumes: [{ name: 'modules', configMap: { name: 'modules' } }], containers: [{ name: 'main', volumeMounts: [mount] }] } }
  await apply(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'modules', namespace: JOBS }, data: { 'job.ts': printing('the volume') } },
    flinkJob('of-image', '/opt/millrace/job/job.ts', {}),
    flinkJob('of-volume', '/opt/millrace/modules/job.ts', { jobManager: { podTemplate: template } }),
  )
  const logOf = (pod: string) => node.kubectl(['-n', JOBS, 'logs', pod]).catch(error => String(error))
  const lines = async (pod: string) => (await logOf(pod)).split('\n')
  await expect.poll(() => lines('of-image-tm-0'), { timeout: 90_000, interval: 500 }).toContain('hello the image')
  await expect.poll(() => lines('of-volume-tm-0'), { timeout: 90_000, interval: 500 }).toContain('hello the volume')
  const address = flinkJob('of-bucket', 's3://state/job.ts', {})
  await expect(apply(address)).rejects.toThrow('a module is a file, in the image or on a volume')
})
