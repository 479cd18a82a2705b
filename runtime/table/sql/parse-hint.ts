import type { Hint, Property } from './ast-query.ts'
import type { TokenCursor } from './token-cursor.ts'

/** Hint comments, as `OPTIONS('scan.startup.mode'='earliest-offset'), STATE_TTL('o'='1d')`; anything else in one is an error, as in Flink. */
export function parseHints(cursor: TokenCursor): readonly Hint[] {
  const hints: Hint[] = []
  while (isHintMark(cursor, '/*+')) {
    cursor.advance()
    hints.push(...cursor.commaSeparated(() => parseHint(cursor)))
    if (!isHintMark(cursor, '*/')) {
      cursor.expecting("'*/'")
      cursor.fail()
    }
    cursor.advance()
  }
  return hints
}

function isHintMark(cursor: TokenCursor, mark: string): boolean {
  return cursor.token.kind === 'hint' && cursor.token.value === mark
}

function parseHint(cursor: TokenCursor): Hint {
  const pos = cursor.position
  const name = cursor.name('a hint').text
  const options: Property[] = []
  const args: string[] = []
  if (!cursor.acceptSymbol('(')) return { pos, name, options, arguments: args }
  cursor.commaSeparated(() => {
    const at = cursor.position
    const key = hintArgument(cursor)
    // Options and plain arguments do not mix.
    if (args.length > 0) return args.push(key)
    if (options.length > 0 && !cursor.isSymbol('=')) return cursor.fail()
    if (!cursor.acceptSymbol('=')) return args.push(key)
    return options.push({ pos: at, key, value: cursor.string('a value in quotes') })
  })
  cursor.expectSymbol(')')
  return { pos, name, options, arguments: args }
}

function hintArgument(cursor: TokenCursor): string {
  if (cursor.token.kind === 'string' || cursor.token.kind === 'number') return cursor.advance().value
  return cursor
    .path('an option or a name')
    .map(part => part.text)
    .join('.')
}
