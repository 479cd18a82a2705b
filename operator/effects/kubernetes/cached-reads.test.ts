import { expect, test } from 'vitest'
import { KubernetesWorld } from '../../../test/support/kubernetes-world.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'

/** What decision 0033 says of answers that are late. */
const spec: FlinkJobSpec = {
  job: { script: 'export default () => {}', entryClass: 'default', args: [], state: 'running', upgradeMode: 'savepoint', fallback: 'none' },
  flinkConfiguration: { 'execution.checkpointing.dir': 's3://state' },
  taskManager: {},
}
const until = (look: () => Promise<unknown>) => expect.poll(look, { timeout: 10_000, interval: 2 })

test('what is there and was not seen yet is not called missing', async () => {
  await using world = await KubernetesWorld.start({ isCached: true })
  world.hold()
  await world.executor(false).execute({ kind: 'startJobManager', spec })
  const kindOf = async () => (await world.executor().observeCluster()).jobManager.kind
  expect(await kindOf()).not.toBe('missing')
  world.release()
  await until(kindOf).toBe('ready')
})

test('a pod that is seen to be ready, and was of an earlier StatefulSet of that name, makes no JobManager ready', async () => {
  await using world = await KubernetesWorld.start({ isCached: true })
  const [executor, other] = [world.executor(), world.executor(false)]
  const kindOf = async () => (await executor.observeCluster()).jobManager.kind
  await executor.execute({ kind: 'startJobManager', spec })
  await until(kindOf).toBe('ready')
  world.hold()
  await other.execute({ kind: 'stopJobManager' })
  world.fates.set('words-jm', { kind: 'unschedulable', message: 'no room' })
  await executor.execute({ kind: 'startJobManager', spec })
  expect(await kindOf()).toBe('starting')
  world.fates.clear()
  await world.kubelet.step()
  world.release()
  await until(kindOf).toBe('ready')
  expect(world.cluster.violations).toEqual([])
})
