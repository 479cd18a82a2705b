import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { startTimeOf } from './process-start.ts'

/**
 * Folders that belong to one process and are worth nothing after it. Its owner removes it; of an owner that was killed, whoever makes the
 * next one beside it does. Each folder names its owner by pid and start time, for pids are given out again, and by host, because a
 * shared volume holds folders of processes that cannot be looked at from here.
 */
export function createOwnedFolder(parent: string, prefix: string): string {
  mkdirSync(parent, { recursive: true })
  removeAbandoned(parent, prefix)
  const path = mkdtempSync(join(parent, prefix))
  const owner: Owner = { host: hostname(), pid: process.pid, startTime: startTimeOf(process.pid) ?? '' }
  writeFileSync(join(path, OWNER_FILE), JSON.stringify(owner))
  return path
}

interface Owner {
  readonly host: string
  readonly pid: number
  readonly startTime: string
}

const OWNER_FILE = 'owner.json'

function removeAbandoned(parent: string, prefix: string): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue
    const path = join(parent, name)
    try {
      const owner = JSON.parse(readFileSync(join(path, OWNER_FILE), 'utf8')) as Owner
      if (owner.host === hostname() && startTimeOf(owner.pid) !== owner.startTime) rmSync(path, { recursive: true, force: true })
    } catch {
      // Without a note it is somebody else's, or was made a moment ago; not ours to remove (another user's) it stays as well.
    }
  }
}
