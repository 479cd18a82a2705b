import { assert } from '../../common/assert.ts'
import type { ByteReader } from '../../common/bytes.ts'
import { ColumnsKeyHasher } from '../../network/columns-hash.ts'
import type { ColumnLayout } from '../../serde/columns-type.ts'
import type { TypeInformation, TypeJson } from '../../serde/type-information.ts'
import { typeFromJson } from '../../serde/types.ts'
import type { ChangedRows } from '../../state/changed-rows.ts'
import type { KeyedPart } from '../../state/keyed-part.ts'
import type { SegmentWriter } from '../../state/segment-writer.ts'
import type { StateSchema } from '../../state/snapshot.ts'

/** The rows of one window or slice, numbered 0, 1, 2, …: key columns, then those of accumulators. Rows change and are added; they never go one by one. */
export interface WindowTable {
  readonly count: number
  readonly changes: ChangedRows
  rows(from: number, to: number): Iterable<readonly unknown[]>
}

/** The tables of an operator by the ends of their windows. */
export interface WindowTables {
  /** Whether tables are to mark what changes. */
  tracks: boolean
  /** To read some of a table's rows costs as much as to read all of them. */
  readonly readsWhole: boolean
  readonly rowCount: number
  ends(): readonly number[]
  find(end: number): WindowTable | undefined
  /** Rows of keys that are not there yet; they are not marked. */
  load(end: number, rows: readonly (readonly unknown[])[]): void
}

/**
 * Windows or slices as part of snapshots. A record is the end of a window and a row; or, when a window is gone, its end alone, once for each key group that
 * has rows.
 */
export class WindowSnapshots implements KeyedPart<RowsOfCheckpoint> {
  readonly schemas: readonly StateSchema[]
  private readonly tables: WindowTables
  private readonly type: TypeInformation
  private readonly hasher: ColumnsKeyHasher
  private readonly keyCount: number
  private readonly maxParallelism: number
  /** 1 = some segment has rows of the key group. */
  private readonly keyGroups: Uint8Array
  /** Ends of windows of which some segment has rows. */
  private readonly saved = new Set<number>()
  /** Of these, the ones that are gone. */
  private gone: number[] = []
  private base: { readonly ends: readonly number[]; at: number; from: number } | undefined = undefined
  /** Of the base, since the last checkpoint. */
  private baseRanges: Range[] = []
  /** Of the key group that is being restored: by window, by key. */
  private restored = new Map<number, Map<string, readonly unknown[]>>()

  constructor(name: string, tables: WindowTables, keyLayouts: readonly ColumnLayout[], rowType: TypeJson, maxParallelism: number) {
    this.schemas = [{ name, kind: 'aggregating', type: rowType, namespace: { kind: 'DOUBLE' } }]
    this.tables = tables
    this.type = typeFromJson(rowType)
    this.keyCount = keyLayouts.length
    this.hasher = new ColumnsKeyHasher(
      keyLayouts,
      keyLayouts.map((_, i) => i),
    )
    this.maxParallelism = maxParallelism
    this.keyGroups = new Uint8Array(maxParallelism)
  }

  get tracks(): boolean {
    return this.tables.tracks
  }

  set tracks(tracks: boolean) {
    this.tables.tracks = tracks
  }

  get rowCount(): number {
    return this.tables.rowCount
  }

  get changedCount(): number {
    let count = 0
    for (const end of this.tables.ends()) count += this.tables.find(end)?.changes.count ?? 0
    return count
  }

  /** The window's table is gone. */
  drop(end: number): void {
    if (this.saved.has(end)) this.gone.push(end)
  }

  writeAll(out: SegmentWriter, begins: boolean): void {
    if (begins) this.saved.clear()
    for (const end of this.tables.ends()) {
      const table = this.table(end)
      for (const row of table.rows(0, table.count)) this.write(end, row, out, begins)
      if (begins) table.changes.clear()
    }
    if (!begins) return
    this.gone = []
    this.baseRanges = []
  }

  writeChanged(out: SegmentWriter): RowsOfCheckpoint {
    const { gone, baseRanges } = this
    for (const end of gone) {
      for (let keyGroup = 0; keyGroup < this.maxParallelism; keyGroup++) if (this.keyGroups[keyGroup] === 1) out.record(0, true, keyGroup).f64(end)
      this.saved.delete(end)
    }
    const changed = new Map<number, Int32Array>()
    for (const end of this.tables.ends()) {
      const table = this.table(end)
      if (!table.changes.isAny) continue
      const rows = table.changes.take()
      this.writeRows(end, table, rows, out)
      changed.set(end, rows)
    }
    this.gone = []
    this.baseRanges = []
    return { gone, changed, baseRanges }
  }

  beginBase(): void {
    this.base = { ends: this.tables.ends(), at: 0, from: 0 }
  }

  writeBase(out: SegmentWriter, sizeMax: number): boolean {
    const { base, tables } = this
    assert(base !== undefined, 'a base is begun before it is written')
    for (; base.at < base.ends.length; base.at++, base.from = 0) {
      const end = base.ends[base.at] as number
      const table = tables.find(end)
      while (table !== undefined && base.from < table.count) {
        if (out.size >= sizeMax) return false
        const to = tables.readsWhole ? table.count : Math.min(table.count, base.from + ROWS_PER_READ)
        let at = base.from
        for (const row of table.rows(base.from, to)) if (table.changes.flags[at++] !== 1) this.write(end, row, out, true)
        this.baseRanges.push({ end, from: base.from, to })
        base.from = to
      }
    }
    this.endBase()
    return true
  }

  endBase(): void {
    this.base = undefined
  }

  markAgain({ gone, changed, baseRanges }: RowsOfCheckpoint): void {
    for (const end of gone) {
      if (!this.gone.includes(end)) this.gone.push(end)
      this.saved.add(end)
    }
    for (const [end, rows] of changed) {
      const table = this.tables.find(end)
      if (table !== undefined) for (const row of rows) if (row < table.count) table.changes.mark(row)
    }
    for (const { end, from, to } of baseRanges) {
      const table = this.tables.find(end)
      if (table !== undefined) for (let row = from; row < Math.min(to, table.count); row++) table.changes.mark(row)
    }
  }

  restoreRecord(_schema: number, removes: boolean, keyGroup: number, input: ByteReader): void {
    const end = input.f64()
    this.keyGroups[keyGroup] = 1
    if (removes) {
      this.restored.delete(end)
      return
    }
    // Of the row's type, which has columns only.
    const row = this.type.serializer.read(input) as readonly unknown[]
    let rows = this.restored.get(end)
    if (rows === undefined) this.restored.set(end, (rows = new Map()))
    rows.set(rowKeyText(row, this.keyCount), row)
  }

  keyGroupRestored(): void {
    for (const [end, rows] of this.restored) {
      this.saved.add(end)
      this.tables.load(end, [...rows.values()])
    }
    this.restored.clear()
  }

  /** `rows` ascending. Read in runs, because to read a single one costs most of what a few cost. */
  private writeRows(end: number, table: WindowTable, rows: Int32Array, out: SegmentWriter): void {
    for (let first = 0; first < rows.length; ) {
      const from = rows[first] as number
      let last = first
      while (last + 1 < rows.length && (this.tables.readsWhole || isNear(rows[last + 1] as number, rows[last] as number, from))) last++
      let at = from
      for (const row of table.rows(from, (rows[last] as number) + 1)) {
        if (at++ !== rows[first]) continue
        this.write(end, row, out, true)
        first++
      }
    }
  }

  private write(end: number, row: readonly unknown[], out: SegmentWriter, saves: boolean): void {
    const keyGroup = this.hasher.keyGroupOfRow(row, this.maxParallelism)
    const record = out.record(0, false, keyGroup)
    record.f64(end)
    this.type.serializer.write(row, record)
    if (!saves) return
    this.keyGroups[keyGroup] = 1
    this.saved.add(end)
  }

  private table(end: number): WindowTable {
    const table = this.tables.find(end)
    assert(table !== undefined, 'a window that has an end has a table')
    return table
  }
}

interface Range {
  readonly end: number
  readonly from: number
  readonly to: number
}

interface RowsOfCheckpoint {
  readonly gone: readonly number[]
  readonly changed: ReadonlyMap<number, Int32Array>
  readonly baseRanges: readonly Range[]
}

const ROWS_PER_READ = 512
const GAP_MAX = 4

function isNear(row: number, before: number, first: number): boolean {
  return row - before <= GAP_MAX && row - first < ROWS_PER_READ
}

/** Of the first `keyCount` columns; equal for equal keys: NULL is a value, -0 and 0 are two, all NaN are one. */
export function rowKeyText(row: readonly unknown[], keyCount: number): string {
  let text = ''
  for (let i = 0; i < keyCount; i++) text += `${valueText(row[i])},`
  return text
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`
  return Object.is(value, -0) ? '-0' : String(value)
}
