import { MetricGroup } from './metric-group.ts'

/** Metrics of one operator subtask under Flink's names. */
export class OperatorMetricGroup extends MetricGroup {
  /** Counted by the operator itself (sources, sinks with batches); the chain counts rows between operators. */
  private extraIn = 0
  private extraOut = 0

  recordsIn(count: number): void {
    this.extraIn += count
  }

  recordsOut(count: number): void {
    this.extraOut += count
  }

  /** `recordsIn`/`recordsOut` are what the chain counted. */
  snapshot(recordsIn: number, recordsOut: number): Record<string, number> {
    return { numRecordsIn: recordsIn + this.extraIn, numRecordsOut: recordsOut + this.extraOut, ...this.values() }
  }
}
