/**
 * Which channel of an output edge a row takes. A selector is made per edge and subtask; `channelCount` are the consumers that this
 * subtask reaches (all of them, except for FORWARD and RESCALE). Nothing is allocated per row.
 */
import { assert, unreachable } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import type { Random } from '../common/random.ts'
import { keyGroupOf, murmurHash, subtaskOfKeyGroup } from '../serde/key-groups.ts'
import type { RowLayout } from '../serde/row-layout.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import type { LocalFrame } from './columns.ts'
import { ColumnsKeyHasher } from './columns-hash.ts'
import { objectRowsOf } from './columns-rows.ts'

/** Equal to the graph's kinds, which this room may not import. */
export type PartitionerKind = 'FORWARD' | 'HASH' | 'REBALANCE' | 'RESCALE' | 'SHUFFLE' | 'BROADCAST' | 'GLOBAL' | 'CUSTOM'

export interface ChannelSelector {
  /** Every row goes to every channel; `select` is not asked. */
  readonly broadcast: boolean
  select(value: unknown): number
  /**
   * The channel that all rows of the frame take; or -1, and `targets` has the channel of each row. The two rows of an update stay together.
   */
  selectFrame(frame: LocalFrame, targets: Int32Array): number
}

export interface SelectorOptions {
  readonly kind: PartitionerKind
  readonly channelCount: number
  /** REBALANCE: where the round begins; SHUFFLE: every row. */
  readonly random: Random
  /** HASH and CUSTOM. */
  readonly key?: {
    readonly type: TypeInformation
    readonly select: (value: unknown) => unknown
    /** HASH: the key's columns, where it is made of columns; then frames are hashed by columns-hash.ts, which gives what `select` gives. */
    readonly columns?: readonly number[]
  }
  /** Of an edge whose type has a columnar form. */
  readonly layout?: RowLayout
  /** Rows of SQL: their null keys are a group of its own, and `select` is not asked. */
  readonly isSql?: boolean
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
      return { broadcast: true, select: () => 0, selectFrame: () => 0 }
    case 'REBALANCE':
      return new RoundRobinSelector(channelCount, random.nextInt(channelCount))
    case 'RESCALE':
      return new RoundRobinSelector(channelCount, 0)
    case 'SHUFFLE':
      return channelCount === 1 ? firstChannel : new ShuffleSelector(channelCount, random)
    case 'HASH': {
      const { key, maxParallelism } = options
      assert(key !== undefined && maxParallelism !== undefined, 'a HASH edge has a key and a max parallelism')
      const { layout } = options
      const byRow = hashSelector(key.type, key.select, maxParallelism, channelCount, layout)
      if (key.columns === undefined || layout === undefined) return byRow
      const hasher = new ColumnsKeyHasher(layout.columns, key.columns)
      return options.isSql === true
        ? new ColumnsHashSelector(hasher, maxParallelism, channelCount)
        : new KeyColumnsSelector(hasher, key.columns, maxParallelism, channelCount, byRow)
    }
    case 'CUSTOM': {
      const { key, partition } = options
      assert(key !== undefined && partition !== undefined, 'a CUSTOM edge has a key and a partition function')
      return customSelector(key.select, partition, channelCount, options.layout)
    }
    default:
      return unreachable(kind)
  }
}

const firstChannel: ChannelSelector = { broadcast: false, select: () => 0, selectFrame: () => 0 }

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

  /** A run of rows to each channel, as many as row by row, so that they can be copied in one piece. */
  selectFrame(frame: LocalFrame, targets: Int32Array): number {
    const { channelCount } = this
    const { length, rowKinds } = frame
    if (channelCount === 1) return 0
    const longer = length % channelCount
    const size = (length - longer) / channelCount
    let row = 0
    for (let i = 0, due = 0; i < channelCount; i++) {
      due += i < longer ? size + 1 : size
      const splitsUpdate =
        rowKinds !== undefined && due > row && due < length && rowKinds[due - 1] === UPDATE_BEFORE && rowKinds[due] === UPDATE_AFTER
      const end = Math.max(row, splitsUpdate ? due + 1 : due)
      targets.fill((this.next + i) % channelCount, row, end)
      row = end
    }
    this.next = (this.next + longer) % channelCount
    return -1
  }
}

class ShuffleSelector implements ChannelSelector {
  readonly broadcast = false
  private readonly channelCount: number
  private readonly random: Random

  constructor(channelCount: number, random: Random) {
    this.channelCount = channelCount
    this.random = random
  }

  select(): number {
    return this.random.nextInt(this.channelCount)
  }

  selectFrame({ length, rowKinds }: LocalFrame, targets: Int32Array): number {
    for (let row = 0; row < length; row++) {
      const second = rowKinds !== undefined && row > 0 && rowKinds[row] === UPDATE_AFTER && rowKinds[row - 1] === UPDATE_BEFORE
      targets[row] = second ? targets[row - 1]! : this.random.nextInt(this.channelCount)
    }
    return -1
  }
}

const UPDATE_BEFORE = 1
const UPDATE_AFTER = 2

class ColumnsHashSelector implements ChannelSelector {
  readonly broadcast = false
  private readonly hasher: ColumnsKeyHasher
  private readonly maxParallelism: number
  private readonly channelCount: number
  private readonly channelOfGroup: Uint16Array
  private readonly channels: RecentChannels

  constructor(hasher: ColumnsKeyHasher, maxParallelism: number, channelCount: number) {
    this.hasher = hasher
    this.maxParallelism = maxParallelism
    this.channelCount = channelCount
    this.channelOfGroup = channelsOfGroups(maxParallelism, channelCount)
    this.channels = new RecentChannels(this.channelOfGroup[murmurHash(0) % maxParallelism]!)
  }

  select(value: unknown): number {
    // A row of a columnar edge is an array; anything else fails where it is encoded.
    return this.channelOfGroup[this.hasher.keyGroupOfRow(value as readonly unknown[], this.maxParallelism)]!
  }

  selectFrame(frame: LocalFrame, targets: Int32Array): number {
    if (this.channelCount === 1) return 0
    this.hasher.hashes(frame, targets)
    this.channels.ofHashes(targets, frame.length, this.maxParallelism, this.channelOfGroup)
    return -1
  }
}

/** Channels of hashes that came a short while ago, by their last bits: what murmur3 and the division by the max parallelism cost, keys that come often cost once. */
class RecentChannels {
  private readonly hashes = new Int32Array(RECENT_HASHES)
  private readonly channels = new Uint16Array(RECENT_HASHES)

  /** `channelOfZero` is that of the hash 0, which empty places hold. */
  constructor(channelOfZero: number) {
    this.channels.fill(channelOfZero)
  }

  /** In place. */
  ofHashes(hashes: Int32Array, length: number, maxParallelism: number, channelOfGroup: Uint16Array): void {
    const { hashes: known, channels } = this
    for (let row = 0; row < length; row++) {
      const hash = hashes[row]!
      const place = hash & (RECENT_HASHES - 1)
      if (known[place] !== hash) {
        known[place] = hash
        channels[place] = channelOfGroup[murmurHash(hash) % maxParallelism]!
      }
      hashes[row] = channels[place]!
    }
  }
}

/** 24 KiB of a core's first cache. */
const RECENT_HASHES = 4096

/** Tuples and rows keyed by fields: rows by the key, frames by the key's columns; a null key is refused by `byRow`. */
class KeyColumnsSelector implements ChannelSelector {
  readonly broadcast = false
  private readonly byColumns: ColumnsHashSelector
  private readonly byRow: ChannelSelector
  private readonly columns: readonly number[]

  constructor(hasher: ColumnsKeyHasher, columns: readonly number[], maxParallelism: number, channelCount: number, byRow: ChannelSelector) {
    this.byColumns = new ColumnsHashSelector(hasher, maxParallelism, channelCount)
    this.byRow = byRow
    this.columns = columns
  }

  select(value: unknown): number {
    return this.byRow.select(value)
  }

  selectFrame(frame: LocalFrame, targets: Int32Array): number {
    for (const column of this.columns) if (frame.columns[column]!.validity !== undefined) return this.byRow.selectFrame(frame, targets)
    return this.byColumns.selectFrame(frame, targets)
  }
}

function channelsOfGroups(maxParallelism: number, channelCount: number): Uint16Array {
  const channelOfGroup = new Uint16Array(maxParallelism)
  for (let group = 0; group < maxParallelism; group++) channelOfGroup[group] = subtaskOfKeyGroup(group, maxParallelism, channelCount)
  return channelOfGroup
}

function hashSelector(
  type: TypeInformation,
  select: (value: unknown) => unknown,
  maxParallelism: number,
  channelCount: number,
  layout: RowLayout | undefined,
): ChannelSelector {
  const channelOfGroup = channelsOfGroups(maxParallelism, channelCount)
  return rowSelector(value => channelOfGroup[keyGroupOf(type, select(value), maxParallelism)]!, layout)
}

/** A function of the row decides: rows are made of a frame to ask it. */
function rowSelector(select: (value: unknown) => number, layout: RowLayout | undefined): ChannelSelector {
  return {
    broadcast: false,
    select,
    selectFrame: (frame, targets) => {
      assert(layout !== undefined, 'frames come on edges whose type has a columnar form')
      for (const [i, row] of objectRowsOf(frame, layout).entries()) targets[i] = select(row)
      return -1
    },
  }
}

function customSelector(
  select: (value: unknown) => unknown,
  partition: (key: unknown, channelCount: number) => number,
  channelCount: number,
  layout: RowLayout | undefined,
): ChannelSelector {
  return rowSelector(value => {
    const channel = partition(select(value), channelCount)
    if (!(Number.isInteger(channel) && channel >= 0 && channel < channelCount)) {
      throw new FlinkError(
        'USER_FUNCTION',
        `the partition function answered ${String(channel)} where an integer from 0 to ${channelCount - 1} is wanted`,
        { channelCount },
      )
    }
    return channel
  }, layout)
}
