import type { CheckpointStatisticsJson, JobExceptions } from '../../runtime/rest/types.ts'

/** How the job of a fake cluster gets on: its restarts and checkpoints, as REST tells them. */
export class FakeProgress {
  /** Of the last restart; 0 = none. */
  restartedMs = 0
  checkpointMs: number | undefined
  /** Of the job that runs now. */
  savepointMs: number | undefined
  completed = 0
  checkpointIntervalMs: number | null = 1_000
  restarts = 0
  /** How many times somebody has asked. */
  asked = 0
  private failures: { timestamp: number; stacktrace: string }[] = []

  restart(nowMs: number, stacktrace: string): void {
    this.restartedMs = nowMs
    this.restarts++
    this.failures = [{ timestamp: nowMs, stacktrace }, ...this.failures].slice(0, 16)
  }

  checkpoint(nowMs: number): void {
    this.checkpointMs = nowMs
    this.completed++
  }

  exceptions(last: string | undefined): JobExceptions {
    this.asked++
    const failures = last === undefined ? this.failures : [{ timestamp: 0, stacktrace: `${last}\n` }, ...this.failures]
    const entries = failures.map(({ timestamp, stacktrace }) => ({
      exceptionName: 'Error',
      stacktrace,
      timestamp,
      failureLabels: {},
      taskName: 'Map (1/1)',
      endpoint: null,
      taskManagerId: null,
      concurrentExceptions: [],
    }))
    return { exceptionHistory: { truncated: false, entries } }
  }

  statistics(): CheckpointStatisticsJson {
    const { checkpointMs: ms, completed } = this
    const latest = ms === undefined ? null : { id: completed, trigger_timestamp: ms, latest_ack_timestamp: ms }
    const taken = this.savepointMs
    const savepoint = taken === undefined ? null : { id: completed, trigger_timestamp: taken, latest_ack_timestamp: taken }
    return { counts: { total: completed, in_progress: 0, completed, failed: 0 }, latest: { completed: latest, savepoint } }
  }
}
