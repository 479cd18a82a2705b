import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { CHART } from '../../../bin/chart.ts'
import { optionTables } from '../../../bin/option-tables.ts'
import { checkFlinkJob } from '../../../operator/validation/problems.ts'
import { runHelm } from '../../support/helm.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'

/** Releases at a real API server. That the operator of one runs, and what it may do, is shown on a node: test/parts/node. */
const folder = mkdtempSync(join(tmpdir(), 'millrace-helm-'))
let plane: KubeControlPlane
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  writeFileSync(join(folder, 'ca.crt'), plane.ca)
}, 60_000)
afterAll(async () => {
  await plane?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const helm = (...args: readonly string[]) =>
  runHelm([...args, '--kube-apiserver', plane.url, '--kube-token', plane.token, '--kube-ca-file', join(folder, 'ca.crt')], folder)
const columns = async () =>
  (await plane.kubectl(['get', 'crd', 'flinkjobs.millrace.dev', '-o', 'jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}'])).split(' ')
const named = async (kind: string, ...args: readonly string[]) => (await plane.kubectl(['get', kind, '-o', 'name', ...args])).trim()

/** A chart whose FlinkJob has one column less. */
function olderChart(): string {
  const older = join(folder, 'older')
  cpSync(CHART, older, { recursive: true })
  const path = join(older, 'templates', 'crds', 'millrace.dev_flinkjobs.yaml')
  const text = readFileSync(path, 'utf8')
  const without = text.replace(/ {8}- name: Parallelism\n {10}type: integer\n {10}jsonPath: .*\n/, '')
  expect(without).not.toBe(text)
  writeFileSync(path, without)
  return older
}

test('kinds are installed, brought up to date by an upgrade, and kept with their objects when the release goes; another one takes them over', async () => {
  await helm('install', 'millrace', olderChart(), '--namespace', 'system', '--create-namespace')
  expect(await columns()).not.toContain('Parallelism')
  await helm('upgrade', 'millrace', CHART, '--namespace', 'system')
  expect(await columns()).toContain('Parallelism')
  await plane.kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd/flinkjobs.millrace.dev'])
  const job = {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name: 'kept' },
    spec: { job: { script: 'export default () => 1' } },
  }
  await plane.kubectl(['apply', '-f', '-'], JSON.stringify(job))
  await helm('uninstall', 'millrace', '--namespace', 'system')
  expect(await named('flinkjobs')).toBe('flinkjob.millrace.dev/kept')
  expect(await named('deployments,serviceaccounts,roles,rolebindings', '--namespace', 'system')).toBe('')
  expect(await named('clusterroles,clusterrolebindings', '-l', 'app.kubernetes.io/instance=millrace')).toBe('')
  await expect(helm('install', 'other', CHART, '--namespace', 'other', '--create-namespace')).rejects.toThrow('invalid ownership metadata')
  await helm('install', 'other', CHART, '--namespace', 'other', '--create-namespace', '--take-ownership')
  expect(await named('flinkjobs')).toBe('flinkjob.millrace.dev/kept')
  await helm('uninstall', 'other', '--namespace', 'other')
})

test('two releases of namespaces of their own beside each other', async () => {
  for (const name of ['first', 'second']) {
    await plane.kubectl(['create', 'namespace', `jobs-of-${name}`])
    await helm(
      'install',
      name,
      CHART,
      '--namespace',
      name,
      '--create-namespace',
      '--set',
      `watchNamespaces={jobs-of-${name}}`,
      '--set',
      'crds.install=false',
    )
  }
  expect(await named('roles', '--namespace', 'jobs-of-first')).toBe('role.rbac.authorization.k8s.io/first-millrace-operator')
  expect(await named('roles', '--namespace', 'jobs-of-second')).toBe('role.rbac.authorization.k8s.io/second-millrace-operator')
})

test('NOTES.txt says what to do next, and its manifest holds', async () => {
  const values = ['--set', 'watchNamespaces={jobs}', '--set', 'selector.team=a']
  const notes =
    (await helm('install', 'notes', CHART, '--dry-run=server', '--take-ownership', '--namespace', 'default', ...values)).split('\nNOTES:\n')[1] ?? ''
  expect(notes).toContain('the namespaces jobs, and only objects labelled team=a')
  expect(notes).toContain('helm test notes --namespace default')
  const manifest = /<<'END'\n([\s\S]*?)\n {2}END\n/.exec(notes)?.[1] ?? ''
  const job: unknown = parse(manifest)
  expect(job).toMatchObject({ kind: 'FlinkJob', metadata: { labels: { team: 'a' } } })
  expect(checkFlinkJob(job, optionTables, 'kubernetes')).toMatchObject({ kind: 'valid' })
})
