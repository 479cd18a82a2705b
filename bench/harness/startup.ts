import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../runtime/common/clock.ts'
import { createCpuGroup } from './cgroup.ts'
import type { Cluster } from './engine.ts'
import { defaultSetting, javaCommand, requireFlink, startFlink } from './flink.ts'
import { Neighbours } from './machine.ts'
import { type Figure, figureOf, interleaved } from './measure.ts'
import { launcher, root, startMillrace } from './millrace.ts'
import type { RunOptions } from './side-by-side.ts'

/** From nothing: an empty job in an embedded cluster, the first row of one, and what a cluster of two processes takes that does nothing. */
export interface Startup {
  readonly engines: readonly StartupFigures[]
  readonly problems: readonly string[]
  readonly othersShare: number
}

export interface StartupFigures {
  readonly name: 'millrace' | 'flink default'
  readonly emptyJob: { readonly wallSeconds: Figure; readonly cpuSeconds: Figure }
  /** From the process's start to its first row on stdout. */
  readonly firstRowSeconds: Figure
  readonly idle: Idle
}

export interface Idle {
  readonly pssBytes: number
  /** Of one core. */
  readonly cpuShare: number
}

const IDLE_SECONDS = 10

interface Contender {
  readonly name: StartupFigures['name']
  command(job: 'empty' | 'first-row'): readonly string[]
  startCluster(folder: string): Promise<Cluster>
}

const millraceContender: Contender = {
  name: 'millrace',
  command: job => [...launcher, 'run', '-t', 'local', join(root, 'bench/jobs', job === 'empty' ? 'empty.ts' : 'first-row.sql')],
  startCluster: folder => startMillrace({ taskManagers: 1, slots: 2 }, folder),
}

const flinkContender: Contender = {
  name: 'flink default',
  command: job => javaCommand('millrace.bench.Startup', [], [job]),
  startCluster: folder => startFlink(defaultSetting, { slots: 2 }, folder),
}

export async function runStartup(options: RunOptions): Promise<Startup> {
  const contenders = [millraceContender, flinkContender].filter(({ name }) => options.engines.includes(name))
  if (contenders.includes(flinkContender)) requireFlink()
  mkdirSync(options.folder, { recursive: true })
  const problems: string[] = []
  let counted = 0
  const neighbours = new Neighbours(() => process.cpuUsage().user / 1e6 + counted)
  const empty = new Map(contenders.map(one => [one, [] as Run[]]))
  const first = new Map(contenders.map(one => [one, [] as Run[]]))
  for (const { engine, run } of interleaved(contenders, options.runs + 1)) {
    for (const [job, runs] of [
      ['empty', empty],
      ['first-row', first],
    ] as const) {
      if (run > 0) neighbours.start()
      const one = await runCommand(engine.name, engine.command(job), options.folder)
      counted += one.cpuSeconds
      if (run > 0) neighbours.stop()
      if (one.code !== 0) problems.push(`${engine.name}: ${job} exited with ${one.code}: ${one.stderr.slice(-500)}`)
      if (job === 'first-row' && one.firstRowSeconds === undefined) problems.push(`${engine.name}: no row was printed`)
      // The first of each reads its files from disk.
      if (run > 0) runs.get(engine)?.push(one)
    }
  }
  const engines: StartupFigures[] = []
  for (const contender of contenders) {
    const idle = await idleOf(contender, join(options.folder, contender.name.replace(' ', '-')))
    const emptyRuns = empty.get(contender) ?? []
    engines.push({
      name: contender.name,
      emptyJob: {
        wallSeconds: figureOf(emptyRuns.map(run => run.wallSeconds)),
        cpuSeconds: figureOf(emptyRuns.map(run => run.cpuSeconds)),
      },
      firstRowSeconds: figureOf((first.get(contender) ?? []).map(run => run.firstRowSeconds ?? Number.NaN)),
      idle,
    })
  }
  return { engines, problems, othersShare: neighbours.share }
}

async function idleOf(contender: Contender, folder: string): Promise<Idle> {
  await using cluster = await contender.startCluster(folder)
  await delay(IDLE_SECONDS * 1000)
  const before = cluster.group.cpuSeconds()
  await delay(IDLE_SECONDS * 1000)
  return { pssBytes: cluster.pssBytes(), cpuShare: (cluster.group.cpuSeconds() - before) / IDLE_SECONDS }
}

interface Run {
  readonly code: number | null
  readonly stderr: string
  readonly wallSeconds: number
  readonly cpuSeconds: number
  readonly firstRowSeconds: number | undefined
}

async function runCommand(name: string, command: readonly string[], folder: string): Promise<Run> {
  const group = createCpuGroup(name)
  const startMs = systemClock.monotonicMs()
  const [executable = '', ...args] = group.wrap(command)
  const child = spawn(executable, args, { cwd: folder, env: { ...process.env, MILLRACE_DIR: folder }, stdio: ['ignore', 'pipe', 'pipe'] })
  if (child.pid !== undefined) group.adopt(child.pid)
  let stdout = ''
  let stderr = ''
  let firstRowSeconds: number | undefined
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (firstRowSeconds === undefined && /^(?:\d+> )?(?:row|\+I\[row\])$/m.test(stdout))
      firstRowSeconds = (systemClock.monotonicMs() - startMs) / 1000
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // Without a cgroup a process that has ended tells nothing any more: what it used is what was seen last.
  const look = group.kind === '/proc' ? setInterval(() => group.cpuSeconds(), 20) : undefined
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  clearInterval(look)
  const wallSeconds = (systemClock.monotonicMs() - startMs) / 1000
  const cpuSeconds = group.cpuSeconds()
  group.close()
  return { code, stderr, wallSeconds, cpuSeconds, firstRowSeconds }
}
