import { FlinkError } from '../common/errors.ts'
import type { OperatorDefinition, PartitionerSpec, StreamEdge, StreamNode } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'

/** One stream as an operator reads it: an output of a node and the way its rows are dealt out. A union is several of them. */
export interface Upstream {
  readonly node: StreamNode
  /** undefined = the main output, else a side output's id. */
  readonly tag: string | undefined
  readonly partitioner: PartitionerSpec
}

export interface NewNode {
  readonly name: string
  readonly kind: StreamNode['kind']
  readonly definition: OperatorDefinition
  readonly outputType: TypeInformation
  readonly nonParallel?: boolean
  /** By logical input: one list, or two for operators with two inputs. */
  readonly inputs?: readonly (readonly Upstream[])[]
}

/** Chained if the graph allows it: unequal parallelism turns it into REBALANCE. */
export const forward: PartitionerSpec = { kind: 'FORWARD', explicit: false }

/** Collects the nodes of one program, numbered in order of creation, so that every execution of it numbers them the same. */
export class StreamGraphBuilder {
  readonly nodes: StreamNode[] = []
  /** Decided when the graph is finished: batch or streaming may depend on all sources. */
  runtimeMode: 'STREAMING' | 'BATCH' = 'STREAMING'
  private finished = false

  add(node: NewNode): StreamNode {
    if (this.finished) throw new FlinkError('INVALID_PROGRAM', `operator '${node.name}' is added after the job's graph was built`)
    const inputs = (node.inputs ?? []).flatMap((upstreams, input) => upstreams.map(upstream => this.edge(upstream, input, node.name)))
    const added: StreamNode = {
      id: this.nodes.length + 1,
      name: node.name,
      uid: undefined,
      kind: node.kind,
      parallelism: undefined,
      nonParallel: node.nonParallel ?? false,
      maxParallelism: undefined,
      slotSharingGroup: undefined,
      chaining: 'always',
      inputs,
      outputType: node.outputType,
      sideOutputs: new Map(),
      definition: node.definition,
    }
    this.nodes.push(added)
    return added
  }

  isRead(node: StreamNode): boolean {
    return this.nodes.some(each => each.inputs.some(edge => edge.source === node.id))
  }

  finish(): void {
    this.finished = true
    const uids = new Map<string, StreamNode>()
    for (const node of this.nodes) {
      if (node.uid === undefined) continue
      const other = uids.get(node.uid)
      if (other !== undefined)
        throw new FlinkError('INVALID_PROGRAM', `uid '${node.uid}' is given to two operators: '${other.name}' and '${node.name}'`)
      uids.set(node.uid, node)
    }
  }

  private edge(upstream: Upstream, input: number, name: string): StreamEdge {
    if (this.nodes[upstream.node.id - 1] !== upstream.node)
      throw new FlinkError('INVALID_PROGRAM', `operator '${name}' reads a stream of another environment`)
    return { source: upstream.node.id, tag: upstream.tag, input, partitioner: upstream.partitioner }
  }
}
