/** What is deployed together, as both sides of a connection must agree on it: pipelined channels are between its own tasks. `region` is the stage of its deployments. */
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
