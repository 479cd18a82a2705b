import type { BytesColumn } from './columns.ts'

/** Bytes of long values are copied by the runtime, of short ones by a loop: a view to copy from costs as much as the loop. */
export const LOOP_COPY_MAX = 96

/** The exchange's inner loops: rows `order[from..to)` of a column to `at`.. of another. Free functions, one kind of array each. */

export function gatherBytes(target: Uint8Array, at: number, source: Uint8Array, order: Int32Array, from: number, to: number): void {
  for (let i = from, t = at; i < to; i++, t++) target[t] = source[order[i]!]!
}

export function gatherInt32(target: Int32Array, at: number, source: Int32Array, order: Int32Array, from: number, to: number): void {
  for (let i = from, t = at; i < to; i++, t++) target[t] = source[order[i]!]!
}

export function gatherFloat64(target: Float64Array, at: number, source: Float64Array, order: Int32Array, from: number, to: number): void {
  for (let i = from, t = at; i < to; i++, t++) target[t] = source[order[i]!]!
}

export function gatherInt64(target: Int32Array, at: number, source: Int32Array, order: Int32Array, from: number, to: number): void {
  for (let i = from, t = at * 2; i < to; i++, t += 2) {
    const s = order[i]! * 2
    target[t] = source[s]!
    target[t + 1] = source[s + 1]!
  }
}

/** Answers the end of the bytes written. */
export function gatherText(
  data: Uint8Array,
  view: DataView,
  starts: Int32Array,
  lengths: Int32Array,
  at: number,
  dataAt: number,
  column: BytesColumn,
  source: DataView,
  order: Int32Array,
  from: number,
  to: number,
): number {
  const { validity } = column
  let out = dataAt
  for (let i = from, t = at; i < to; i++, t++) {
    const row = order[i]!
    starts[t] = out
    if (validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0) {
      lengths[t] = 0
      continue
    }
    const length = column.lengths[row]!
    lengths[t] = length
    let s = column.starts[row]!
    if (length > LOOP_COPY_MAX) {
      data.set(column.data.subarray(s, s + length), out)
      out += length
      continue
    }
    const end = out + length
    // Eight bytes a step, as two words: no bigint, no NaN that might be changed. bench: bench/micro/columns.ts, 3x
    for (const last = end - 8; out <= last; out += 8, s += 8) {
      const low = source.getInt32(s, true)
      const high = source.getInt32(s + 4, true)
      view.setInt32(out, low, true)
      view.setInt32(out + 4, high, true)
    }
    for (; out < end; out++, s++) view.setUint8(out, source.getUint8(s))
  }
  return out
}
