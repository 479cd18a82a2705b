import { FlinkError } from '../common/errors.ts'
import { canonicalJson } from '../common/json.ts'
import { murmur3Hex } from './murmur3-128.ts'
import type { StreamNode } from './stream-graph.ts'
import { operatorName } from './stream-graph-order.ts'

/**
 * Operator ids, by node id: the hash of `uid()`, Flink's own; else a hash of what the operator is and of what it reads. Neither
 * parallelism nor chaining nor names go into it, so that rescaling a job whose operators have no uid still finds its state (Flink's
 * generated ids change with chaining). Twins (same type, same inputs) are told apart by their order of creation.
 */
export function operatorIds(nodes: readonly StreamNode[]): ReadonlyMap<number, string> {
  const ids = new Map<number, string>()
  const owners = new Map<string, StreamNode>()
  const twins = new Map<string, number>()
  for (const node of nodes) {
    const id = node.uid === undefined ? topologyHash(node, ids, twins) : murmur3Hex(node.uid)
    const owner = owners.get(id)
    if (owner !== undefined) {
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operators '${operatorName(owner)}' and '${operatorName(node)}' have the same id, uid '${node.uid ?? owner.uid ?? ''}': every uid may be used once`,
        { uid: node.uid ?? owner.uid },
      )
    }
    owners.set(id, node)
    ids.set(node.id, id)
  }
  return ids
}

function topologyHash(node: StreamNode, ids: ReadonlyMap<number, string>, twins: Map<string, number>): string {
  const inputs = node.inputs.map(edge => [ids.get(edge.source) ?? '', edge.tag ?? null, edge.input])
  const shape = canonicalJson([node.kind, node.definition.type, inputs])
  const ordinal = twins.get(shape) ?? 0
  twins.set(shape, ordinal + 1)
  return murmur3Hex(`${shape}#${ordinal}`)
}
