import type { StateCase, StateFigure } from '../cases.ts'
import type { StateFigures } from './state.ts'

/** Figures of a state case as text, one row a figure: for the terminal and for docs/benchmarks.md. */
export interface StateRow {
  readonly id: string
  readonly label: string
  readonly millrace: string
  readonly flink: string
  readonly ratio: string
  readonly required: string
  readonly verdict: '' | 'reached' | 'BELOW'
}

export function stateRows(bench: StateCase, result: StateFigures | undefined): StateRow[] {
  return bench.figures.map(figure => {
    const value = (engine: string) => result?.engines.find(({ name }) => name === engine)?.values[figure.id]
    const [ours, theirs] = [value('millrace'), value('flink tuned')]
    const ratio = ours === undefined || theirs === undefined || theirs === 0 ? undefined : ours / theirs
    const { required } = figure
    const measured = required?.of === 'ratio' ? ratio : ours
    return {
      id: figure.id,
      label: figure.label,
      millrace: valueText(figure, ours),
      flink: valueText(figure, theirs),
      ratio: ratio === undefined ? '' : ratio.toFixed(2),
      required: required === undefined ? '' : requiredText(figure, required),
      // With another result than the expected one there is no figure.
      verdict:
        required === undefined || measured === undefined || result?.problems.length !== 0 ? '' : reaches(required, measured) ? 'reached' : 'BELOW',
    }
  })
}

export function stateLines(bench: StateCase, result: StateFigures): string[] {
  const rows = stateRows(bench, result).map(({ label, millrace, flink, ratio, required, verdict }) => [
    label,
    millrace,
    flink,
    ratio,
    required,
    verdict,
  ])
  const table = [['', 'millrace', 'flink tuned', 'ratio', 'required', ''], ...rows]
  const widths = table.reduce((all, row) => row.map((cell, at) => Math.max(all[at] ?? 0, cell.length)), [] as number[])
  return [
    `${bench.name}: ${result.keys} keys`,
    ...table.map(row =>
      row
        .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
    ),
    ...result.problems.map(problem => `VOID: ${problem}`),
  ]
}

function reaches({ atMost, atLeast }: NonNullable<StateFigure['required']>, value: number): boolean {
  return (atMost === undefined || value <= atMost) && (atLeast === undefined || value >= atLeast)
}

function requiredText({ unit }: StateFigure, { of, atMost, atLeast }: NonNullable<StateFigure['required']>): string {
  const bound = (value: number) => (of === 'ratio' ? `ratio ${value.toFixed(2)}` : `${value} ${unit}`.trim())
  return [atMost === undefined ? [] : `<= ${bound(atMost)}`, atLeast === undefined ? [] : `>= ${bound(atLeast)}`].flat().join(', ')
}

function valueText({ unit, digits }: StateFigure, value: number | undefined): string {
  return value === undefined ? '' : `${value.toFixed(digits)} ${unit}`.trim()
}
