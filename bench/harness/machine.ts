import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../runtime/common/clock.ts'
import { machineCpuSeconds } from './cgroup.ts'
import { FLINK_VERSION } from './flink.ts'
import { node, root } from './millrace.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
}

export interface Versions {
  readonly commit: string
  readonly node: string
  readonly java: string
  readonly flink: string
}

export function machine(): Machine {
  const all = cpus()
  return { cpu: all[0]?.model.trim() ?? 'unknown', cores: all.length, memoryGb: Math.round(totalmem() / 2 ** 30), kernel: release() }
}

export function versions(): Versions {
  const output = (command: string, args: readonly string[]) =>
    execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  const dirty = output('git', ['status', '--porcelain', '--', 'bin', 'runtime', 'bench']) === '' ? '' : ' with changes'
  return {
    commit: `${output('git', ['rev-parse', '--short', 'HEAD'])}${dirty}`,
    node: output(node, ['--version']).slice(1),
    java: /version "(\S+)"/.exec(execFileSync('sh', ['-c', 'java -version 2>&1'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    flink: FLINK_VERSION,
  }
}

/** A share of the machine from which on other work is not noise any more. */
export const BUSY_SHARE = 0.05

/** The share of the machine's cores that is in use now. */
export async function loadNow(): Promise<number> {
  const before = machineCpuSeconds()
  await delay(2000)
  return (machineCpuSeconds() - before) / 2 / cpus().length
}

/** How much of the machine others took while something ran. */
export class Neighbours {
  private readonly own: () => number
  private startMachine = 0
  private startOwn = 0
  private startMs = 0
  private others = 0
  private capacity = 0

  /** `own`: CPU seconds of everything that belongs to the bench. */
  constructor(own: () => number) {
    this.own = own
  }

  start(): void {
    this.startMs = systemClock.monotonicMs()
    this.startMachine = machineCpuSeconds()
    this.startOwn = this.own()
  }

  stop(): void {
    this.others += Math.max(0, machineCpuSeconds() - this.startMachine - (this.own() - this.startOwn))
    this.capacity += ((systemClock.monotonicMs() - this.startMs) / 1000) * cpus().length
  }

  get share(): number {
    return this.capacity === 0 ? 0 : this.others / this.capacity
  }
}
