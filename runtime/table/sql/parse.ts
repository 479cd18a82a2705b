import type { LogicalType } from '../types/logical-type.ts'
import type { Expression, Position } from './ast-expression.ts'
import type { Statement } from './ast-statement.ts'
import { tokenize } from './lexer.ts'
import { parseExpression as expression, parseOperand as operand } from './parse-expression.ts'
import { parseQuery as query } from './parse-query.ts'
import { parseStatementAt } from './parse-statement.ts'
import { parseType as type } from './parse-type.ts'
import { type Grammar, TokenCursor } from './token-cursor.ts'

/**
 * SQL in Flink's dialect: text to plain data (`ast-*.ts`) and, by `print.ts`, back.
 *
 * 1. `tokenize` makes tokens with their positions; each `parse-*.ts` reads one part of the grammar from a `TokenCursor`, by recursive descent,
 *    expressions by binding power. There is no going back: a rule looks at most at the words ahead.
 * 2. A wrong statement throws one FlinkError INVALID_SQL with `line:column`, what was found, what was expected, the nearest keyword, and in its
 *    detail the line with a caret. What Flink has and Millrace has not is UNSUPPORTED, by name and position.
 * 3. Parsing decides nothing about meaning: names are unresolved, types unchecked, window functions are calls.
 * 4. Depth of trees is bounded (`nestingMax`, `chainMax`), so whoever walks them may recurse.
 *
 * Accepting and refusing is held to Flink 2.3's own parser over test/sql/corpus; test/sql/deviations.json lists where the two differ and why.
 */
const grammar: Grammar = { expression, operand, query, type }

/** The one statement of `text`; a `;` may end it. */
export function parseStatement(text: string): Statement {
  const cursor = new TokenCursor(text, grammar)
  const statement = parseStatementAt(cursor)
  if (!cursor.acceptSymbol(';')) expectEnd(cursor)
  expectEnd(cursor)
  return statement
}

export interface ScriptStatement {
  readonly statement: Statement
  /** The statement as written, without its `;`. */
  readonly text: string
}

/** All statements of a script. The first wrong one ends it: what follows may depend on it. */
export function parseScript(text: string): readonly ScriptStatement[] {
  const cursor = new TokenCursor(text, grammar)
  const statements: ScriptStatement[] = []
  for (;;) {
    while (cursor.sees(0, ';')) cursor.advance()
    if (cursor.token.kind === 'end') return statements
    const start = cursor.token.offset
    const statement = parseStatementAt(cursor)
    statements.push({ statement, text: text.slice(start, cursor.consumedEnd) })
    if (!cursor.acceptSymbol(';')) expectEnd(cursor)
  }
}

/** Where each statement of a script stands, without parsing it. A `;` inside BEGIN … END of EXECUTE STATEMENT SET ends none. */
export function splitScript(text: string): readonly { readonly text: string; readonly pos: Position }[] {
  const parts: { text: string; pos: Position }[] = []
  const tokens = tokenize(text)
  let start: Position | undefined
  let end = 0
  let insideSet = false
  tokens.forEach((token, i) => {
    const word = token.kind === 'word' ? token.upper : ''
    const previous = tokens[i - 1]
    if (word === 'BEGIN' && previous?.upper === 'SET') insideSet = true
    if (word === 'END' && insideSet && previous?.value === ';') insideSet = false
    const ends = token.kind === 'end' || (token.kind === 'symbol' && token.value === ';' && !insideSet)
    if (ends && start !== undefined) parts.push({ text: text.slice(start.offset, end), pos: start })
    if (ends) start = undefined
    else {
      start ??= { line: token.line, column: token.column, offset: token.offset }
      end = token.end
    }
  })
  return parts
}

/** A single expression, as the Table API's string forms and computed columns have them. */
export function parseExpressionText(text: string): Expression {
  return whole(text, expression)
}

/** A type as `printType` writes it and as CREATE TABLE takes it. */
export function parseTypeText(text: string): LogicalType {
  return whole(text, type)
}

function whole<T>(text: string, parse: (cursor: TokenCursor) => T): T {
  const cursor = new TokenCursor(text, grammar)
  cursor.intervalTypes = true
  const result = parse(cursor)
  expectEnd(cursor)
  return result
}

function expectEnd(cursor: TokenCursor): void {
  if (cursor.token.kind === 'end') return
  cursor.expecting('the end')
  cursor.fail()
}
