import type { Expression } from '../plan/expression.ts'

export function columnReference(index: number, type: string): Expression {
  return { kind: 'column', index, type }
}

/** Every column replaced by what `replace` answers for it. */
export function mapColumns(expression: Expression, replace: (index: number, type: string) => Expression): Expression {
  if (expression.kind === 'column') return replace(expression.index, expression.type)
  if (expression.kind === 'literal') return expression
  return { ...expression, arguments: expression.arguments.map(argument => mapColumns(argument, replace)) }
}

/** Columns by their new places. */
export function moveColumns(expression: Expression, places: (index: number) => number): Expression {
  return mapColumns(expression, (index, type) => columnReference(places(index), type))
}

export function addColumns(expression: Expression, into: Set<number>): void {
  if (expression.kind === 'column') into.add(expression.index)
  else if (expression.kind === 'call') for (const argument of expression.arguments) addColumns(argument, into)
}

export function expressionSize(expression: Expression): number {
  return expression.kind === 'call' ? expression.arguments.reduce((sum, argument) => sum + expressionSize(argument), 1) : 1
}

export function isNotNull(type: string): boolean {
  return type.endsWith(' NOT NULL')
}

export function expressionKey(expression: Expression): string {
  return JSON.stringify(expression, (key, value: unknown) => (key === 'position' ? undefined : value))
}
