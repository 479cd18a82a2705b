import type { DeclaredState } from '../../graph/declared-state.ts'
import type { OperatorDefinition } from '../../graph/stream-graph.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import type { TypeJson } from '../../serde/type-information.ts'
import { progressState } from '../../stream/operators/window-progress.ts'
import type { WindowAggregateNode } from '../plan/physical.ts'
import { accumulatorTypes } from './accumulators.ts'
import { typeTextOf } from './slice-tables.ts'

/** What a window aggregate keeps, for the graph, which knows states without running: keys and accumulators by the end of their slice or window. */
export function windowAggregateStates(
  { keys, aggregates }: Pick<WindowAggregateNode, 'keys' | 'aggregates'>,
  inputTypes: readonly string[],
  columnar: boolean,
): Pick<OperatorDefinition, 'states' | 'keyType'> {
  const keyTypes = keys.map(key => inputTypes[key] ?? '').map(type => (columnar ? typeTextOf(columnLayout(type)) : type))
  const contents: DeclaredState = {
    name: columnar ? 'window-aggs' : 'window-rows',
    kind: 'aggregating',
    type: columnsType([...keyTypes, ...aggregates.flatMap(accumulatorTypes)]),
    namespace: { kind: 'DOUBLE' },
  }
  return { keyType: columnsType(keyTypes), states: [contents, progressState] }
}

function columnsType(types: readonly string[]): TypeJson {
  return { kind: 'COLUMNS', fields: types.map((type, i) => ({ name: `f${i}`, type })) }
}
