import type { JsonObject } from '../common/json.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { StreamOperator } from './operator.ts'

/** The one place where the graph's opaque factory becomes an operator. `options` are the JobGraph's, not this execution's own. */
export function createOperator(definition: OperatorDefinition, options: JsonObject): StreamOperator {
  return (definition.factory as (options: JsonObject) => StreamOperator)(options)
}
