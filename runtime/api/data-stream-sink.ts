import type { StreamNode } from '../graph/stream-graph.ts'
import { setNodeMaxParallelism, setNodeName, setNodeParallelism, setNodeSlotSharingGroup, setNodeUid } from './node-settings.ts'

/** The end of a stream: nothing reads on, its node can still be named and tuned. */
export class DataStreamSink<_T> {
  private readonly node: StreamNode

  constructor(node: StreamNode) {
    this.node = node
  }

  name(name: string): this {
    setNodeName(this.node, name)
    return this
  }

  uid(uid: string): this {
    setNodeUid(this.node, uid)
    return this
  }

  setParallelism(parallelism: number): this {
    setNodeParallelism(this.node, parallelism)
    return this
  }

  setMaxParallelism(maxParallelism: number): this {
    setNodeMaxParallelism(this.node, maxParallelism)
    return this
  }

  slotSharingGroup(group: string): this {
    setNodeSlotSharingGroup(this.node, group)
    return this
  }

  disableChaining(): this {
    this.node.chaining = 'never'
    return this
  }
}
