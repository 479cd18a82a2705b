import { afterAll, beforeAll, expect, test } from 'vitest'
import { version } from '../../../bin/version.ts'
import { JOBS, MillraceOnNode } from '../../support/millrace-on-node.ts'

/** Programs that do not stand in the manifest. */
const WITH_JOB = 'millrace-with-job'
let world: MillraceOnNode
beforeAll(async () => {
  world = await MillraceOnNode.start()
  world.importImageWith(WITH_JOB, {
    'node_modules/greeting/package.json': JSON.stringify({ name: 'greeting', version: '1.0.0', type: 'module', exports: './index.js' }),
    'node_modules/greeting/index.js': "export const greeting = whom => 'hello ' + whom\n",
    'job/job.ts': printing('the image'),
  })
}, 180_000)
afterAll(() => world?.[Symbol.asyncDispose](), 60_000)

function printing(whom: string): string {
  return `import { DataGeneratorSource, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
import { greeting } from 'greeting'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 10, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').map(() => greeting('${whom}')).print()
}
`
}

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
  const lines = async (pod: string) => (await world.kubectl('logs', pod).catch(String)).split('\n')
  await expect.poll(() => lines('of-image-tm-0'), { timeout: 90_000, interval: 500 }).toContain('hello the image')
  await expect.poll(() => lines('of-volume-tm-0'), { timeout: 90_000, interval: 500 }).toContain('hello the volume')
  const address = flinkJob('of-bucket', 's3://state/job.ts', {})
  await expect(world.apply(address)).rejects.toThrow('a module is a file, in the image or on a volume')
})
