import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JobInfo } from '../../runtime/rest/types.ts'
import type { ProgramCase, SqlCase } from '../cases.ts'
import type { Cluster, FinishedJob } from './engine.ts'
import { defaultSetting, requireFlink, startFlink, tunedSetting, uploadPrograms } from './flink.ts'
import { Neighbours } from './machine.ts'
import { type Figure, figureOf, interleaved, type Sample } from './measure.ts'
import { root, startMillrace, uploadJob } from './millrace.ts'
import { type PathCounts, pathProblem, readPaths } from './paths.ts'
import { requestJson } from './request.ts'
import { differenceOf, type JobResult, readResult } from './results.ts'

/**
 * One case on both engines:
 * 1. a cluster of each, all running at once, so that what is measured later can alternate;
 * 2. per engine one job in the fresh cluster (cold), then one that writes the whole result (also the warm-up);
 * 3. the results must be equal, else there is no ratio;
 * 4. `runs` measured jobs per engine, alternately; the totals of each must equal those of every other.
 */
export interface RunOptions {
  readonly parallelism: number
  readonly runs: number
  readonly scale: number
  readonly folder: string
  readonly engines: readonly string[]
  /** The interval of the checkpoints that ours is compared with ours without them; undefined = the engines are compared, without. */
  readonly checkpoints?: string
  readonly say: (line: string) => void
}

/** Ours with checkpoints. */
export const CHECKPOINTED = 'millrace checkpointed'

export interface EngineFigures {
  readonly name: string
  readonly cpuSeconds: Figure
  readonly wallSeconds: Figure
  /** Of the median. */
  readonly recordsPerCpuSecond: number
  /** Start of the cluster and its first job. */
  readonly cold: Sample
  readonly cpuCounter: string
  /** Completed in each measured run, on average, where they are compared. */
  readonly checkpointsPerRun?: number
}

export interface SideBySide {
  readonly records: number
  readonly engines: readonly EngineFigures[]
  readonly paths: Readonly<Record<string, PathCounts>>
  /** Why there is no ratio. */
  readonly problems: readonly string[]
  readonly othersShare: number
}

interface Contender {
  readonly cluster: Cluster
  readonly jarId: string
  readonly entry: string
  readonly samples: Sample[]
  checkpoints: number
  cold: Sample
}

export async function runSideBySide(bench: ProgramCase | SqlCase, options: RunOptions): Promise<SideBySide> {
  mkdirSync(options.folder, { recursive: true })
  const records = bench.records(options.scale)
  const argsOf = argumentsOf(bench, options)
  await using stack = new AsyncDisposableStack()
  const contenders: Contender[] = []
  for (const start of starters(bench, options)) {
    const { cluster, jarId, entry } = await start(stack)
    contenders.push({ cluster, jarId, entry, samples: [], checkpoints: 0, cold: cluster.startSample })
  }
  const problems: string[] = []
  let runNumber = 0
  const run = async (contender: Contender, verify: boolean): Promise<{ readonly job: FinishedJob; readonly result: JobResult }> => {
    const out = join(options.folder, `out-${runNumber++}`)
    const request = { entry: contender.entry, args: argsOf(out, verify), parallelism: options.parallelism }
    const job = await contender.cluster.run(contender.jarId, request)
    const result = readResult(out)
    rmSync(out, { recursive: true, force: true })
    return { job, result }
  }
  const compare = (what: string, expected: JobResult | undefined, actual: JobResult): JobResult => {
    const difference = expected === undefined ? undefined : differenceOf(expected, actual)
    if (difference !== undefined) problems.push(`${what} differs: ${difference}`)
    return expected ?? actual
  }

  let plain: JobResult | undefined
  let whole: JobResult | undefined
  let paths = new Map<string, PathCounts>()
  for (const contender of contenders) {
    const { cluster } = contender
    const cold = await run(contender, false)
    contender.cold = {
      wallSeconds: cluster.startSample.wallSeconds + cold.job.wallSeconds,
      cpuSeconds: cluster.startSample.cpuSeconds + cold.job.cpuSeconds,
    }
    plain = compare(`${cluster.name}: result of the first job`, plain, cold.result)
    const warm = await run(contender, true)
    whole = compare(`${cluster.name}: whole result`, whole, warm.result)
    options.say(`${cluster.name}: warm, ${warm.result.lines} result rows, hash ${warm.result.hash}, ${JSON.stringify(warm.result.totals)}`)
  }
  if (problems.length === 0) {
    const neighbours = new Neighbours(
      () => process.cpuUsage().user / 1e6 + contenders.reduce((sum, { cluster }) => sum + cluster.group.cpuSeconds(), 0),
    )
    for (const { engine: contender, run: number } of interleaved(contenders, options.runs)) {
      neighbours.start()
      const { job, result } = await run(contender, false)
      neighbours.stop()
      compare(`${contender.cluster.name}: result of run ${number + 1}`, plain, result)
      contender.samples.push(job)
      options.say(`${contender.cluster.name} ${number + 1}/${options.runs}: ${job.cpuSeconds.toFixed(2)} CPU-s, ${job.wallSeconds.toFixed(2)} s`)
      if (options.checkpoints !== undefined) contender.checkpoints += await completedCheckpoints(contender.cluster, job.info.jid)
      if (contender.cluster.name === 'millrace') paths = await pathsOf(contender.cluster, job.info)
    }
    const problem = contenders.some(({ cluster }) => cluster.name === 'millrace') ? pathProblem(paths, bench.hotOperators) : undefined
    if (problem !== undefined) problems.push(problem)
    const checkpointed = contenders.find(({ cluster }) => cluster.name === CHECKPOINTED)
    if (checkpointed !== undefined && checkpointed.checkpoints < options.runs)
      problems.push(`runs without a checkpoint: raise SCALE, or take a shorter interval than ${options.checkpoints}`)
    return {
      records,
      engines: contenders.map(contender => figures(contender, records)),
      paths: Object.fromEntries(paths),
      problems,
      othersShare: neighbours.share,
    }
  }
  return { records, engines: [], paths: {}, problems, othersShare: 0 }
}

/** What a job is told: where its result goes, and whether the whole of it is wanted; of SQL at scale 1 then, whose result can be read. */
function argumentsOf(bench: ProgramCase | SqlCase, { scale, folder }: RunOptions): (out: string, verify: boolean) => readonly string[] {
  if (bench.kind === 'program') {
    const args = bench.args(bench.records(scale))
    return (out, verify) => [...args, '--out', out, '--verify', String(verify)]
  }
  const text = readFileSync(join(root, 'bench/sql', `${bench.script}.sql`), 'utf8')
  return (out, verify) => {
    const variables = bench.variables(bench.records(verify ? Math.min(scale, 1) : scale))
    const script = join(folder, 'script.sql')
    writeFileSync(
      script,
      scriptOf(text, {
        ...variables,
        sink: verify ? `'connector' = 'filesystem', 'path' = '${out}', 'format' = 'csv'` : `'connector' = 'blackhole'`,
      }),
    )
    return ['--script', script]
  }
}

export function scriptOf(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = variables[name]
    if (value === undefined) throw new Error(`the script has no value for ${name}`)
    return value
  })
}

function* starters(
  bench: ProgramCase | SqlCase,
  options: RunOptions,
): Generator<(stack: AsyncDisposableStack) => Promise<Pick<Contender, 'cluster' | 'jarId' | 'entry'>>> {
  const ours: Readonly<Record<string, Readonly<Record<string, string>>>> =
    options.checkpoints === undefined
      ? { millrace: {} }
      : { millrace: {}, [CHECKPOINTED]: checkpointsEvery(options.checkpoints, join(options.folder, 'checkpoints')) }
  for (const [name, configuration] of Object.entries(ours)) {
    if (!options.engines.includes('millrace')) continue
    yield async stack => {
      const layout = { name, taskManagers: 1, slots: options.parallelism, configuration }
      const cluster = stack.use(await startMillrace(layout, join(options.folder, name.replace(' ', '-'))))
      return { cluster, jarId: await uploadJob(cluster, bench.kind === 'program' ? bench.job : 'sql-script'), entry: 'default' }
    }
  }
  for (const setting of [defaultSetting, tunedSetting]) {
    if (!options.engines.includes(setting.name) || options.checkpoints !== undefined) continue
    yield async stack => {
      requireFlink()
      const folder = join(options.folder, setting.name.replace(' ', '-'))
      const cluster = stack.use(await startFlink(setting, { slots: options.parallelism }, folder))
      return { cluster, jarId: await uploadPrograms(cluster), entry: `millrace.bench.${bench.kind === 'program' ? bench.program : 'SqlScript'}` }
    }
  }
}

function checkpointsEvery(interval: string, folder: string): Readonly<Record<string, string>> {
  return {
    'execution.checkpointing.interval': interval,
    'execution.checkpointing.storage': 'filesystem',
    'execution.checkpointing.dir': `file://${folder}`,
  }
}

async function pathsOf(cluster: Cluster, info: JobInfo): Promise<Map<string, PathCounts>> {
  return readPaths(cluster.rest.address, info)
}

async function completedCheckpoints({ rest }: Cluster, jobId: string): Promise<number> {
  const { counts } = await requestJson<{ readonly counts: { readonly completed: number } }>(`${rest.address}/v1/jobs/${jobId}/checkpoints`)
  return counts.completed
}

function figures({ cluster, samples, checkpoints, cold }: Contender, records: number): EngineFigures {
  const cpuSeconds = figureOf(samples.map(sample => sample.cpuSeconds))
  return {
    name: cluster.name,
    cpuSeconds,
    wallSeconds: figureOf(samples.map(sample => sample.wallSeconds)),
    recordsPerCpuSecond: records / cpuSeconds.median,
    cold,
    cpuCounter: cluster.group.kind,
    ...(checkpoints === 0 ? {} : { checkpointsPerRun: checkpoints / samples.length }),
  }
}
