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

export function createCpuGroup(name: string): CpuGroup {
  const folder = `millrace-bench-${process.pid}-${groups++}-${name.replaceAll(/\W+/g, '-')}`
  if (existsSync(join(V1, 'cpuacct.usage'))) {
    const group = tryGroup(join(V1, folder), 'cgroup v1', path => Number(readFileSync(join(path, 'cpuacct.usage'), 'utf8')) / 1e9)
    if (group !== undefined) return group
  }
  if (existsSync(join(V2, 'cgroup.controllers'))) {
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
  /** The last that was seen of each process: what has ended is counted as far as it was looked at, or by its parent's children's time. */
  private readonly ended = new Map<number, number>()

  wrap(command: readonly string[]): readonly string[] {
    return command
  }

  adopt(pid: number): void {
    this.roots.push(pid)
  }

  cpuSeconds(): number {
    for (const pid of this.pids()) {
      const ticks = statTicks(pid)
      if (ticks !== undefined) this.ended.set(pid, ticks)
    }
    let total = 0
    for (const ticks of this.ended.values()) total += ticks
    return total / TICKS_PER_SECOND
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

function statTicks(pid: number): number | undefined {
  const fields = statFields(pid)
  return fields === undefined ? undefined : Number(fields[11]) + Number(fields[12])
}

/** Fields from the state on: state, ppid, …; utime and stime are the 12th and 13th of these. */
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
