import type { JsonObject } from '../../runtime/common/json.ts'
import type { OperatorDefinition, PartitionerKind, StreamGraph, StreamNode } from '../../runtime/graph/stream-graph.ts'
import type { PrimitiveKind, TypeInformation } from '../../runtime/serde/type-information.ts'

/**
 * Builds StreamGraphs for tests of the graph room without the API: `graph.source('words').map('red').keyBy().reduce('sum').sink('print')`.
 * Each method answers the new node's handle; `with` changes what the API's setters would change.
 */
export interface NodeSettings {
  parallelism?: number
  maxParallelism?: number
  nonParallel?: boolean
  slotSharingGroup?: string
  chaining?: StreamNode['chaining']
  uid?: string
  outputType?: TypeInformation
  sideOutputs?: readonly string[]
  definition?: Partial<OperatorDefinition>
}

export interface Input {
  readonly from: NodeHandle
  readonly partitioner?: PartitionerKind
  readonly explicit?: boolean
  readonly tag?: string
  readonly input?: number
}

export function primitiveType(kind: PrimitiveKind): TypeInformation {
  const refuse = () => {
    throw new Error('serializers of test types are never called')
  }
  return { json: { kind }, serializer: { write: refuse, read: refuse }, toString: () => kind }
}

const stringType = primitiveType('STRING')

export class StreamGraphBuilder {
  readonly nodes: StreamNode[] = []

  source(name: string, settings: NodeSettings = {}, source: JsonObject = { enumerator: 'test', options: {}, bounded: true }): NodeHandle {
    return this.add('source', 'source:test', name, [], { ...settings, definition: { source, ...settings.definition } })
  }

  /** Any operator over any inputs: unions (same `input`), two-input operators (0 and 1). */
  operator(type: string, name: string, inputs: readonly Input[], settings: NodeSettings = {}): NodeHandle {
    return this.add('operator', type, name, inputs, settings)
  }

  sink(name: string, inputs: readonly Input[], settings: NodeSettings = {}): NodeHandle {
    return this.add('sink', 'sink:test', name, inputs, settings)
  }

  build(settings: Partial<StreamGraph> = {}): StreamGraph {
    return {
      nodes: this.nodes,
      jobName: 'test job',
      runtimeMode: 'STREAMING',
      chainingEnabled: true,
      parallelism: undefined,
      maxParallelism: undefined,
      configuration: {},
      ...settings,
    }
  }

  private add(kind: StreamNode['kind'], type: string, name: string, inputs: readonly Input[], settings: NodeSettings): NodeHandle {
    const node: StreamNode = {
      id: this.nodes.length + 1,
      name,
      uid: settings.uid,
      kind,
      parallelism: settings.parallelism,
      nonParallel: settings.nonParallel ?? false,
      maxParallelism: settings.maxParallelism,
      slotSharingGroup: settings.slotSharingGroup,
      chaining: settings.chaining ?? 'always',
      inputs: inputs.map(({ from, partitioner = 'FORWARD', explicit = false, tag, input = 0 }) => ({
        source: from.node.id,
        tag,
        input,
        partitioner: {
          kind: partitioner,
          explicit,
          ...(partitioner === 'HASH' || partitioner === 'CUSTOM'
            ? { key: { type: stringType, select: (value: never) => value, description: 'field word' } }
            : {}),
        },
      })),
      outputType: settings.outputType ?? stringType,
      sideOutputs: new Map((settings.sideOutputs ?? []).map(tag => [tag, stringType])),
      definition: { type, options: {}, functions: [], states: [], factory: undefined, ...settings.definition },
    }
    this.nodes.push(node)
    return new NodeHandle(this, node)
  }
}

export class NodeHandle {
  readonly graph: StreamGraphBuilder
  readonly node: StreamNode

  constructor(graph: StreamGraphBuilder, node: StreamNode) {
    this.graph = graph
    this.node = node
  }

  map(name: string, settings: NodeSettings & Omit<Input, 'from'> = {}): NodeHandle {
    return this.graph.operator('map', name, [{ ...settings, from: this }], settings)
  }

  /** keyBy and a keyed operator: one HASH edge. */
  keyed(name: string, settings: NodeSettings = {}): NodeHandle {
    return this.graph.operator('reduce', name, [{ from: this, partitioner: 'HASH' }], settings)
  }

  sink(name: string, settings: NodeSettings & Omit<Input, 'from'> = {}): NodeHandle {
    return this.graph.sink(name, [{ ...settings, from: this }], settings)
  }
}
