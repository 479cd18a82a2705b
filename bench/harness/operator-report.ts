import type { OperatorFigures } from './operator.ts'

/** Figures of an operator with many jobs as text, one row a figure: for the terminal and for docs/benchmarks.md. */
export interface OperatorRow {
  readonly label: string
  readonly value: string
  readonly required: string
  readonly verdict: '' | 'reached' | 'BELOW'
}

export const PSS_AIM_BYTES = 120 * 2 ** 20

export function operatorRows({ idle, ...figures }: OperatorFigures): OperatorRow[] {
  const row = (label: string, value: string, required = '', isReached: boolean | undefined = undefined): OperatorRow => ({
    label,
    value,
    required,
    verdict: isReached === undefined ? '' : isReached ? 'reached' : 'BELOW',
  })
  const ms = (seconds: number) => `${(seconds * 1_000).toFixed(1)} ms`
  const mb = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MB`
  const pss = Math.max(figures.pssBytesBusy, idle.pssBytes)
  return [
    row(`${figures.jobs} jobs created at once, all stable`, `${figures.secondsToStable.toFixed(1)} s`),
    row("operator's CPU-seconds until then", figures.cpuSeconds.toFixed(1)),
    row('a pass, median', ms(figures.passP50Seconds)),
    row('a pass, 99th percentile', ms(figures.passP99Seconds)),
    row('waited for a pass, 99th percentile', ms(figures.waitP99Seconds)),
    row('passes a job', figures.passesPerJob.toFixed(1)),
    row('reads of the API server a job', figures.readsPerJob.toFixed(1)),
    row('writes a job, events among them', figures.writesPerJob.toFixed(1)),
    row('REST calls a job', figures.restCallsPerJob.toFixed(1)),
    row(
      'memory when all are stable, and when idle (PSS)',
      `${mb(figures.pssBytesBusy)}, ${mb(idle.pssBytes)}`,
      `< ${mb(PSS_AIM_BYTES)}`,
      pss < PSS_AIM_BYTES,
    ),
    row(`idle for ${idle.seconds} s: writes`, String(idle.writes), '0', idle.writes === 0),
    row('idle: reads of the API server', String(idle.reads)),
    row('idle: REST calls a job in 10 s', idle.restCallsPerJobIn10s.toFixed(2), '<= 1', idle.restCallsPerJobIn10s <= 1),
    row('idle: CPU, of one core', `${(idle.cpuShare * 100).toFixed(1)} %`),
  ]
}

export function operatorLines(result: OperatorFigures): string[] {
  return [
    ...operatorRows(result).map(({ label, value, required, verdict }) =>
      `${label.padEnd(52)} ${value.padStart(16)}  ${required.padStart(9)}  ${verdict}`.trimEnd(),
    ),
    ...result.problems.map(problem => `VOID: ${problem}`),
  ]
}
