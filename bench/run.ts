/**
 * Benches: `make bench CASE=word-count P=1`, or `node bench/run.ts --write` with the same variables. Without CASE the list.
 *
 * CASE=a,b  P=1|2 (parallelism)  RUNS=5  SCALE=1 (of the input)  ENGINES='millrace,flink default,flink tuned'
 * IDLE=600: seconds of nothing behind operator-500.
 * CHECKPOINTS=10s compares ours without and with checkpoints instead (programs and SQL; SCALE so that a run lasts longer than that).
 * --write puts the figures into bench/results.json and docs/benchmarks.md; refused while the machine works for somebody else, where the figures are times.
 *
 * Exit code 1: a job failed, results of the engines differ, or rows did not take the path that the case names.
 */
import { rmSync } from 'node:fs'
import { type Case, cases } from './cases.ts'
import { removeAbandonedGroups } from './harness/cgroup.ts'
import { runExchange } from './harness/exchange.ts'
import { BUSY_SHARE, loadNow } from './harness/machine.ts'
import { percent } from './harness/measure.ts'
import { isExperiment, removeAbandonedFolders, runFolder, staleBuild } from './harness/millrace.ts'
import { runOperator } from './harness/operator.ts'
import { operatorLines } from './harness/operator-report.ts'
import { checkpointedLines, exchangeLines, type Report, sideBySideLines, startupLines, writeReport } from './harness/report.ts'
import { runSideBySide } from './harness/side-by-side.ts'
import { runStartup } from './harness/startup.ts'
import { runState } from './harness/state.ts'
import { stateMeasures } from './harness/state-measures.ts'
import { stateLines } from './harness/state-report.ts'

const environment = process.env
const IDLE_SECONDS = 600
const write = process.argv.includes('--write')
const say = (line: string) => void process.stdout.write(`${line}\n`)

function positive(name: string, byDefault: number, whole: boolean): number {
  const text = environment[name]
  if (text === undefined || text === '') return byDefault
  const value = Number(text)
  if (!(value > 0) || (whole && !Number.isInteger(value))) throw new Error(`${name} is a ${whole ? 'whole ' : ''}number above 0, got ${text}`)
  return value
}

function chosen(): Case[] {
  const names = (environment['CASE'] ?? '').split(',').filter(Boolean)
  return names.map(name => {
    const found = cases.find(one => one.name === name)
    if (found === undefined) throw new Error(`there is no case ${name}; there are: ${cases.map(one => one.name).join(', ')}`)
    return found
  })
}

/** 0 or 1; see above. */
async function runCase(bench: Case): Promise<number> {
  if (environment['CHECKPOINTS'] && bench.kind !== 'program' && bench.kind !== 'sql') throw new Error(`CHECKPOINTS is not for ${bench.name}`)
  say(`== ${bench.name}: ${bench.summary}`)
  const folder = runFolder(bench.name)
  const scale = positive('SCALE', 1, false)
  const engines = (environment['ENGINES'] ?? 'millrace,flink default,flink tuned').split(',')
  const checkpoints = environment['CHECKPOINTS'] || undefined
  const options = {
    ...(checkpoints === undefined ? {} : { checkpoints }),
    parallelism: positive('P', 1, true),
    runs: positive('RUNS', bench.kind === 'state' ? bench.runs : 5, true),
    scale,
    folder,
    engines,
    say,
  }
  try {
    const loadBefore = await loadNow()
    let report: Report
    if (bench.kind === 'program' || bench.kind === 'sql') {
      const result = await runSideBySide(bench, options)
      for (const line of sideBySideLines(bench, result)) say(line)
      const base = { parallelism: options.parallelism, scale, loadBefore, othersShare: result.othersShare, result }
      if (checkpoints === undefined) report = { kind: 'program', name: bench.name, ...base }
      else {
        for (const line of checkpointedLines(checkpoints, result)) say(line)
        report = { kind: 'checkpointed', name: `${bench.name} checkpointed`, interval: checkpoints, ...base }
      }
    } else if (bench.kind === 'exchange') {
      const result = await runExchange(bench, options)
      for (const line of exchangeLines(bench, result)) say(line)
      report = { kind: 'exchange', name: bench.name, parallelism: 1, scale, loadBefore, othersShare: result.othersShare, result }
    } else if (bench.kind === 'state') {
      const result = await runState(bench, stateMeasures[bench.measure], options)
      for (const line of stateLines(bench, result)) say(line)
      report = { kind: 'state', name: bench.name, parallelism: bench.parallelism, scale, loadBefore, othersShare: result.othersShare, result }
    } else if (bench.kind === 'operator') {
      const idleSeconds = positive('IDLE', IDLE_SECONDS, true)
      const result = await runOperator(bench, { ...options, idleSeconds })
      for (const line of operatorLines(result)) say(line)
      report = { kind: 'operator', name: bench.name, parallelism: 1, scale, loadBefore, othersShare: result.othersShare, result }
    } else {
      const result = await runStartup(options)
      for (const line of startupLines(result)) say(line)
      report = { kind: 'startup', name: bench.name, parallelism: 1, scale, loadBefore, othersShare: result.othersShare, result }
    }
    const busy = Math.max(report.loadBefore, report.othersShare)
    if (busy > BUSY_SHARE) say(`BUSY MACHINE: others used up to ${percent(busy)} of it; these figures are no result`)
    if (report.result.problems.length > 0) return 1
    if (!write) return 0
    // What an operator asks and remembers does not depend on who else works; its times do, and the table says how much of the machine others had.
    const isTimed = report.kind !== 'operator'
    const hindrance =
      isTimed && busy > BUSY_SHARE
        ? 'the machine is busy'
        : scale !== 1 && report.kind !== 'checkpointed'
          ? 'SCALE is not 1'
          : report.kind === 'operator' && report.result.idle.seconds < IDLE_SECONDS
            ? 'IDLE is too short'
            : isExperiment
              ? 'BENCH_… variables are set'
              : undefined
    if (hindrance === undefined) writeReport(report)
    else say(`not written: ${hindrance}`)
    return 0
  } catch (error) {
    say(`FAILED: ${withoutFrames(error instanceof Error ? error.message : String(error))}`)
    return 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A Java stack trace repeats itself; its messages are enough. */
function withoutFrames(text: string): string {
  const lines = text.split('\n').filter(line => !/^\s*(?:at |\.\.\. \d+ more)/.test(line))
  return [...new Set(lines)].slice(0, 15).join('\n')
}

const wanted = chosen()
if (wanted.length === 0) {
  say('make bench CASE=… [P=1|2] [RUNS=5] [SCALE=1] [CHECKPOINTS=10s]\n')
  for (const { name, summary } of cases) say(`${name.padEnd(22)} ${summary}`)
} else {
  removeAbandonedGroups()
  removeAbandonedFolders()
  const stale = await staleBuild()
  if (stale !== undefined) say(`warning: ${stale}`)
  let code = 0
  for (const bench of wanted) {
    const one = await runCase(bench)
    code = Math.max(code, one)
  }
  process.exitCode = code
}
