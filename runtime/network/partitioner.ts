/**
 * Which channel of an output edge a row takes. A selector is made per edge and subtask; `channelCount` are the consumers that this
 * subtask reaches (all of them, except for FORWARD and RESCALE). Nothing is allocated per row.
 */
import { assert, unreachable } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import type { Random } from '../common/random.ts'
import { keyGroupOf, subtaskOfKeyGroup } from '../serde/key-groups.ts'
import type { TypeInformation } from '../serde/type-information.ts'

/** Equal to the graph's kinds, which this room may not import. */
export type PartitionerKind = 'FORWARD' | 'HASH' | 'REBALANCE' | 'RESCALE' | 'SHUFFLE' | 'BROADCAST' | 'GLOBAL' | 'CUSTOM'

export interface ChannelSelector {
  /** Every row goes to every channel; `select` is not asked. */
  readonly broadcast: boolean
  select(value: unknown): number
}

export interface SelectorOptions {
  readonly kind: PartitionerKind
  readonly channelCount: number
  /** REBALANCE: where the round begins; SHUFFLE: every row. */
  readonly random: Random
  /** HASH and CUSTOM. */
  readonly key?: { readonly type: TypeInformation; readonly select: (value: unknown) => unknown }
  /** HASH: of the consumer. */
  readonly maxParallelism?: number
  /** CUSTOM. */
  readonly partition?: (key: unknown, channelCount: number) => number
}

export function createSelector(options: SelectorOptions): ChannelSelector {
  const { kind, channelCount, random } = options
  assert(channelCount >= 1, 'an output edge has at least one channel')
  switch (kind) {
    case 'FORWARD':
      assert(channelCount === 1, 'a FORWARD edge has one channel per subtask')
      return firstChannel
    case 'GLOBAL':
      return firstChannel
    case 'BROADCAST':
      return { broadcast: true, select: () => 0 }
    case 'REBALANCE':
      return new RoundRobinSelector(channelCount, random.nextInt(channelCount))
    case 'RESCALE':
      return new RoundRobinSelector(channelCount, 0)
    case 'SHUFFLE':
      return { broadcast: false, select: channelCount === 1 ? () => 0 : () => random.nextInt(channelCount) }
    case 'HASH': {
      const { key, maxParallelism } = options
      assert(key !== undefined && maxParallelism !== undefined, 'a HASH edge has a key and a max parallelism')
      return hashSelector(key.type, key.select, maxParallelism, channelCount)
    }
    case 'CUSTOM': {
      const { key, partition } = options
      assert(key !== undefined && partition !== undefined, 'a CUSTOM edge has a key and a partition function')
      return customSelector(key.select, partition, channelCount)
    }
    default:
      return unreachable(kind)
  }
}

const firstChannel: ChannelSelector = { broadcast: false, select: () => 0 }

class RoundRobinSelector implements ChannelSelector {
  readonly broadcast = false
  private readonly channelCount: number
  private next: number

  constructor(channelCount: number, first: number) {
    this.channelCount = channelCount
    this.next = first
  }

  select(): number {
    const channel = this.next
    this.next = channel + 1 === this.channelCount ? 0 : channel + 1
    return channel
  }
}

function hashSelector(type: TypeInformation, select: (value: unknown) => unknown, maxParallelism: number, channelCount: number): ChannelSelector {
  const channelOfGroup = new Uint16Array(maxParallelism)
  for (let group = 0; group < maxParallelism; group++) channelOfGroup[group] = subtaskOfKeyGroup(group, maxParallelism, channelCount)
  return { broadcast: false, select: value => channelOfGroup[keyGroupOf(type, select(value), maxParallelism)]! }
}

function customSelector(
  select: (value: unknown) => unknown,
  partition: (key: unknown, channelCount: number) => number,
  channelCount: number,
): ChannelSelector {
  return {
    broadcast: false,
    select: value => {
      const channel = partition(select(value), channelCount)
      if (!(Number.isInteger(channel) && channel >= 0 && channel < channelCount)) {
        throw new FlinkError(
          'USER_FUNCTION',
          `the partition function answered ${String(channel)} where an integer from 0 to ${channelCount - 1} is wanted`,
          { channelCount },
        )
      }
      return channel
    },
  }
}
