import { aggregateFunction, aggregateNames as supported } from '../functions/aggregates.ts'
import { parseValueType, typeText, withNullable } from '../functions/value-type.ts'
import type { Expression } from '../plan/expression.ts'
import type { AggregateCall } from '../plan/physical.ts'
import type { Call } from '../sql/ast-expression.ts'
import { isNotNull } from './expressions.ts'
import { at, notSupportedYet, planError } from './plan-error.ts'

/** Aggregate functions that the parser lets through as calls; those without an accumulator are refused by name. */
export const aggregateNames: readonly string[] = [
  'COUNT',
  'SUM',
  'SUM0',
  'MIN',
  'MAX',
  'AVG',
  'STDDEV_POP',
  'STDDEV_SAMP',
  'STDDEV',
  'VAR_POP',
  'VAR_SAMP',
  'VARIANCE',
  'COLLECT',
  'LISTAGG',
  'FIRST_VALUE',
  'LAST_VALUE',
  'RANK',
  'DENSE_RANK',
  'ROW_NUMBER',
  'LEAD',
  'LAG',
  'NTILE',
  'PERCENT_RANK',
  'CUME_DIST',
  'ARRAY_AGG',
  'SINGLE_VALUE',
  'APPROX_COUNT_DISTINCT',
  'GROUPING',
  'GROUPING_ID',
]

export function isAggregate(call: Call): boolean {
  return (
    call.over === undefined &&
    aggregateNames.includes(
      call.path
        .map(({ text }) => text)
        .join('.')
        .toUpperCase(),
    )
  )
}

/** Flink's result types; without a value the result is NULL, except COUNT's. */
export function aggregateCall(call: Call, argument: Expression | undefined, argumentColumn: number, filterColumn: number): AggregateCall {
  const name = call.path[0]!.text.toUpperCase()
  const { pos } = call
  if (!(supported as readonly string[]).includes(name)) throw notSupportedYet(pos, `aggregate function ${name}`)
  if (argument === undefined && (name !== 'COUNT' || call.quantifier === 'DISTINCT')) throw planError(pos, `function ${name} takes one argument`)
  const inputType = argument?.type ?? 'BIGINT NOT NULL'
  const numeric = /^(TINYINT|SMALLINT|INT|BIGINT|FLOAT|DOUBLE|DECIMAL)\b/.test(inputType)
  if ((name === 'SUM' || name === 'AVG') && !numeric) throw planError(pos, `function ${name} does not take (${inputType}), expected ${name}(number)`)
  const result = at(pos, () => aggregateFunction(name, argument === undefined ? undefined : parseValueType(inputType))).type
  // With a filter a group may be left without rows.
  const nullableResult = name !== 'COUNT' && (!isNotNull(inputType) || filterColumn >= 0)
  return {
    name,
    argument: argumentColumn,
    distinct: call.quantifier === 'DISTINCT',
    filter: filterColumn,
    inputType,
    type: typeText(withNullable(result, nullableResult)),
  }
}
