import { type ErrorCode, errorCodes } from './errors.ts'
import type { LogEntry } from './log.ts'

/**
 * One log line per entry. Pretty is for people (`12:03:04,512 INFO  job is RUNNING  jobId=… attempt=1`), JSON for machines
 * (`--log-format json`). A stack trace follows on its own, indented lines in the pretty form only.
 */
export const logFormats = ['pretty', 'json'] as const
export type LogFormat = (typeof logFormats)[number]

export function formatLogEntry(format: LogFormat, entry: LogEntry, timeMs: number): string {
  return format === 'json' ? jsonLine(entry, timeMs) : prettyLine(entry, timeMs)
}

function jsonLine(entry: LogEntry, timeMs: number): string {
  // Fields cannot hide what the line itself says.
  return JSON.stringify({ ...entry.fields, time: timeMs, level: entry.level, message: entry.message }, (_key, value) => plain(value))
}

function prettyLine(entry: LogEntry, timeMs: number): string {
  const fields: string[] = []
  const traces: string[] = []
  for (const [name, value] of Object.entries(entry.fields)) {
    if (value === undefined) continue
    if (isErrorLike(value)) {
      fields.push(`${name}=${quoted(value.message)}`)
      // A user's mistake is said by its message; its stack would only show our own code.
      if (value.stack !== '' && faultOf(value) !== 'user') traces.push(value.stack)
    } else {
      fields.push(`${name}=${quoted(typeof value === 'string' ? value : (JSON.stringify(value, (_key, inner) => plain(inner)) ?? String(value)))}`)
    }
  }
  const head = `${timeOfDay(timeMs)} ${entry.level.toUpperCase().padEnd(5)} ${entry.message}`
  const line = fields.length === 0 ? head : `${head}  ${fields.join(' ')}`
  return [line, ...traces.flatMap(trace => trace.split('\n').map(text => `    ${text}`))].join('\n')
}

interface ErrorLike {
  readonly message: string
  readonly stack: string
  readonly code?: unknown
}

function isErrorLike(value: unknown): value is ErrorLike {
  return (
    typeof value === 'object' &&
    value !== null &&
    'message' in value &&
    'stack' in value &&
    typeof value.message === 'string' &&
    typeof value.stack === 'string'
  )
}

function faultOf(error: ErrorLike): string {
  const code = error.code
  return typeof code === 'string' && Object.hasOwn(errorCodes, code) ? errorCodes[code as ErrorCode].fault : 'internal'
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack }
  return value
}

function quoted(text: string): string {
  return text === '' || /[\s"]/.test(text) ? JSON.stringify(text) : text
}

const clockFace = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })

function timeOfDay(timeMs: number): string {
  return `${clockFace.format(timeMs)},${String(Math.floor(timeMs) % 1_000).padStart(3, '0')}`
}
