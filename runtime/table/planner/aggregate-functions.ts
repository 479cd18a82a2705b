import type { Expression } from '../plan/expression.ts'
import type { AggregateCall } from '../plan/physical.ts'
import { createAccumulator } from '../runtime/accumulators.ts'
import type { Call } from '../sql/ast-expression.ts'
import { isNotNull, nullable } from './expressions.ts'
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
const supported = ['COUNT', 'SUM', 'MIN', 'MAX', 'AVG']

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

/** Flink's result types: SUM and AVG keep the argument's type, of nothing the result is NULL except COUNT's. */
export function aggregateCall(call: Call, argument: Expression | undefined, argumentColumn: number, filterColumn: number): AggregateCall {
  const name = call.path[0]!.text.toUpperCase()
  const { pos } = call
  if (!supported.includes(name)) throw notSupportedYet(pos, `aggregate function ${name}`)
  if (call.quantifier === 'DISTINCT' && name !== 'MIN' && name !== 'MAX') throw notSupportedYet(pos, `${name}(DISTINCT …)`)
  const inputType = argument?.type ?? 'BIGINT NOT NULL'
  if (name === 'COUNT') return { name, argument: argumentColumn, distinct: false, filter: filterColumn, inputType, type: 'BIGINT NOT NULL' }
  if (argument === undefined) throw planError(pos, `function ${name} takes one argument`)
  const numeric = /^(TINYINT|SMALLINT|INT|BIGINT|FLOAT|DOUBLE|DECIMAL)\b/.test(inputType)
  if ((name === 'SUM' || name === 'AVG') && !numeric) throw planError(pos, `function ${name} does not take (${inputType}), expected ${name}(number)`)
  // With a filter a group may be left without rows.
  const type = isNotNull(inputType) && filterColumn < 0 ? inputType : nullable(inputType)
  const bound: AggregateCall = { name, argument: argumentColumn, distinct: false, filter: filterColumn, inputType, type }
  at(pos, () => createAccumulator(bound))
  return bound
}
