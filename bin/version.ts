import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** bin/ and dist/ stand beside package.json alike. */
const root = fileURLToPath(new URL('..', import.meta.url))

export const version: string = (JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string }).version

/** Of a checkout; a package that was installed has none. */
export const commit: string = readCommit()

function readCommit(): string {
  if (!existsSync(`${root}.git`)) return 'unknown'
  try {
    return execFileSync('git', ['rev-parse', '--short=7', 'HEAD'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}
