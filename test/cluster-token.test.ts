import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { TestFolder } from './support/cluster.ts'

const environment = new URL('../bin/environment.ts', import.meta.url).href

/** What one process of a cluster that starts takes for the token. */
function tokenOfProcess(directory: string): Promise<string> {
  const script = `
    const { clusterToken, readEnvironment } = await import(${JSON.stringify(environment)})
    const { Configuration } = await import(${JSON.stringify(new URL('../runtime/common/config.ts', import.meta.url).href)})
    const { processOptionTable } = await import(${JSON.stringify(new URL('../runtime/common/options.ts', import.meta.url).href)})
    const token = clusterToken(readEnvironment(), Configuration.parse({}, [processOptionTable]).configuration)
    process.stdout.write(typeof token === 'string' ? token : token.token)`
  return new Promise((resolve, reject) => {
    const node = new URL('../node_modules/node/bin/node', import.meta.url).pathname
    execFile(node, ['--input-type=module', '-e', script], { env: { ...process.env, MILLRACE_DIR: directory } }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(stderr)),
    )
  })
}

test('processes that start at the same time in an empty folder agree on one whole token', async () => {
  await using folder = await TestFolder.create()
  const tokens = await Promise.all(Array.from({ length: 8 }, () => tokenOfProcess(folder.path)))
  expect(new Set(tokens).size).toBe(1)
  expect(tokens[0]).toMatch(/^[0-9a-f]{64}$/)
  expect(await readdir(folder.path)).toEqual(['cluster-token'])
})
