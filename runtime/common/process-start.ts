import { existsSync, readFileSync } from 'node:fs'

/** Distinguishes two processes that got the same pid; undefined for one that does not run, or is only waiting to be reaped. */
export function startTimeOf(pid: number): string | undefined {
  if (!existsSync('/proc/self/stat')) return isAlive(pid) ? 'unknown' : undefined
  try {
    // The name in brackets may hold anything, so fields are counted after its end: state is the first, the start time the twentieth.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
