import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * CPU time and memory of one engine's whole process tree. Processes are started *inside* the group (`wrap`), so that nothing of the tree,
 * short-lived children included, can run outside of it. Where no cgroup can be made, the tree's ticks are summed from /proc instead,
 * 10 ms exact, and the report says so.
 */
export interface CpuGroup {
  /** How it counts, for the report. */
  readonly kind: 'cgroup v1' | 'cgroup v2' | '/proc'
  /** The command line that runs `command` as a member. */
  wrap(command: readonly string[]): readonly string[]
  /** Tells a group that counts by /proc where its trees begin. */
  adopt(pid: number): void
  /** Of all members since the group was made, ended ones included. */
  cpuSeconds(): number
  pids(): number[]
  /** Only when no member is left. */
  close(): void
}

const V1 = '/sys/fs/cgroup/cpuacct'
const V2 = '/sys/fs/cgroup'
/** Of /proc/<pid>/stat; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100
let groups = 0

/** The first of `kinds` that this machine allows. */
export function createCpuGroup(name: string, kinds: readonly CpuGroup['kind'][] = ['cgroup v1', 'cgroup v2', '/proc']): CpuGroup {
  const folder = `millrace-bench-${process.pid}-${groups++}-${name.replaceAll(/\W+/g, '-')}`
  if (kinds.includes('cgroup v1') && existsSync(join(V1, 'cpuacct.usage'))) {
    const group = tryGroup(join(V1, folder), 'cgroup v1', path => Number(readFileSync(join(path, 'cpuacct.usage'), 'utf8')) / 1e9)
    if (group !== undefined) return group
  }
  if (kinds.includes('cgroup v2') && existsSync(join(V2, 'cgroup.controllers'))) {
    const group = tryGroup(join(V2, folder), 'cgroup v2', path => cpuStatSeconds(readFileSync(join(path, 'cpu.stat'), 'utf8')))
    if (group !== undefined) return group
  }
  return new ProcGroup()
}

/** `usage_usec 1234` of a cpu.stat file, in seconds. */
export function cpuStatSeconds(text: string): number {
  const usage = /^usage_usec (\d+)$/m.exec(text)?.[1]
  if (usage === undefined) throw new Error('cpu.stat has no usage_usec')
  return Number(usage) / 1e6
}

function tryGroup(path: string, kind: CpuGroup['kind'], read: (path: string) => number): CpuGroup | undefined {
  try {
    mkdirSync(path)
    const group = new Cgroup(path, kind, read)
    group.cpuSeconds()
    return group
  } catch {
    return undefined
  }
}

/** Groups of benches that were killed: only empty ones can be removed, and only those of processes that are gone are tried. */
export function removeAbandonedGroups(): void {
  for (const parent of [V1, V2]) {
    if (!existsSync(parent)) continue
    for (const name of readdirSync(parent)) {
      const pid = /^millrace-bench-(\d+)-/.exec(name)?.[1]
      if (pid === undefined || existsSync(`/proc/${pid}`)) continue
      try {
        rmdirSync(join(parent, name))
      } catch {
        // Somebody is left in it.
      }
    }
  }
}

class Cgroup implements CpuGroup {
  readonly kind: CpuGroup['kind']
  private readonly path: string
  private readonly read: (path: string) => number

  constructor(path: string, kind: CpuGroup['kind'], read: (path: string) => number) {
    this.path = path
    this.kind = kind
    this.read = read
  }

  wrap(command: readonly string[]): readonly string[] {
    // The shell moves itself, then becomes the program: the same pid, and no instruction of it counted elsewhere.
    return ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', join(this.path, 'cgroup.procs'), ...command]
  }

  adopt(): void {}

  cpuSeconds(): number {
    return this.read(this.path)
  }

  pids(): number[] {
    return readFileSync(join(this.path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
  }

  close(): void {
    try {
      rmdirSync(this.path)
    } catch {
      // A zombie whose parent has not collected it yet keeps the folder; it is empty and goes with the machine.
    }
  }
}

class ProcGroup implements CpuGroup {
  readonly kind = '/proc'
  private readonly roots: number[] = []
  private seen = 0

  wrap(command: readonly string[]): readonly string[] {
    return command
  }

  adopt(pid: number): void {
    this.roots.push(pid)
  }

  /** Never falls. What a process has used by its end is its parent's from then on; of a root that has ended, what was seen last remains. */
  cpuSeconds(): number {
    let ticks = 0
    for (const pid of this.pids()) ticks += statTicks(pid)
    this.seen = Math.max(this.seen, ticks / TICKS_PER_SECOND)
    return this.seen
  }

  pids(): number[] {
    const parents = new Map<number, number>()
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const fields = statFields(Number(name))
      if (fields !== undefined) parents.set(Number(name), Number(fields[1]))
    }
    const found = new Set(this.roots.filter(root => parents.has(root)))
    for (let size = -1; size !== found.size; ) {
      size = found.size
      for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid)
    }
    return [...found]
  }

  close(): void {}
}

/** Its own and its ended children's, user and system. */
function statTicks(pid: number): number {
  const fields = statFields(pid)
  return fields === undefined ? 0 : fields.slice(11, 15).reduce((sum, text) => sum + Number(text), 0)
}

/** Fields from the state on: state, ppid, …; utime, stime, cutime and cstime are the 12th to 15th of these. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Memory by proportional set size, so that pages shared between the processes are counted once. */
export function pssBytes(pids: readonly number[]): number {
  let total = 0
  for (const pid of pids) {
    try {
      total += Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024
    } catch {
      // It has just ended.
    }
  }
  return total
}

/** CPU seconds that the whole machine has worked; with an engine's own it says how much others did meanwhile. */
export function machineCpuSeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (/^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '')
    .split(' ')
    .map(Number)
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
}
