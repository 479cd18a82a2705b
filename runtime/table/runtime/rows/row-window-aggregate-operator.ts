import { ByteReader, ByteWriter } from '../../../common/bytes.ts'
import { ColumnsKeyHasher } from '../../../network/columns-hash.ts'
import { columnLayout } from '../../../serde/columns-type.ts'
import type { TypeJson } from '../../../serde/type-information.ts'
import { typeFromJson } from '../../../serde/types.ts'
import type { OperatorSnapshot } from '../../../state/snapshot.ts'
import { BaseOperator } from '../../../stream/operators/base-operator.ts'
import { progressLists, restoredProgress } from '../../../stream/operators/window-progress.ts'
import { MIN_WATERMARK } from '../../../time/watermark.ts'
import type { AggregateCall, LocalWindowAggregateNode, WindowAggregateNode, WindowSpec } from '../../plan/physical.ts'
import { accumulatorTypes } from '../accumulators.ts'
import { nullRowtime } from '../slice-tables.ts'
import { sliceEndOf, slicingOf } from '../slices.ts'
import { type Partial, type RowAggregate, rowAggregate } from './row-aggregates.ts'

/** Aggregates before the exchange, a row at a time: each row is the partial result of itself. Nothing is kept. */
export class RowLocalWindowAggregateOperator extends BaseOperator {
  private readonly node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'>
  private readonly aggregates: readonly RowAggregate[]
  private readonly sliceEnd: (time: number) => number

  constructor(node: Pick<LocalWindowAggregateNode, 'keys' | 'aggregates' | 'rowtime'> & { window: WindowSpec }) {
    super()
    this.node = node
    this.aggregates = node.aggregates.map(rowAggregate)
    const slicing = slicingOf(node.window)
    this.sliceEnd = time => sliceEndOf(slicing, time)
  }

  processElement(value: unknown): void {
    const row = value as readonly unknown[]
    const { keys, aggregates, rowtime } = this.node
    const time = row[rowtime]
    if (typeof time !== 'number') throw nullRowtime()
    const partials = aggregates.flatMap((call, i) => partialOf(this.aggregates[i]!, call, row))
    this.output.collect([...keys.map(key => row[key]), ...partials, this.sliceEnd(time)], Number.NaN)
  }
}

interface Group {
  readonly key: readonly unknown[]
  partials: readonly Partial[]
}

/**
 * GROUP BY keys and a window of event time, a row at a time: a row is added to every window that holds it and has not fired; none is left:
 * it is late. Windows fire in order of their ends, groups in order of their first rows.
 *
 * With `merges` the rows are partial results: keys, accumulators, slice end. A slice lies in the windows that hold its last millisecond.
 */
export class RowWindowAggregateOperator extends BaseOperator {
  private readonly node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'> & { readonly window: WindowSpec }
  private readonly inputTypes: readonly string[]
  private readonly aggregates: readonly RowAggregate[]
  /** By window end. */
  private readonly windows = new Map<number, Map<string, Group>>()
  /** Windows up to here have fired, maybe before a restore, when the watermark of now is behind it. */
  private firedWatermark = MIN_WATERMARK
  private firing: { readonly end: number; readonly groups: readonly Group[]; next: number } | undefined
  private late: { inc(count?: number): void } = { inc: () => {} }

  constructor(
    node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'> & { window: WindowSpec },
    inputTypes: readonly string[],
  ) {
    super()
    this.node = node
    this.inputTypes = inputTypes
    this.aggregates = node.aggregates.map(rowAggregate)
  }

  override open(): void {
    this.late = this.context.metrics.counter('numLateRecordsDropped')
  }

  processElement(value: unknown): void {
    const row = value as readonly unknown[]
    const { keys, aggregates, rowtime, merges, window } = this.node
    const time = row[rowtime]
    if (typeof time !== 'number') throw nullRowtime()
    const ends = windowEnds(window, merges ? time - 1 : time)
    const watermark = Math.max(this.currentWatermark, this.firedWatermark)
    const open = ends.filter(end => end - 1 > watermark)
    if (open.length === 0 && ends.length > 0) this.late.inc()
    let next = keys.length
    const partials = aggregates.map((call, i) => {
      if (!merges) return partialOf(this.aggregates[i]!, call, row)
      const from = next
      next += accumulatorTypes(call).length
      return row.slice(from, next)
    })
    const key = keys.map(index => row[index])
    for (const end of open) this.add(end, key, partials)
  }

  stateEntries(): number {
    let count = 0
    for (const groups of this.windows.values()) count += groups.size
    return count
  }

  /** Per key group: window end, key and partial results of each group. */
  override snapshot(): OperatorSnapshot {
    const { maxParallelism } = this.context
    const type = typeFromJson(this.groupType())
    const hasher = new ColumnsKeyHasher(
      this.keyTypes().map(columnLayout),
      this.node.keys.map((_, i) => i),
    )
    const writers = new Map<number, ByteWriter>()
    for (const [end, groups] of this.windows)
      for (const { key, partials } of groups.values()) {
        const keyGroup = hasher.keyGroupOfRow(key, maxParallelism)
        const writer = writers.get(keyGroup) ?? new ByteWriter(256)
        writers.set(keyGroup, writer)
        writer.f64(end)
        type.serializer.write([...key, ...partials.flat()], writer)
      }
    const keyGroups = new Map([...writers].map(([keyGroup, writer]) => [keyGroup, writer.copy()] as const))
    const schema = { name: 'window-rows', kind: 'aggregating', type: this.groupType(), namespace: { kind: 'DOUBLE' } } as const
    return { keyed: { keyType: columnsType(this.keyTypes()), schemas: [schema], keyGroups }, lists: progressLists(this.firedWatermark) }
  }

  restore(snapshot: OperatorSnapshot): void {
    this.firedWatermark = restoredProgress(snapshot)
    const type = typeFromJson(this.groupType())
    const keyCount = this.node.keys.length
    for (const bytes of snapshot.keyed?.keyGroups.values() ?? []) {
      const reader = new ByteReader(bytes)
      while (reader.remaining > 0) {
        const end = reader.f64()
        const row = type.serializer.read(reader) as readonly unknown[]
        let next = keyCount
        const partials = this.node.aggregates.map(call => {
          const from = next
          next += accumulatorTypes(call).length
          return row.slice(from, next)
        })
        this.add(end, row.slice(0, keyCount), partials)
      }
    }
  }

  protected override advanceEventTime(watermark: number): boolean {
    for (;;) {
      if (this.firing === undefined) {
        const [end] = [...this.windows.keys()].filter(each => each - 1 <= watermark).sort((a, b) => a - b)
        if (end === undefined) {
          this.firedWatermark = Math.max(this.firedWatermark, watermark)
          return true
        }
        this.firing = { end, groups: [...this.windows.get(end)!.values()], next: 0 }
      }
      const { end, groups } = this.firing
      for (; this.firing.next < groups.length; this.firing.next++) {
        if (this.context.shouldYield()) return false
        this.output.collect(this.resultOf(groups[this.firing.next]!, end), end - 1)
      }
      this.windows.delete(end)
      this.firing = undefined
    }
  }

  private add(end: number, key: readonly unknown[], partials: readonly Partial[]): void {
    const groups = this.windows.get(end) ?? new Map<string, Group>()
    this.windows.set(end, groups)
    const text = key.map(keyText).join()
    const group = groups.get(text)
    if (group === undefined) groups.set(text, { key, partials })
    else group.partials = partials.map((partial, i) => this.aggregates[i]!.merge(group.partials[i]!, partial))
  }

  private resultOf({ key, partials }: Group, end: number): unknown[] {
    const { window, windowColumns } = this.node
    const start = window.kind === 'CUMULATE' ? floorTo(end - 1, window.size, window.offset) : end - window.size
    const times = { window_start: start, window_end: end, window_time: end - 1 }
    return [...key, ...partials.map((partial, i) => this.aggregates[i]!.result(partial)), ...windowColumns.map(column => times[column])]
  }

  private keyTypes(): readonly string[] {
    return this.node.keys.map(key => this.inputTypes[key]!)
  }

  private groupType(): TypeJson {
    return columnsType([...this.keyTypes(), ...this.node.aggregates.flatMap(accumulatorTypes)])
  }
}

function partialOf(aggregate: RowAggregate, call: AggregateCall, row: readonly unknown[]): Partial {
  if (call.filter >= 0 && row[call.filter] !== true) return aggregate.empty
  if (call.argument < 0) return aggregate.of(1)
  const value = row[call.argument]
  return value === null ? aggregate.empty : aggregate.of(value)
}

/** Ends of all windows that hold `time`. */
function windowEnds(window: WindowSpec, time: number): number[] {
  const ends: number[] = []
  if (window.kind === 'CUMULATE') {
    const start = floorTo(time, window.size, window.offset)
    for (let end = start + window.step; end <= start + window.size; end += window.step) if (time < end) ends.push(end)
    return ends
  }
  const slide = window.kind === 'HOP' ? window.slide : window.size
  for (let start = floorTo(time, slide, window.offset); start > time - window.size; start -= slide) ends.push(start + window.size)
  return ends
}

function floorTo(time: number, step: number, offset: number): number {
  return Math.floor((time - offset) / step) * step + offset
}

/** Equal for equal keys: NULL is a value, -0 and 0 are two, all NaN are one. */
function keyText(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`
  return Object.is(value, -0) ? '-0' : String(value)
}

function columnsType(types: readonly string[]): TypeJson {
  return { kind: 'COLUMNS', fields: types.map((type, i) => ({ name: `f${i}`, type })) }
}
