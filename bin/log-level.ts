import { readFileSync } from 'node:fs'
import type { Clock, Timer } from '../runtime/common/clock.ts'
import type { Configuration } from '../runtime/common/config.ts'
import type { LogLevel } from '../runtime/common/log.ts'
import { processOptions } from '../runtime/common/options.ts'

/**
 * How much a process logs, which can change while it runs: what is in the file that `env.log.level-file` names counts, else `env.log.level`. Whoever runs the process writes the
 * file (the operator: a ConfigMap on Kubernetes, a file of the cluster's folder here), so that a process that is started anew begins with what was said last.
 */
const LOOK_MS = 2_000

export class ProcessLogLevel {
  private readonly configured: LogLevel
  private readonly path: string | undefined
  private level: LogLevel
  private timer: Timer | undefined

  constructor(configuration: Configuration) {
    this.configured = lower(configuration.get(processOptions.logLevel))
    this.path = configuration.get(processOptions.logLevelFile)
    this.level = this.read()
  }

  readonly current = (): LogLevel => this.level

  /** Until `stop`. */
  follow(clock: Clock, changed: (level: LogLevel) => void): void {
    if (this.path === undefined) return
    this.timer = clock.schedule(LOOK_MS, () => {
      const before = this.level
      this.level = this.read()
      if (this.level !== before) changed(this.level)
      this.follow(clock, changed)
    })
  }

  stop(): void {
    this.timer?.cancel()
  }

  /** What is no level says nothing. */
  private read(): LogLevel {
    if (this.path === undefined) return this.configured
    try {
      const text = readFileSync(this.path, 'utf8').trim().toUpperCase()
      return processOptions.logLevel.values.includes(text as 'INFO') ? lower(text as 'INFO') : this.configured
    } catch {
      return this.configured
    }
  }
}

function lower(level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'): LogLevel {
  return level.toLowerCase() as LogLevel
}
