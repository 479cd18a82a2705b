import type { BytesColumn } from './columns.ts'

/**
 * Ids of the rows in a `BytesColumnBuilder`, as long as every column that it gathers from has ids, and they repeat. Each column has a dictionary of its own: its values
 * get the next numbers here, so one value may have several ids, but rows of one id have equal bytes.
 */
export class DictionaryRows {
  private active = false
  private ids = noIds
  private nextId = 0
  // Of the gathering at hand: what a source id became, and per row of it where its bytes will stand.
  private idOfSource = noIds
  private startOfId: number[] = []
  private lengthOfId: number[] = []
  private rowOfNewId: number[] = []
  private firstId = 0

  /** Whether rows from a column with ids keep them; not where rows without ids stand before. */
  begin(count: number): boolean {
    if (count === 0) this.active = true
    return this.active
  }

  end(): void {
    this.active = false
  }

  /**
   * Gives rows `order[from..to)` their ids, as rows `at`.. here; answers the bytes of values that are new, which go to `bytesAt`.. in turn. -1, and the
   * end of the ids, where too few repeat: looking ids up costs more than copying the values then. bench: bench/micro/dictionary.ts
   */
  collect(column: BytesColumn, order: Int32Array, from: number, to: number, at: number, bytesAt: number): number {
    const { lengths, validity } = column
    const source = column.ids ?? noIds
    let idMax = 0
    for (let i = from; i < to; i++) if (source[order[i]!]! > idMax && isSet(validity, order[i]!)) idMax = source[order[i]!]!
    if (this.idOfSource.length <= idMax) this.idOfSource = new Int32Array(2 * (idMax + 1))
    const { idOfSource } = this
    idOfSource.fill(-1, 0, idMax + 1)
    this.room(at + to - from)
    const { ids, startOfId, lengthOfId, rowOfNewId } = this
    this.firstId = this.nextId
    rowOfNewId.length = 0
    startOfId.length = 0
    lengthOfId.length = 0
    let end = bytesAt
    const newMax = (to - from) / ROWS_PER_ID_MIN
    for (let i = from, t = at; i < to; i++, t++) {
      const row = order[i]!
      if (!isSet(validity, row)) {
        // Never read, but encoded with the others.
        ids[t] = -1
        continue
      }
      let id = idOfSource[source[row]!]!
      if (id < 0) {
        if (rowOfNewId.length >= newMax) {
          this.active = false
          return -1
        }
        id = this.nextId++
        idOfSource[source[row]!] = id
        rowOfNewId.push(row)
        startOfId.push(end)
        lengthOfId.push(lengths[row]!)
        end += lengths[row]!
      }
      ids[t] = id
    }
    return end - bytesAt
  }

  /** Where the rows given ids last stand. */
  fill(starts: Int32Array, lengths: Int32Array, count: number, at: number): void {
    const { ids, firstId, startOfId, lengthOfId } = this
    for (let t = at; t < at + count; t++) {
      const id = ids[t]!
      starts[t] = id < 0 ? 0 : startOfId[id - firstId]!
      lengths[t] = id < 0 ? 0 : lengthOfId[id - firstId]!
      if (id < 0) ids[t] = 0
    }
  }

  /** A row of the source for each new value, in the order of their bytes. */
  newRows(): readonly number[] {
    return this.rowOfNewId
  }

  finish(count: number): Int32Array | undefined {
    const ids = this.active && count > 0 ? this.ids.subarray(0, count) : undefined
    if (ids !== undefined) this.ids = noIds
    this.active = false
    this.nextId = 0
    return ids
  }

  /** Ids of a finished column that nobody reads any more. */
  recycle(ids: Int32Array | undefined): void {
    if (ids !== undefined && this.ids.length === 0) this.ids = new Int32Array(ids.buffer as ArrayBuffer)
  }

  private room(count: number): void {
    if (count <= this.ids.length) return
    const ids = new Int32Array(Math.max(count, this.ids.length * 2, ROWS_MIN))
    ids.set(this.ids)
    this.ids = ids
  }
}

const ROWS_MIN = 256
const ROWS_PER_ID_MIN = 4
const noIds = new Int32Array(0)

function isSet(validity: Uint8Array | undefined, row: number): boolean {
  return validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0
}
