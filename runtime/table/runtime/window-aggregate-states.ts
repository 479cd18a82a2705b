import type { DeclaredState } from '../../graph/declared-state.ts'
import type { OperatorDefinition } from '../../graph/stream-graph.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import { progressState } from '../../stream/operators/window-progress.ts'
import type { WindowAggregateNode, WindowSpec } from '../plan/physical.ts'
import { groupType } from './accumulators.ts'
import { typeTextOf } from './slice-tables.ts'

/** What a window aggregate keeps, for the graph, which knows states without running: keys and accumulators by the end of their slice or window. */
export function windowAggregateStates(
  { window, keys, aggregates }: Pick<WindowAggregateNode, 'window' | 'keys' | 'aggregates'>,
  inputTypes: readonly string[],
  columnar: boolean,
): Pick<OperatorDefinition, 'states' | 'keyType' | 'windows'> {
  const keyTypes = keys.map(key => inputTypes[key] ?? '').map(type => (columnar ? typeTextOf(columnLayout(type)) : type))
  const contents: DeclaredState = {
    name: columnar ? 'window-aggs' : 'window-rows',
    kind: 'aggregating',
    type: groupType(keyTypes, aggregates),
    namespace: { kind: 'DOUBLE' },
  }
  return { keyType: groupType(keyTypes, []), states: [contents, progressState], windows: windowText(window) }
}

/** `HOP(3600000, 86400000)`: all that decides where windows begin and end, in ms. */
function windowText(window: WindowSpec): string {
  const step = window.kind === 'HOP' ? [window.slide] : window.kind === 'CUMULATE' ? [window.step] : []
  return `${window.kind}(${[...step, window.size, ...(window.offset === 0 ? [] : [window.offset])].join(', ')})`
}
