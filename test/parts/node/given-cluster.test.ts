import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startKubernetesNode } from '../../support/kubernetes-node.ts'

/** `make cluster-test` as people with kind or k3d run it: all that it knows of the cluster is what it is told. One of its tests; SOAK=1: all of them. */
const repository = join(import.meta.dirname, '..', '..', '..')

test('the tests of a whole cluster run on one that is there already, by its kubeconfig, and leave it as it was', { timeout: 600_000 }, async () => {
  await using node = await startKubernetesNode()
  const there = () => node.kubectl(['get', 'namespaces,crds,clusterroles,validatingwebhookconfigurations', '-o', 'name'])
  const before = await there()
  const some = process.env['SOAK'] === '1' ? [] : ['CLUSTER_TESTS=test/parts/node/programs.test.ts']
  const args = [...some, `KUBECONFIG=${node.kubeconfig}`, `OUTSIDE=${node.outside}`, `LOAD=${node.importCommand.join(' ')}`]
  const { stdout } = await promisify(execFile)('make', ['--no-print-directory', '-C', repository, 'cluster-test', ...args], {
    env: { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST'))), NO_COLOR: '1' },
    maxBuffer: 64 * 2 ** 20,
  })
  expect(stdout).toMatch(/Test Files +\d passed \(\d\)/)
  expect(stdout).toMatch(/Tests +\d+ passed/)
  expect(await there()).toBe(before)
})
