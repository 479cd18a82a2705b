import { expect, test } from 'vitest'
import { createFakeEnumerator, simJobGraph } from '../../test/support/sim-cluster.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { noLog } from '../common/log.ts'
import type { SplitEnumeratorFactory } from '../stream/spi/source.ts'
import { SourceCoordinators } from './source-coordinators.ts'

test('what an enumerator counts and gauges is its operator’s, at the vertex of its source alone', async () => {
  const jobGraph = simJobGraph('job', [
    { name: 'source', parallelism: 1, splits: 3 },
    { name: 'sink', parallelism: 1 },
  ])
  let age = 0
  const counting: SplitEnumeratorFactory = (options, context, restored) => {
    context.metrics.counter('partitionDiscoveryFailures').inc(2)
    context.metrics.gauge('lastPartitionDiscoveryAgeMs', () => age)
    return createFakeEnumerator(options, context, restored)
  }
  const coordinators = new SourceCoordinators({
    jobGraph,
    enumerators: { fake: counting },
    clock: new SimulatedClock(),
    log: noLog,
    send: () => {},
    fail: error => {
      throw error
    },
  })
  coordinators.start()
  age = 7
  const [source, sink] = jobGraph.vertices
  const operatorId = source?.operators[0]?.operatorId ?? ''
  expect(coordinators.metricsOf(source?.id ?? '')).toEqual({ [operatorId]: { partitionDiscoveryFailures: 2, lastPartitionDiscoveryAgeMs: 7 } })
  expect(coordinators.metricsOf(sink?.id ?? '')).toEqual({})
  await coordinators.close()
})
