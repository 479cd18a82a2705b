import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, startCluster, TestFolder } from '../../support/cluster.ts'
import { goesOn, running, submit, ticksJob } from '../../support/jobs.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'

/** JobManagers that stand by for each other, as processes, with the Lease at a real kube-apiserver. One listens at a time: both have the same addresses. */
let plane: KubeControlPlane
beforeAll(async () => {
  plane = await KubeControlPlane.start()
})
afterAll(() => plane?.[Symbol.asyncDispose]())

const holder = async () => {
  const { body } = await plane.call('GET', '/apis/coordination.k8s.io/v1/namespaces/default/leases/words-leader')
  return (body as { readonly spec?: { readonly holderIdentity?: string } }).spec?.holderIdentity ?? ''
}
const logOf = async (cluster: Cluster, id: string) => readFile(join(cluster.folder.path, `cluster/log/${id}.log`), 'utf8').catch(() => '')
/** Nobody listens for a while. */
async function comesBack(cluster: Cluster, job: string): Promise<void> {
  const state = () =>
    cluster.get<{ readonly state: string }>(`/jobs/${job}`).then(
      found => found.state,
      () => 'nobody answers',
    )
  await expect.poll(state, { timeout: 60_000 }).toBe('RUNNING')
  await running(cluster, job)
  await goesOn(cluster, job)
}

test('a leader that is killed is followed by the one that stands by: TaskManagers come to it, the job goes on from its checkpoint; stopped, it gives the Lease back and no TaskManager ends', async () => {
  await using files = await TestFolder.create()
  const folder = files.path
  writeFileSync(join(folder, 'token'), plane.token)
  writeFileSync(join(folder, 'ca.crt'), plane.ca)
  await using cluster = await startCluster({
    taskManagers: 1,
    slots: 2,
    configuration: {
      'high-availability.type': 'kubernetes',
      'high-availability.cluster-id': 'words',
      'high-availability.storageDir': `file://${folder}/ha`,
      'high-availability.kubernetes.leader-election.lease-duration': '2 s',
      'high-availability.kubernetes.leader-election.renew-deadline': '1500 ms',
      'high-availability.kubernetes.leader-election.retry-period': '300 ms',
      'kubernetes.api-server': plane.url,
      'kubernetes.token-file': join(folder, 'token'),
      'kubernetes.certificate-authority': join(folder, 'ca.crt'),
      'kubernetes.namespace': 'default',
      'execution.checkpointing.dir': `file://${folder}/checkpoints`,
      'execution.checkpointing.interval': '200 ms',
    },
  })
  const leader = await holder()
  expect(leader).not.toBe('')
  const job = await submit(cluster, await cluster.folder.write('ticks.ts', ticksJob), ['-p', '2'])
  await running(cluster, job)
  await goesOn(cluster, job)
  const taskManager = cluster.pidOf(' taskmanager ')

  cluster.startStandby('standby')
  await expect.poll(() => logOf(cluster, 'standby'), { timeout: 30_000 }).toContain('standing by')
  expect(await holder()).toBe(leader)
  process.kill(cluster.pidOf('run/jobmanager-0.json'), 'SIGKILL')
  await expect.poll(holder, { timeout: 30_000 }).not.toBe(leader)
  await comesBack(cluster, job)
  const { latest } = await cluster.get<{ readonly latest: { readonly restored: { readonly id: number } | null } }>(`/jobs/${job}/checkpoints`)
  expect(latest.restored?.id).toBeGreaterThan(0)
  expect(cluster.pidOf(' taskmanager ')).toBe(taskManager)

  // An end that was asked for: the next one need not wait, and has the same TaskManager.
  const second = await holder()
  cluster.startStandby('third')
  await expect.poll(() => logOf(cluster, 'third'), { timeout: 30_000 }).toContain('standing by')
  process.kill(cluster.pidOf('run/standby.json'), 'SIGTERM')
  await expect.poll(holder, { timeout: 30_000 }).not.toBe(second)
  await comesBack(cluster, job)
  expect(cluster.pidOf(' taskmanager ')).toBe(taskManager)

  // Who cannot renew its Lease ends at once, and cancels nothing.
  const third = cluster.pidOf('run/third.json')
  await plane.withoutApiServer(async () => {
    await expect.poll(() => logOf(cluster, 'third'), { timeout: 30_000 }).toContain('the lease is lost: this jobmanager ends at once')
    await expect.poll(() => cluster.processes().some(({ pid }) => pid === third), { timeout: 30_000 }).toBe(false)
  })
  cluster.startStandby('fourth')
  await comesBack(cluster, job)
}, 180_000)
