import type { Clock } from '../../runtime/common/clock.ts'
import type { Condition } from '../api/fields.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import { RESTART_LOOP } from '../job/restarts.ts'
import type { Terminal } from './terminal.ts'

/** Conditions without which a person would wait and not know what for. */
const TOLD: readonly string[] = [RESTART_LOOP, 'DeletionBlocked', 'Paused']

/** Changes of a FlinkJob as lines: time, name, what changed. */
export class Progress {
  private readonly terminal: Terminal
  private readonly clock: Clock
  private readonly label: string
  private lifecycleState: string | undefined
  private jobState: string | undefined
  private webAddress: string | undefined
  private error: string | undefined
  private savepoint: string | undefined
  private snapshotFailure: string | undefined
  private conditions: readonly Condition[] = []

  constructor(terminal: Terminal, clock: Clock, label: string) {
    this.terminal = terminal
    this.clock = clock
    this.label = label
  }

  note(text: string): void {
    this.terminal.say(`${new Date(this.clock.nowMs()).toTimeString().slice(0, 8)} ${this.label}: ${text}`)
  }

  show({ status }: FlinkJob): void {
    if (status === undefined) return
    const webAddress = status.clusterInfo?.['web-address']
    if (status.lifecycleState !== this.lifecycleState) {
      this.note(this.lifecycleState === undefined ? status.lifecycleState : `${this.lifecycleState} -> ${status.lifecycleState}`)
      this.lifecycleState = status.lifecycleState
    }
    if (webAddress !== this.webAddress && webAddress !== undefined) {
      this.note(`web address ${webAddress}`)
      this.webAddress = webAddress
    }
    const jobState = status.jobStatus?.state
    if (jobState !== this.jobState && jobState !== undefined) {
      this.note(`job ${status.jobStatus?.jobId} is ${jobState}`)
      this.jobState = jobState
    }
    const { lastSavepoint, snapshots } = status
    if (lastSavepoint !== undefined && lastSavepoint.name !== this.savepoint) this.note(`savepoint ${lastSavepoint.location}`)
    this.savepoint = lastSavepoint?.name
    const failure = snapshots?.failure
    if (failure !== undefined && failure.message !== this.snapshotFailure) this.note(`no savepoint: ${failure.message}`)
    this.snapshotFailure = failure?.message
    // A failure is told at the end, in full.
    if (status.error !== this.error && status.error !== undefined && status.lifecycleState !== 'FAILED') this.note(status.error)
    this.error = status.error
    for (const { type, status: value, message } of status.conditions) {
      const before = this.conditions.find(condition => condition.type === type)
      if (TOLD.includes(type) && value !== before?.status && (value === 'True' || before !== undefined)) this.note(message)
    }
    this.conditions = status.conditions
  }
}
