/** Counters and gauges by name; plain numbers that their thread writes and its reporter reads. */
export class MetricGroup {
  private readonly counters = new Map<string, Counter>()
  private readonly gauges = new Map<string, () => number>()

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

  values(): Record<string, number> {
    const values: Record<string, number> = {}
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
