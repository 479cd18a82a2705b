import { FlinkError, nearestName } from '../../common/errors.ts'

/** Where a problem stands in the script: what ast nodes carry as `pos`. */
export interface SqlPosition {
  readonly line: number
  readonly column: number
}

/** A statement that parses and cannot be: unknown names, types that do not fit, what Flink's rules forbid. */
export function planError(at: SqlPosition, problem: string, detail: Readonly<Record<string, unknown>> = {}): FlinkError {
  return new FlinkError('INVALID_SQL', `invalid SQL at ${positionText(at)}: ${problem}`, { line: at.line, column: at.column, ...detail })
}

export function notSupportedYet(at: SqlPosition, feature: string): FlinkError {
  return new FlinkError('UNSUPPORTED', `${feature} is not supported yet, at ${positionText(at)}`, { line: at.line, column: at.column, feature })
}

export function positionText({ line, column }: SqlPosition): string {
  return `${line}:${column}`
}

/** `; did you mean x?`, or the candidates when none is near and they are few, else nothing. */
export function candidatesText(name: string, candidates: readonly string[]): string {
  // To a name of one or two letters any other is near.
  const near = name.length > 2 ? nearestName(name, candidates) : undefined
  if (near !== undefined) return `; did you mean ${near}?`
  if (candidates.length === 0) return ''
  return candidates.length <= LISTED_MAX ? `; there are ${candidates.join(', ')}` : ''
}

const LISTED_MAX = 12

/** An error that knows no position (of a function, a format) gets that of the expression it is about. */
export function at<T>(position: SqlPosition, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof FlinkError) || error.detail['line'] !== undefined || error.code === 'INTERNAL') throw error
    throw new FlinkError(
      error.code,
      `${error.message}, at ${positionText(position)}`,
      { ...error.detail, line: position.line, column: position.column },
      error,
    )
  }
}
