import type { TokenCursor } from './token-cursor.ts'

const queryWords = ['SELECT', 'WITH', 'VALUES', 'TABLE']
const afterQuery = ['UNION', 'INTERSECT', 'EXCEPT', 'MINUS', 'ORDER', 'LIMIT', 'OFFSET', 'FETCH']

/**
 * Whether a query begins `ahead` tokens on, where an expression could as well: `((SELECT 1) UNION SELECT 2)` is one, `((SELECT 1) + 1)` is not.
 * Decided by what follows the matching parenthesis.
 */
export function startsQuery(cursor: TokenCursor, ahead = 0): boolean {
  if (queryWords.some(word => cursor.sees(ahead, word))) return true
  if (!cursor.sees(ahead, '(') || !startsQuery(cursor, ahead + 1)) return false
  const after = closing(cursor, ahead) + 1
  return cursor.sees(after, ')') || afterQuery.some(word => cursor.sees(after, word))
}

/** Whether the first word behind opening parentheses begins a query. */
export function opensQuery(cursor: TokenCursor): boolean {
  let ahead = 0
  while (cursor.sees(ahead, '(')) ahead++
  return queryWords.some(word => cursor.sees(ahead, word))
}

function closing(cursor: TokenCursor, open: number): number {
  let depth = 0
  for (let ahead = open; ; ahead++) {
    if (cursor.sees(ahead, '(')) depth++
    else if (cursor.sees(ahead, ')') && --depth === 0) return ahead
    else if (cursor.peek(ahead).kind === 'end') return ahead
  }
}
