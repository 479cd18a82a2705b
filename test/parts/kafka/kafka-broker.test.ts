import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const support = fileURLToPath(new URL('../../support/kafka-broker.ts', import.meta.url))

/** Process ids whose command line names `text`. */
function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(name => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text)
      } catch {
        return false
      }
    })
    .map(Number)
}

test('the JVM of a test broker dies with the process that started it, even when that is killed', async () => {
  const program = `import { KafkaBroker } from ${JSON.stringify(support)}; const broker = await KafkaBroker.start(); console.log(broker.folder); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  let folder = ''
  for await (const chunk of child.stdout) {
    folder += String(chunk)
    if (folder.endsWith('\n')) break
  }
  folder = folder.trim()
  expect(folder).toContain('millrace-kafka-')
  // The shell that guards it, and the JVM.
  expect(processesWith(folder).length).toBeGreaterThanOrEqual(2)
  child.kill('SIGKILL')
  await once(child, 'close')
  await expect.poll(() => processesWith(folder), { timeout: 10_000 }).toEqual([])
  rmSync(folder, { recursive: true, force: true })
})
