import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, cases, type ExchangeCase, type ProgramCase, type SqlCase } from '../cases.ts'
import type { Exchange } from './exchange.ts'
import { type Machine, machine, type Versions, versions } from './machine.ts'
import { type Figure, percent, short } from './measure.ts'
import { root } from './millrace.ts'
import type { OperatorFigures } from './operator.ts'
import { operatorRows } from './operator-report.ts'
import { describePath } from './paths.ts'
import { CHECKPOINTED, type SideBySide } from './side-by-side.ts'
import type { Startup } from './startup.ts'
import type { StateFigures } from './state.ts'
import { stateRows } from './state-report.ts'

/** Figures as text: for the terminal, and as the tables of docs/benchmarks.md, which are made from bench/results.json and nothing else. */
interface ReportBase {
  readonly name: string
  readonly parallelism: number
  readonly scale: number
  /** Share of the machine that others used before and meanwhile. */
  readonly loadBefore: number
  readonly othersShare: number
}

export type Report = ReportBase &
  (
    | { readonly kind: 'program'; readonly result: SideBySide }
    | { readonly kind: 'exchange'; readonly result: Exchange }
    | { readonly kind: 'startup'; readonly result: Startup }
    | { readonly kind: 'state'; readonly result: StateFigures }
    | { readonly kind: 'operator'; readonly result: OperatorFigures }
    | { readonly kind: 'checkpointed'; readonly interval: string; readonly result: SideBySide }
  )

export type StoredReport = Report & { readonly date: string; readonly machine: Machine; readonly versions: Versions }

const withSpread = (figure: Figure, digits: number, unit: string) => `${figure.median.toFixed(digits)}${unit} (spread ${percent(figure.spread)})`

/** Ours to another engine's records per CPU-second; undefined when there is none. */
export function ratioTo(result: SideBySide, engine: string): number | undefined {
  if (result.problems.length > 0) return undefined
  const ours = result.engines.find(({ name }) => name === 'millrace')
  const other = result.engines.find(({ name }) => name === engine)
  return ours === undefined || other === undefined ? undefined : ours.recordsPerCpuSecond / other.recordsPerCpuSecond
}

/** The share of rows per CPU-second that checkpoints cost. */
export function lossOf(result: SideBySide): number | undefined {
  const ratio = ratioTo(result, CHECKPOINTED)
  return ratio === undefined ? undefined : 1 - 1 / ratio
}

export const LOSS_MAX = 0.05
const tenths = (fraction: number) => `${(fraction * 100).toFixed(1)} %`

export function checkpointedLines(interval: string, result: SideBySide): string[] {
  const loss = lossOf(result)
  const found = result.engines.find(({ name }) => name === CHECKPOINTED)
  if (loss === undefined || found === undefined) return []
  const verdict = loss <= LOSS_MAX ? 'reached' : 'BELOW'
  return [
    `checkpoints every ${interval} (${(found.checkpointsPerRun ?? 0).toFixed(1)} a run) cost ${tenths(loss)} of records/CPU-s, ${verdict}: at most ${percent(LOSS_MAX)}`,
  ]
}

export function sideBySideLines(bench: ProgramCase | SqlCase, result: SideBySide): string[] {
  const lines = result.engines.map(
    ({ name, cpuSeconds, wallSeconds, recordsPerCpuSecond, cold, cpuCounter }) =>
      `${name.padEnd(14)} ${short(recordsPerCpuSecond)} records/CPU-s; CPU ${withSpread(cpuSeconds, 2, ' s')}; wall ${withSpread(wallSeconds, 2, ' s')}; cold ${cold.cpuSeconds.toFixed(1)} CPU-s, ${cold.wallSeconds.toFixed(1)} s${cpuCounter === '/proc' ? '; WARNING: no cgroup, CPU from /proc' : ''}`,
  )
  for (const [operator, counts] of Object.entries(result.paths)) lines.push(`path of ${operator}: ${describePath(counts) || 'no rows'}`)
  for (const problem of result.problems) lines.push(`VOID: ${problem}`)
  for (const engine of ['flink default', 'flink tuned']) {
    const ratio = ratioTo(result, engine)
    if (ratio === undefined) continue
    const { target } = bench
    const verdict = engine === 'flink tuned' ? `, ${ratio >= target.ratio ? 'reached' : 'BELOW'} ${target.ratio}x (aim ${target.aim}x)` : ''
    lines.push(`millrace / ${engine}: ${ratio.toFixed(2)}x per CPU-second${verdict}`)
  }
  return lines
}

export function exchangeLines(bench: ExchangeCase, result: Exchange): string[] {
  const { median } = result.mbPerSecond
  return [
    `millrace ${withSpread(result.mbPerSecond, 0, ' MB/s')}, ${median >= bench.targetMbPerSecond ? 'reached' : 'BELOW'} ${bench.targetMbPerSecond}; CPU ${withSpread(result.cpuSeconds, 2, ' s')}`,
    ...result.problems.map(problem => `VOID: ${problem}`),
  ]
}

export function startupLines(result: Startup): string[] {
  return [
    ...result.engines.map(
      ({ name, emptyJob, firstRowSeconds, idle }) =>
        `${name.padEnd(14)} empty job ${withSpread(emptyJob.wallSeconds, 2, ' s')}, ${emptyJob.cpuSeconds.median.toFixed(2)} CPU-s; first row ${withSpread(firstRowSeconds, 2, ' s')}; idle ${(idle.pssBytes / 2 ** 20).toFixed(0)} MB, ${percent(idle.cpuShare)} of a core`,
    ),
    ...result.problems.map(problem => `VOID: ${problem}`),
  ]
}

const storePath = join(root, 'bench/results.json')
const pagePath = join(root, 'docs/benchmarks.md')
const BEGIN = '<!-- made by bench/run.ts --write -->'
const END = '<!-- end -->'

/** Replaces the case's figures in the store and makes the page's tables again. */
export function writeReport(report: Report): void {
  const stored = existsSync(storePath) ? (JSON.parse(readFileSync(storePath, 'utf8')) as StoredReport[]) : []
  const others = stored.filter(one => one.name !== report.name || one.parallelism !== report.parallelism)
  const order = (one: Report) => cases.findIndex(({ name }) => name === one.name.split(' ')[0]) * 100 + one.parallelism
  const all = [...others, { ...report, date: new Date().toISOString().slice(0, 10), machine: machine(), versions: versions() }].sort(
    (a, b) => order(a) - order(b),
  )
  writeFileSync(storePath, `${JSON.stringify(all, undefined, 2)}\n`)
  writeFileSync(pagePath, withTables(readFileSync(pagePath, 'utf8'), all, cases))
}

export function withTables(page: string, reports: readonly StoredReport[], all: readonly Case[]): string {
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`the page has no ${BEGIN} … ${END}`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${tables(reports, all)}\n${page.slice(end)}`
}

/** Every case has its rows, measured or not: what is missing must show. */
function tables(reports: readonly StoredReport[], all: readonly Case[]): string {
  const programs = all.filter(one => one.kind === 'program' || one.kind === 'sql')
  const lines = [
    '| case | P | records/CPU-s: Millrace | Flink default | Flink tuned | ratio to tuned | target | Millrace wall | Flink tuned wall | path | measured |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ]
  for (const { name, target } of programs) {
    for (const parallelism of [1, 2]) {
      const report = reports.find(one => one.name === name && one.parallelism === parallelism)
      const goal = `${target.ratio}x (aim ${target.aim}x)`
      if (report?.kind !== 'program') {
        lines.push(`| ${name} | ${parallelism} | | | | | ${goal} | | | | not measured |`)
        continue
      }
      const { result } = report
      const engine = (wanted: string) => result.engines.find(one => one.name === wanted)
      const rate = (wanted: string) => {
        const found = engine(wanted)
        return found === undefined ? '' : `${short(found.recordsPerCpuSecond)} ± ${percent(found.cpuSeconds.spread / 2)}`
      }
      const wall = (wanted: string) => {
        const found = engine(wanted)
        return found === undefined ? '' : `${found.wallSeconds.median.toFixed(2)} s`
      }
      const paths = [...new Set(Object.values(result.paths).map(counts => describePath(counts).replaceAll(/ \d+/g, '')))].filter(Boolean).join('; ')
      const ratio = ratioTo(result, 'flink tuned')?.toFixed(2)
      lines.push(
        `| ${name} | ${parallelism} | ${rate('millrace')} | ${rate('flink default')} | ${rate('flink tuned')} | ${ratio === undefined ? '' : `${ratio}x`} | ${goal} | ${wall('millrace')} | ${wall('flink tuned')} | ${paths} | ${measured(report)} |`,
      )
    }
  }
  lines.push('', '| case | MB/s | target | measured |', '|---|---|---|---|')
  for (const one of all) {
    if (one.kind !== 'exchange') continue
    const report = reports.find(({ name }) => name === one.name)
    const rate = report?.kind === 'exchange' ? withSpread(report.result.mbPerSecond, 0, '') : ''
    lines.push(`| ${one.name} | ${rate} | ${one.targetMbPerSecond} | ${report === undefined ? 'not measured' : measured(report)} |`)
  }
  lines.push('', '| state case | figure | Millrace | Flink tuned | ratio | required | verdict | measured |', '|---|---|---|---|---|---|---|---|')
  for (const bench of all) {
    if (bench.kind !== 'state') continue
    const report = reports.find(({ name }) => name === bench.name)
    const rows = stateRows(bench, report?.kind === 'state' ? report.result : undefined)
    for (const { label, millrace, flink, ratio, required, verdict } of rows)
      lines.push(
        `| ${bench.name} | ${label} | ${millrace} | ${flink} | ${ratio} | ${required} | ${verdict} | ${report === undefined ? 'not measured' : measured(report)} |`,
      )
  }
  lines.push(
    '',
    '| case | P | scale | checkpoints | a run | records/CPU-s without | with | loss | required | verdict | measured |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  )
  for (const report of reports) {
    if (report.kind !== 'checkpointed') continue
    const { name, parallelism, scale, interval, result } = report
    const engine = (wanted: string) => result.engines.find(one => one.name === wanted)
    const rate = (wanted: string) => {
      const found = engine(wanted)
      return found === undefined ? '' : `${short(found.recordsPerCpuSecond)} ± ${percent(found.cpuSeconds.spread / 2)}`
    }
    const loss = lossOf(result) ?? Number.NaN
    lines.push(
      `| ${name.split(' ')[0]} | ${parallelism} | ${scale} | every ${interval} | ${engine(CHECKPOINTED)?.checkpointsPerRun?.toFixed(1)} | ${rate('millrace')} | ${rate(CHECKPOINTED)} | ${tenths(loss)} | <= ${percent(LOSS_MAX)} | ${loss <= LOSS_MAX ? 'reached' : 'BELOW'} | ${measured(report)} |`,
    )
  }
  lines.push('', '| startup | empty local job | first row | idle memory, 2 slots | measured |', '|---|---|---|---|---|')
  const startup = reports.find(({ kind }) => kind === 'startup')
  if (startup?.kind !== 'startup') lines.push('| | | | | not measured |')
  else
    for (const { name, emptyJob, firstRowSeconds, idle } of startup.result.engines)
      lines.push(
        `| ${name} | ${withSpread(emptyJob.wallSeconds, 2, ' s')} | ${withSpread(firstRowSeconds, 2, ' s')} | ${(idle.pssBytes / 2 ** 20).toFixed(0)} MB | ${measured(startup)} |`,
      )
  lines.push('', '| operator case | figure | Millrace | required | verdict | measured |', '|---|---|---|---|---|---|')
  for (const bench of all) {
    if (bench.kind !== 'operator') continue
    const report = reports.find(({ name }) => name === bench.name)
    if (report?.kind !== 'operator') lines.push(`| ${bench.name} | | | | | not measured |`)
    else
      for (const { label, value, required, verdict } of operatorRows(report.result))
        lines.push(`| ${bench.name} | ${label} | ${value} | ${required} | ${verdict} | ${measured(report)}, others ${percent(report.othersShare)} |`)
  }
  return `${lines.join('\n')}\n`
}

function measured({ date, machine: { cpu, cores, memoryGb, kernel }, versions: used }: StoredReport): string {
  return `${date}, ${cores} × ${cpu}, ${memoryGb} GB, Linux ${kernel}, ${used.commit}, Node ${used.node}, Java ${used.java}, Flink ${used.flink}`
}
