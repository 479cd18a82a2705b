/** Counters of one operator subtask under Flink's names; plain numbers that the task's thread writes and its reporter reads. */
export class OperatorMetricGroup {
  /** Counted by the operator itself (sources, sinks with batches); the chain counts rows between operators. */
  private extraIn = 0
  private extraOut = 0
  private readonly counters = new Map<string, Counter>()
  private readonly gauges = new Map<string, () => number>()

  recordsIn(count: number): void {
    this.extraIn += count
  }

  recordsOut(count: number): void {
    this.extraOut += count
  }

  counter(name: string): Counter {
    let counter = this.counters.get(name)
    if (counter === undefined) {
      counter = new Counter()
      this.counters.set(name, counter)
    }
    return counter
  }

  gauge(name: string, read: () => number): void {
    this.gauges.set(name, read)
  }

  /** `recordsIn`/`recordsOut` are what the chain counted. */
  snapshot(recordsIn: number, recordsOut: number): Record<string, number> {
    const values: Record<string, number> = { numRecordsIn: recordsIn + this.extraIn, numRecordsOut: recordsOut + this.extraOut }
    for (const [name, counter] of this.counters) values[name] = counter.value
    for (const [name, read] of this.gauges) values[name] = read()
    return values
  }
}

export class Counter {
  value = 0

  inc(count = 1): void {
    this.value += count
  }
}
