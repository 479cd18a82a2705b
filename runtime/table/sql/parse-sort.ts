import type { SortItem } from './ast-expression.ts'
import type { TokenCursor } from './token-cursor.ts'

/** What follows ORDER BY. */
export function parseSortItems(cursor: TokenCursor): readonly SortItem[] {
  return cursor.commaSeparated(() => {
    const pos = cursor.position
    const expression = cursor.grammar.expression(cursor)
    const direction = cursor.acceptOneOf(['ASC', 'DESC'] as const)
    const nulls = cursor.accept('NULLS') ? cursor.expectOneOf(['FIRST', 'LAST'] as const) : undefined
    return { pos, expression, direction, nulls }
  })
}
