import { nestingMax, type TokenCursor } from './token-cursor.ts'

const queryWords = ['SELECT', 'WITH', 'VALUES', 'TABLE']
const afterQuery = ['UNION', 'INTERSECT', 'EXCEPT', 'MINUS', 'ORDER', 'LIMIT', 'OFFSET', 'FETCH']

/**
 * Whether a query begins `ahead` tokens on, where an expression could as well: `((SELECT 1) UNION SELECT 2)` is one, `((SELECT 1) + 1)` is not.
 * Decided by what follows the matching parentheses; one that stays open holds a query.
 */
export function startsQuery(cursor: TokenCursor, ahead = 0): boolean {
  let depth = 0
  while (depth <= nestingMax && cursor.sees(ahead + depth, '(')) depth++
  if (!queryWords.some(word => cursor.sees(ahead + depth, word))) return false
  let open = depth
  for (let at = ahead + depth; depth > 0 && cursor.peek(at).kind !== 'end'; at++) {
    if (cursor.sees(at, '(')) open++
    else if (cursor.sees(at, ')')) open--
    if (open >= depth) continue
    // One of the leading parentheses closed: what follows says what it held.
    depth = open
    if (!cursor.sees(at + 1, ')') && !afterQuery.some(word => cursor.sees(at + 1, word))) return false
  }
  return true
}

/** Whether the first word behind opening parentheses begins a query. */
export function opensQuery(cursor: TokenCursor): boolean {
  let ahead = 0
  while (cursor.sees(ahead, '(')) ahead++
  return queryWords.some(word => cursor.sees(ahead, word))
}
