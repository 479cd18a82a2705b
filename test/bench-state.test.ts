import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { cases, type StateCase } from '../bench/cases.ts'
import type { Figure } from '../bench/harness/measure.ts'
import { checkpointedLines, type StoredReport, withTables } from '../bench/harness/report.ts'
import { afterBreak, attemptOf, evenness, expectedCounts, lastIndex, passedSince, readAttempts, rowsBetween } from '../bench/harness/result-times.ts'
import { readResult } from '../bench/harness/results.ts'
import { CHECKPOINTED, type EngineFigures, type SideBySide } from '../bench/harness/side-by-side.ts'
import type { StateFigures } from '../bench/harness/state.ts'
import { changedRows } from '../bench/harness/state-checkpoints.ts'
import { stateLines, stateRows } from '../bench/harness/state-report.ts'
import keyedState from '../bench/jobs/keyed-state.ts'
import { runInProcess } from './support/in-process-job.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

describe('the job', () => {
  test.each(['typed', 'generic'])('counts what is worked out without an engine, and logs every row: %s values', async values => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
    folders.push(folder)
    const options = { keys: 500, rows: 2_000, rate: 1_000_000, 'value-bytes': 100, values, out: join(folder, 'out'), log: join(folder, 'logs') }
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
    const { state, error } = await runInProcess(env => keyedState(env, args), { parallelism: 2 })
    expect([state, error]).toEqual(['FINISHED', undefined])
    expect(readResult(options.out).totals).toEqual(expectedCounts(500, 2_000))
    const attempts = readAttempts(options.log)
    expect([attempts.length, lastIndex(attempts)]).toEqual([2, 1_999])
    expect(attempts.flatMap(({ periods }) => periods).reduce((sum, { rows }) => sum + rows, 0)).toBe(2_000)
  })

  test('what it must count depends on each row', () => {
    const all = new Set([expectedCounts(10, 100), expectedCounts(10, 101), expectedCounts(11, 100)].map(({ checksum }) => checksum))
    expect(all.size).toBe(3)
  })
})

describe('when results came', () => {
  const before = [attemptOf('log-2-0-1000', '1000 5 40\n1010 5 50\n'), attemptOf('log-2-1-1000', '1000 9 61\n')]

  test('a line under way is not read, another file is refused', () => {
    expect(attemptOf('log-4-1-7', '1000 5 40 3\n1010 5').periods).toEqual([{ startMs: 1000, rows: 5, indexMax: 40, indexMin: 3 }])
    expect(() => attemptOf('part-0', '')).toThrow('part-0')
    expect(readAttempts('/nowhere')).toEqual([])
  })

  test('the keys are there when no result has been of their first rows for a while', () => {
    const filling = attemptOf('log-2-0-0', '1000 5 99 20\n2000 5 120 90\n')
    const filled = attemptOf('log-2-1-0', '1500 5 130 100\n3010 5 140 100\n')
    expect(passedSince([filling, filled], 100, 1000)).toBe(2000)
    expect(passedSince([filling, filled], 100, 1010)).toBeUndefined()
    expect(passedSince([], 100, 0)).toBeUndefined()
    expect(rowsBetween([filling, filled], 1500, 3010)).toBe(10)
  })

  test('after a break the first result may be an old one, a new one is beyond all that were seen', () => {
    expect(afterBreak(before, 2000, 2)).toBeUndefined()
    const replayed = attemptOf('log-2-0-2100', '2100 5 45\n2110 5 61\n')
    expect(afterBreak([...before, replayed], 2000, 2)).toBeUndefined()
    const beyond = attemptOf('log-2-1-2100', '2120 5 62\n')
    expect(afterBreak([...before, replayed, beyond], 2000, 2)).toEqual({ firstMs: 2100, firstNewMs: 2120 })
    expect(afterBreak([...before, replayed, beyond], 2000, 4), 'attempts of another parallelism').toBeUndefined()
  })

  test('the slowest of the whole seconds, and the longest time without a result', () => {
    const steady = attemptOf('log-1-0-0', '900 7 1\n1000 60 2\n1500 40 3\n2000 50 4\n2700 40 5\n3000 1 6\n')
    expect(evenness([steady], 900, 3100)).toEqual({ slowestSecondRows: 90, gapMaxMs: 690 })
    expect(evenness([steady], 900, 4000).slowestSecondRows).toBe(1)
    expect(() => evenness([steady], 1100, 1900)).toThrow('no whole second')
  })

  test('of many keys each row changes another, of few all are changed', () => {
    expect(changedRows(10_000_000, 200_000)).toBeCloseTo(198_013, -1)
    expect(changedRows(1_000, 200_000)).toBeCloseTo(1_000)
  })
})

describe('reports', () => {
  const bench = cases.find(one => one.name === 'state-kill') as StateCase
  const result = (ours: number, problems: readonly string[] = []): StateFigures => ({
    keys: 10,
    engines: [
      { name: 'millrace', values: { firstNew: ours, first: 0.5 } },
      { name: 'flink tuned', values: { firstNew: 4, first: 3 } },
    ],
    problems,
    othersShare: 0,
  })
  const base = { parallelism: 2, scale: 1, loadBefore: 0, othersShare: 0 }
  const stored = {
    date: '2026-01-02',
    machine: { cpu: 'Some CPU', cores: 2, memoryGb: 24, kernel: '6' },
    versions: { commit: 'abc', node: '24', java: '17', flink: '2.3.0' },
  }
  const page = (reports: readonly StoredReport[]) => withTables('<!-- made by bench/run.ts --write -->\n<!-- end -->\n', reports, cases)

  test('what is required has a verdict, unless results were wrong', () => {
    const verdict = (figures: StateFigures) => stateRows(bench, figures).map(row => row.verdict)
    expect(verdict(result(1))).toEqual(['reached', ''])
    expect(verdict(result(1.4))).toEqual(['BELOW', ''])
    expect(verdict(result(1, ['rows differ']))).toEqual(['', ''])
    expect(stateLines(bench, result(1, ['rows differ'])).at(-1)).toBe('VOID: rows differ')
    expect(stateLines(bench, result(1)).at(2)).toMatch(/^until the first new result +1\.00 s +4\.00 s +0\.25 +<= ratio 0\.33 +reached$/)
  })

  test('every figure of every state case has its row, measured or not', () => {
    const made = page([{ kind: 'state', name: 'state-kill', ...base, ...stored, result: result(1) }])
    expect(made).toContain('| state-kill | until the first new result | 1.00 s | 4.00 s | 0.25 | <= ratio 0.33 | reached | 2026-01-02')
    const states = cases.filter(one => one.kind === 'state')
    expect(states.length).toBeGreaterThan(4)
    for (const { name, figures } of states) for (const { label } of figures) expect(made).toContain(`| ${name} | ${label} |`)
    expect(made.match(/^\| state-restore .*\| not measured \|$/gm)).toHaveLength(2)
  })

  test('what checkpoints cost is the share of rows per CPU-second that is gone', () => {
    const engine = (name: string, recordsPerCpuSecond: number): EngineFigures => ({
      name,
      cpuSeconds: figure(2),
      wallSeconds: figure(3),
      recordsPerCpuSecond,
      cold: { cpuSeconds: 5, wallSeconds: 6 },
      cpuCounter: 'cgroup v1',
      checkpointsPerRun: 2,
    })
    const costs = (withCheckpoints: number): SideBySide => ({
      records: 10,
      engines: [engine('millrace', 100), engine(CHECKPOINTED, withCheckpoints)],
      paths: {},
      problems: [],
      othersShare: 0,
    })
    expect(checkpointedLines('10s', costs(95))).toEqual(['checkpoints every 10s (2.0 a run) cost 5.0 % of records/CPU-s, reached: at most 5 %'])
    expect(checkpointedLines('10s', costs(94))[0]).toContain('6.0 % of records/CPU-s, BELOW')
    const made = page([{ kind: 'checkpointed', name: 'hop checkpointed', interval: '10s', ...base, ...stored, result: costs(94) }])
    expect(made).toContain('| hop | 2 | 1 | every 10s | 2.0 | 100 ± 0 % | 94.0 ± 0 % | 6.0 % | <= 5 % | BELOW | 2026-01-02')
    expect(made, 'no figure of the case itself').toContain('| hop | 2 | | | | | 4x (aim 10x) | | | | not measured |')
  })
})

function figure(value: number): Figure {
  return { median: value, min: value, max: value, spread: 0 }
}
