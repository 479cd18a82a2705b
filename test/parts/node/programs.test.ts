import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { version } from '../../../bin/version.ts'
import type { TestCluster } from '../../support/kubernetes-node.ts'
import { BUCKET, JOBS, MillraceOnNode } from '../../support/millrace-on-node.ts'
import { isOwnNode, startTestCluster } from '../../support/test-cluster.ts'

/** Programs that do not stand in the manifest. */
const WITH_JOB = 'millrace-with-job'
let world: MillraceOnNode<TestCluster>
beforeAll(async () => {
  world = await MillraceOnNode.on(startTestCluster)
  world.importImageWith(WITH_JOB, {
    'node_modules/greeting/package.json': JSON.stringify({ name: 'greeting', version: '1.0.0', type: 'module', exports: './index.js' }),
    'node_modules/greeting/index.js': "export const greeting = whom => 'hello ' + whom\n",
    'job/job.ts': printing('the image'),
  })
}, 180_000)
afterAll(async () => {
  if (!isOwnNode) await world?.leave()
  await world?.[Symbol.asyncDispose]()
}, 300_000)

function printing(whom: string): string {
  return `import { DataGeneratorSource, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
import { greeting } from 'greeting'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 10, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').map(() => greeting('${whom}')).print()
}
`
}

const lines = async (pod: string) => (await world.kubectl('logs', pod).catch(String)).split('\n')

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
  await world.apply(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'modules', namespace: JOBS }, data: { 'job.ts': printing('the volume') } },
    flinkJob('of-image', '/opt/millrace/job/job.ts', {}),
    flinkJob('of-volume', '/opt/millrace/modules/job.ts', { jobManager: { podTemplate: template } }),
  )
  await expect.poll(() => lines('of-image-tm-0'), { timeout: 90_000, interval: 500 }).toContain('hello the image')
  await expect.poll(() => lines('of-volume-tm-0'), { timeout: 90_000, interval: 500 }).toContain('hello the volume')
})

test('a module of a bucket runs, with the packages of the image; another text than the spec names is refused, and the job says so', {
  timeout: 200_000,
}, async () => {
  const text = printing('the bucket')
  await world.s3.put(BUCKET, 'programs/job.ts', text)
  const ofBucket = (name: string, moduleDigest?: string) => {
    const job = world.job(name, { module: `s3://${BUCKET}/programs/job.ts`, moduleDigest }) as { readonly spec: object }
    return { ...job, spec: { ...job.spec, image: `${WITH_JOB}:${version}` } }
  }
  await expect(world.apply(ofBucket('of-bucket'))).rejects.toThrow('belongs to a module at s3://, which needs it')
  await world.apply(
    ofBucket('of-bucket', `sha256:${createHash('sha256').update(text).digest('hex')}`),
    ofBucket('of-another', `sha256:${'0'.repeat(64)}`),
  )
  await expect.poll(() => lines('of-bucket-tm-0'), { timeout: 90_000, interval: 500 }).toContain('hello the bucket')
  await world.reaches('of-another', { lifecycleState: 'FAILED', error: expect.stringContaining('is not the one that was named') as unknown })
})
