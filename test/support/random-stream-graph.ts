import fc from 'fast-check'
import type { PartitionerKind, StreamGraph } from '../../runtime/graph/stream-graph.ts'
import { type NodeHandle, type NodeSettings, StreamGraphBuilder } from './stream-graph-builder.ts'

const partitioners = [
  'FORWARD',
  'HASH',
  'REBALANCE',
  'RESCALE',
  'SHUFFLE',
  'BROADCAST',
  'GLOBAL',
  'CUSTOM',
] as const satisfies readonly PartitionerKind[]

const settings: fc.Arbitrary<NodeSettings> = fc.record(
  {
    parallelism: fc.integer({ min: 1, max: 6 }),
    slotSharingGroup: fc.constantFrom('default', 'red', 'blue'),
    chaining: fc.constantFrom('always', 'head', 'never'),
    nonParallel: fc.constant(false),
  },
  { requiredKeys: [] },
)

const input = fc.record({ pick: fc.nat(), partitioner: fc.constantFrom(...partitioners), side: fc.boolean() })

/** Graphs of 1 to 3 sources and 1 to 8 operators: unions, diamonds, two-input operators, side outputs, every partitioner. */
export function randomStreamGraph(): fc.Arbitrary<StreamGraph> {
  return fc
    .record({
      sources: fc.array(settings, { minLength: 1, maxLength: 3 }),
      operators: fc.array(
        fc.record({ settings, inputs: fc.array(input, { minLength: 1, maxLength: 3 }), twoInputs: fc.boolean(), sink: fc.boolean() }),
        {
          minLength: 1,
          maxLength: 8,
        },
      ),
      chainingEnabled: fc.boolean(),
    })
    .map(({ sources, operators, chainingEnabled }) => {
      const graph = new StreamGraphBuilder()
      const handles: NodeHandle[] = sources.map((source, i) => graph.source(`source ${i}`, { ...source, sideOutputs: ['late'] }))
      for (const [i, operator] of operators.entries()) {
        const inputs = operator.inputs.map(({ pick, partitioner, side }, position) => ({
          from: handles[pick % handles.length] as NodeHandle,
          partitioner,
          ...(side ? { tag: 'late' } : {}),
          input: operator.twoInputs && position === 1 ? 1 : 0,
        }))
        const own = { ...operator.settings, sideOutputs: ['late'] }
        if (operator.sink) graph.sink(`sink ${i}`, inputs, own)
        else handles.push(graph.operator('map', `map ${i}`, inputs, own))
      }
      return graph.build({ chainingEnabled })
    })
}
