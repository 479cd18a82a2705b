import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { RuntimeContext } from 'millrace'

/**
 * When results came, for `bench/harness/result-times.ts`: a line for each 10 ms in which there were any, `<epoch ms> <rows> <largest index> <smallest index>`. A file for each
 * attempt of each subtask, `log-<parallelism>-<subtask>-<epoch ms of its beginning>`, written line by line: what is in it survives a kill.
 */
export class ResultLog {
  private readonly file: number
  private periodMs = 0
  private rows = 0
  private indexMax = -1
  private indexMin = Number.POSITIVE_INFINITY

  constructor(folder: string, context: RuntimeContext) {
    mkdirSync(folder, { recursive: true })
    const name = `log-${context.getNumberOfParallelSubtasks()}-${context.getIndexOfThisSubtask()}-${Date.now()}`
    this.file = openSync(join(folder, name), 'w')
  }

  add(index: number): void {
    const nowMs = Date.now()
    const periodMs = nowMs - (nowMs % 10)
    if (periodMs !== this.periodMs) {
      this.write()
      this.periodMs = periodMs
    }
    this.rows++
    if (index > this.indexMax) this.indexMax = index
    if (index < this.indexMin) this.indexMin = index
  }

  close(): void {
    this.write()
    closeSync(this.file)
  }

  private write(): void {
    if (this.rows > 0) writeSync(this.file, `${this.periodMs} ${this.rows} ${this.indexMax} ${this.indexMin}\n`)
    this.rows = 0
    this.indexMin = Number.POSITIVE_INFINITY
  }
}
