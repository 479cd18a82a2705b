/** Figures of repeated runs: pure arithmetic. */
export interface Sample {
  readonly wallSeconds: number
  readonly cpuSeconds: number
}

export interface Figure {
  readonly median: number
  readonly min: number
  readonly max: number
  /** (max - min) / median */
  readonly spread: number
}

export function figureOf(values: readonly number[]): Figure {
  if (values.length === 0) throw new Error('no values')
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  const upper = sorted[half] as number
  const median = sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2
  const min = sorted[0] as number
  const max = sorted[sorted.length - 1] as number
  return { median, min, max, spread: median === 0 ? 0 : (max - min) / median }
}

/** A-B-C-A-B-C…: whatever drifts while a case runs, drifts for all alike. */
export function* interleaved<T>(engines: readonly T[], runs: number): Generator<{ readonly engine: T; readonly run: number }> {
  for (let run = 0; run < runs; run++) for (const engine of engines) yield { engine, run }
}

/** `1.23 M`, `456 k` or `7.8`, three figures. */
export function short(value: number): string {
  const [scaled, unit] = value >= 1e9 ? [value / 1e9, ' G'] : value >= 1e6 ? [value / 1e6, ' M'] : value >= 1e4 ? [value / 1e3, ' k'] : [value, '']
  return `${scaled >= 100 ? scaled.toFixed(0) : scaled >= 10 ? scaled.toFixed(1) : scaled.toFixed(2)}${unit}`
}

export function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(0)} %`
}
