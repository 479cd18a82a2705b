import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { cacheFolder, helmBinary, kubeBinary } from '../../support/kube-binaries.ts'

/** What README says under "On Kubernetes", word for word, by somebody with a home of his own on this machine. */
const repository = join(import.meta.dirname, '..', '..', '..')
const home = mkdtempSync(join(tmpdir(), 'millrace-home-'))
const cache = join(home, '.cache', 'millrace')
mkdirSync(cache, { recursive: true })
for (const name of readdirSync(cacheFolder(''))) if (!/^(cluster|kubeconfig)/.test(name)) symlinkSync(cacheFolder(name), join(cache, name))
const { MILLRACE_CACHE: _, ...ours } = process.env
const env = { ...ours, HOME: home, PATH: [dirname(kubeBinary('kubectl')), dirname(helmBinary()), process.env['PATH']].join(delimiter) }
const bash = (script: string) => promisify(execFile)('bash', ['-eo', 'pipefail', '-c', script], { cwd: repository, env, maxBuffer: 64 * 2 ** 20 })

afterAll(async () => {
  await bash('make cluster-down')
  rmSync(home, { recursive: true, force: true })
}, 120_000)

test('from nothing to a job that runs on the cluster, by what README says', { timeout: 600_000 }, async () => {
  const section = /\n## On Kubernetes\n([\s\S]*?)\n## /.exec(readFileSync(join(repository, 'README.md'), 'utf8'))?.[1] ?? ''
  const [script = '', ...others] = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = '']) => text)
  expect(others).toEqual([])
  const commands = script.trim().split('\n')
  expect(section).toContain(`${commands.length} commands`)
  const startMs = performance.now()
  const { stdout } = await bash(script)
  console.info(`${commands.length} commands in ${((performance.now() - startMs) / 60_000).toFixed(1)} minutes`)
  expect(stdout).toMatch(/clicks-per-page +RUNNING +STABLE/)
  expect(stdout).toContain('the cluster is gone')
})
