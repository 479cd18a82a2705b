import { FlinkError } from '../../../common/errors.ts'
import { fromRowForm, toRowForm } from '../../functions/frame-values.ts'
import { parseValueType, type Value } from '../../functions/value-type.ts'
import type { AggregateCall } from '../../plan/physical.ts'
import { isDistinct } from '../accumulators.ts'
import { functionOf } from '../aggregate-program.ts'

/**
 * An aggregate as a fold over plain values, in the row form: the interpreter of functions/aggregates.ts. A partial result is a list of values, what
 * `accumulatorTypes` of the call says, because that is what travels from a local aggregation to the global one.
 */
export interface RowAggregate {
  readonly empty: Partial
  /** Of one value of the argument, which is not NULL (COUNT(*): anything). */
  of(value: unknown): Partial
  merge(a: Partial, b: Partial): Partial
  result(partial: Partial): unknown
}

export type Partial = readonly unknown[]

export function rowAggregate(call: AggregateCall): RowAggregate {
  if (isDistinct(call)) throw new FlinkError('UNSUPPORTED', `${call.name}(DISTINCT) is not supported over rows (table.exec.columnar: false)`)
  const fn = functionOf(call)
  const argument = parseValueType(call.inputType)
  const held = (partial: Partial): Value[] => fn.slots.map(({ type }, i) => fromRowForm(type, partial[i] as Value)) // rows hold what the types say
  const shown = (values: readonly Value[]): Partial => fn.slots.map(({ type }, i) => toRowForm(type, values[i] as Value))
  const initial = () => fn.slots.map(slot => slot.initial)
  return {
    empty: shown(initial()),
    of: value => {
      const slots = initial()
      fn.add(slots, call.argument < 0 ? null : fromRowForm(argument, value as Value))
      return shown(slots)
    },
    merge: (a, b) => {
      const slots = held(a)
      fn.merge(slots, held(b))
      return shown(slots)
    },
    result: partial => toRowForm(fn.type, fn.value(held(partial))),
  }
}
