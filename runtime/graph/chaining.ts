import type { PartitionerKind, StreamEdge, StreamNode } from './stream-graph.ts'
import { operatorName } from './stream-graph-order.ts'

/** One end of a link, with everything that was left open in the StreamGraph decided. */
export interface ResolvedNode {
  readonly node: StreamNode
  readonly operatorId: string
  readonly parallelism: number
  readonly maxParallelism: number
  readonly slotSharingGroup: string
}

export interface Link {
  readonly edge: StreamEdge
  /** Position in the target's inputs. */
  readonly index: number
  readonly source: ResolvedNode
  readonly target: ResolvedNode
  readonly partitioner: PartitionerKind
  /** The program asked for this exchange to be blocking; undefined = whatever suits. */
  readonly blocking: boolean
}

/** Why the target does not run in its source's chain; undefined = it does. Flink's conditions, in Flink's order. */
export function chainingObstacle(link: Link, chainingEnabled: boolean): string | undefined {
  const { source, target } = link
  if (!chainingEnabled) return 'chaining is off'
  if (target.node.inputs.length !== 1) return `'${operatorName(target.node)}' has ${target.node.inputs.length} input edges`
  if (source.slotSharingGroup !== target.slotSharingGroup)
    return `slot sharing groups '${source.slotSharingGroup}' and '${target.slotSharingGroup}' differ`
  if (source.node.chaining === 'never') return `chaining is disabled for '${operatorName(source.node)}'`
  if (target.node.chaining === 'never') return `chaining is disabled for '${operatorName(target.node)}'`
  if (target.node.chaining === 'head') return `'${operatorName(target.node)}' starts a new chain`
  if (link.partitioner !== 'FORWARD') return `partitioner ${link.partitioner}`
  if (link.blocking) return 'the exchange is blocking'
  if (source.parallelism !== target.parallelism) return `parallelism ${source.parallelism} and ${target.parallelism} differ`
  return undefined
}

/** One operator of a chain with those chained behind it, in the order of their creation. */
export interface ChainNode {
  readonly resolved: ResolvedNode
  /** The link it is fed by; undefined for the head. */
  readonly link: Link | undefined
  readonly children: readonly ChainNode[]
}

/** `Source: words -> Flat Map -> (Sink: a, Sink: b)`. */
export function chainName(chain: ChainNode): string {
  const own = operatorName(chain.resolved.node)
  const [only, ...others] = chain.children
  if (only === undefined) return own
  if (others.length === 0) return `${own} -> ${chainName(only)}`
  return `${own} -> (${chain.children.map(chainName).join(', ')})`
}

/** Pre-order, each with the index of its parent, -1 for the head. */
export function flattenChain(chain: ChainNode): { chainNode: ChainNode; parent: number }[] {
  const flat: { chainNode: ChainNode; parent: number }[] = []
  const visit = (chainNode: ChainNode, parent: number) => {
    const own = flat.push({ chainNode, parent }) - 1
    for (const child of chainNode.children) visit(child, own)
  }
  visit(chain, -1)
  return flat
}
