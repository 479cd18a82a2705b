import { unreachable } from '../common/assert.ts'
import type { PartitionerKind } from './stream-graph.ts'

/** Which subtasks an edge connects. POINTWISE edges keep to neighbours; ALL_TO_ALL connects each producer with each consumer. */
export type DistributionPattern = 'POINTWISE' | 'ALL_TO_ALL'

export function distributionPattern(partitioner: PartitionerKind): DistributionPattern {
  switch (partitioner) {
    case 'FORWARD':
    case 'RESCALE':
      return 'POINTWISE'
    case 'HASH':
    case 'REBALANCE':
    case 'SHUFFLE':
    case 'BROADCAST':
    case 'GLOBAL':
    case 'CUSTOM':
      return 'ALL_TO_ALL'
    default:
      return unreachable(partitioner)
  }
}

/** Consumer subtasks that one producer subtask sends to, ascending. */
export function consumersOf(partitioner: PartitionerKind, producer: number, producers: number, consumers: number): readonly number[] {
  if (distributionPattern(partitioner) === 'ALL_TO_ALL') return range(0, consumers)
  // With more producers than consumers, consumer c owns producers [c*P/C, (c+1)*P/C); else producer p owns consumers [p*C/P, (p+1)*C/P), rounded up.
  if (producers >= consumers) {
    let consumer = Math.floor((producer * consumers) / producers)
    while (Math.floor(((consumer + 1) * producers) / consumers) <= producer) consumer++
    return [consumer]
  }
  return range(Math.ceil((producer * consumers) / producers), Math.ceil(((producer + 1) * consumers) / producers))
}

/** Producer subtasks that one consumer subtask reads from, ascending: the inverse of `consumersOf`. */
export function producersOf(partitioner: PartitionerKind, consumer: number, producers: number, consumers: number): readonly number[] {
  if (distributionPattern(partitioner) === 'ALL_TO_ALL') return range(0, producers)
  if (producers >= consumers) return range(Math.floor((consumer * producers) / consumers), Math.floor(((consumer + 1) * producers) / consumers))
  return [Math.floor((consumer * producers) / consumers)]
}

/** Unique within an attempt of its region. */
export function channelId(edgeId: number, producer: number, consumer: number): string {
  return `${edgeId}/${producer}/${consumer}`
}

/** Of a blocking edge: it outlives its producer, which may have run more than once, so it names the execution. */
export function resultChannelId(edgeId: number, producer: number, consumer: number, producerExecutionId: string): string {
  return `${channelId(edgeId, producer, consumer)}@${producerExecutionId}`
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}
