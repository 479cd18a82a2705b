import type { Expression } from '../plan/expression.ts'
import type { Expression as AstExpression } from '../sql/ast-expression.ts'
import type { SelectItem } from '../sql/ast-query.ts'
import type { LogicalNode } from './logical.ts'
import { findColumn, type Relation, type ScopeColumn } from './scope.ts'

/** The list of a SELECT: names and event times of what it projects. */
export interface ExpandedItem {
  readonly item: SelectItem
  /** Of a star. */
  readonly column: { readonly expression: Expression; readonly rowtime: boolean } | undefined
  readonly name: string | undefined
}

export interface Projected {
  readonly expression: Expression
  readonly rowtime: boolean
}

export function project(input: LogicalNode, projected: readonly Projected[], names: readonly string[]): Relation {
  const unique = names.map((name, i) => {
    let candidate = name
    for (let n = 0; names.indexOf(candidate) < i && names.indexOf(candidate) >= 0; n++) candidate = `${name}${n}`
    return candidate
  })
  const node: LogicalNode = { kind: 'project', input, projections: projected.map(({ expression }) => expression), names: unique }
  const columns = projected.map(
    ({ expression, rowtime }, index): ScopeColumn => ({
      qualifier: [],
      name: unique[index]!,
      index,
      type: expression.type,
      rowtime,
      fields: undefined,
    }),
  )
  return { node, columns }
}

/** The alias, the column's own name, else Flink's EXPR$n. */
export function nameOf(item: SelectItem, index: number): string {
  if (item.alias !== undefined) return item.alias.text
  if (item.expression.kind === 'column') return item.expression.path.at(-1)!.text
  return `EXPR$${index}`
}

export function isRowtime(expression: AstExpression, columns: readonly ScopeColumn[]): boolean {
  return expression.kind === 'column' && findColumn(expression.path, columns).rowtime
}
