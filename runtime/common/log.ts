/**
 * Logging: constant message plus fields. `error` = a person must act, `warn` = unexpected but handled, `info` = a state changed,
 * `debug` = per checkpoint or reconcile. Nothing per record or per buffer. Processes build one from a sink (see bin/); tests and
 * simulation collect entries.
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  child(fields: LogFields): Logger
}

export interface LogEntry {
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }

/** `level` may change while the logger and its children are in use. */
export function createLogger(write: (entry: LogEntry) => void, level: LogLevel | (() => LogLevel) = 'info', fields: LogFields = {}): Logger {
  const least = typeof level === 'function' ? level : () => level
  const at = (entryLevel: LogLevel) => (message: string, extra?: LogFields) => {
    if (order[entryLevel] >= order[least()]) write({ level: entryLevel, message, fields: extra === undefined ? fields : { ...fields, ...extra } })
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: extra => createLogger(write, level, { ...fields, ...extra }),
  }
}

export const noLog: Logger = createLogger(() => {}, 'error')
