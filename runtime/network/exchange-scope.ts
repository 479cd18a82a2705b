/** One attempt of a region of a job's graph (graph/regions.ts), as both sides of a connection must agree on it: its channels are between its own tasks. */
export interface ExchangeScope {
  readonly jobId: string
  readonly generation: number
  readonly region: number
  readonly attempt: number
}

export function scopeKey(scope: ExchangeScope): string {
  return `${regionKey(scope)}/${scope.generation}/${scope.attempt}`
}

/** The same for all attempts. */
export function regionKey({ jobId, region }: ExchangeScope): string {
  return `${jobId}/${region}`
}

/** Of two attempts of one region. */
export function isOlder(a: ExchangeScope, b: ExchangeScope): boolean {
  return a.generation < b.generation || (a.generation === b.generation && a.attempt < b.attempt)
}
