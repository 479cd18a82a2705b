import type { StreamNode } from '../graph/stream-graph.ts'
import { disableChaining, setMaxParallelism, setName, setParallelism, setSlotSharingGroup, setUid } from './node-settings.ts'

/** The end of a stream: nothing reads on, its node can still be named and tuned. */
export class DataStreamSink<_T> {
  /** Part of the graph; the engine's, not the program's. */
  readonly node: StreamNode
  readonly name = setName
  readonly uid = setUid
  readonly setParallelism = setParallelism
  readonly setMaxParallelism = setMaxParallelism
  readonly slotSharingGroup = setSlotSharingGroup
  readonly disableChaining = disableChaining

  constructor(node: StreamNode) {
    this.node = node
  }
}
