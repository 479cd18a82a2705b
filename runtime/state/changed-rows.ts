/** Which of a table's rows, numbered 0, 1, 2, …, have changed: a flag a row, and a list, so that a change costs a look at the flag. */
export class ChangedRows {
  flags = new Uint8Array(0)
  list = new Int32Array(0)
  count = 0

  /** Room for rows below `rowCount`, for loops that mark by themselves; the arrays may be others afterwards. */
  reserve(rowCount: number): void {
    if (rowCount <= this.flags.length) return
    const length = Math.max(rowCount, this.flags.length * 2, ROWS_MIN)
    const flags = new Uint8Array(length)
    flags.set(this.flags)
    this.flags = flags
    const list = new Int32Array(length)
    list.set(this.list.subarray(0, this.count))
    this.list = list
  }

  mark(row: number): void {
    if (row >= this.flags.length) this.reserve(row + 1)
    if (this.flags[row] !== 0) return
    this.flags[row] = 1
    this.list[this.count++] = row
  }

  /** The marked rows, ascending; none is marked any more. */
  take(): Int32Array {
    const rows = this.list.slice(0, this.count).sort()
    this.clear()
    return rows
  }

  clear(): void {
    const { flags, list } = this
    for (let i = 0; i < this.count; i++) flags[list[i] as number] = 0
    this.count = 0
  }
}

const ROWS_MIN = 64
