import { FlinkError } from '../../common/errors.ts'
import type { Position } from './ast-expression.ts'

/** One wrong statement, one error: where, what stands there, what could stand there, and the lines to look at. */
export function syntaxError(text: string, at: Position, problem: string, detail: { expected?: readonly string[]; found?: string } = {}): FlinkError {
  return new FlinkError('INVALID_SQL', `syntax error at ${at.line}:${at.column}: ${problem}`, {
    line: at.line,
    column: at.column,
    ...detail,
    excerpt: excerpt(text, at),
  })
}

/** Something that Flink's dialect has and Millrace does not. */
export function unsupportedSql(text: string, at: Position, feature: string): FlinkError {
  return new FlinkError('UNSUPPORTED', `${feature} is not supported, at ${at.line}:${at.column}`, {
    line: at.line,
    column: at.column,
    feature,
    excerpt: excerpt(text, at),
  })
}

const excerptWidth = 120

/** The line of `at` and a caret below its column; a long line is cut around it. */
export function excerpt(text: string, at: Position): string {
  const line = [...(text.split(/\r\n|\r|\n/)[at.line - 1] ?? '')]
  const from = Math.max(0, Math.min(at.column - 1 - excerptWidth / 2, line.length - excerptWidth))
  const shown = line.slice(from, from + excerptWidth).map(character => (character === '\t' ? ' ' : character))
  return `${shown.join('')}\n${' '.repeat(Math.max(0, at.column - 1 - from))}^`
}
