import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { cacheFolder, runKubectl } from '../../support/kube-binaries.ts'
import { PAUSE_IMAGE } from '../../support/kubernetes-node.ts'
import { nodeTraces, tracesSince } from '../../support/node-traces.ts'

/** `make cluster-up` and `make cluster-down` as people run them, beside a cluster that may be up on this machine: the parts are those of the cache, the record is in a folder of its own. */
const cache = mkdtempSync(join(tmpdir(), 'millrace-cache-'))
for (const name of readdirSync(cacheFolder(''))) if (!/^(cluster|kubeconfig)/.test(name)) symlinkSync(cacheFolder(name), join(cache, name))
const repository = join(import.meta.dirname, '..', '..', '..')

async function make(target: string): Promise<string> {
  const { stdout } = await promisify(execFile)('make', ['--no-print-directory', '-C', repository, target], {
    env: { ...process.env, MILLRACE_CACHE: cache },
  })
  return stdout
}

afterAll(async () => {
  await make('cluster-down')
  rmSync(cache, { recursive: true, force: true })
}, 120_000)

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'idle' },
  spec: { containers: [{ name: 'main', image: PAUSE_IMAGE, imagePullPolicy: 'Never' }] },
}

test('make cluster-up leaves a node behind that runs a pod, and says where it is; make cluster-down leaves nothing', {
  timeout: 300_000,
}, async () => {
  const before = nodeTraces()
  expect(await make('cluster-down')).toBe('no cluster is up\n')
  const startMs = performance.now()
  const said = await make('cluster-up')
  console.log(`make cluster-up took ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
  const kubeconfig = /export KUBECONFIG=(\S+)/.exec(said)?.[1] ?? ''
  const kubectl = (...args: readonly string[]) => runKubectl(['--kubeconfig', kubeconfig, ...args], JSON.stringify(pod), cache)
  await kubectl('apply', '-f', '-')
  await kubectl('wait', '--for=condition=Ready', 'pod/idle', '--timeout=60s')
  const place = said.slice(said.indexOf('export KUBECONFIG'))
  expect(await make('cluster-up')).toContain(place)
  expect(await make('cluster-down')).toBe('the cluster is gone\n')
  expect(tracesSince(before)).toEqual([])
  await expect(kubectl('get', 'pods')).rejects.toThrow()
})
