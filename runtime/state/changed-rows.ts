/**
 * Which of a table's rows, numbered 0, 1, 2, …, have changed: a flag a row. A change only writes its flag: looking whether it is set already would have the row wait
 * for the cache. Whoever needs the rows, at a barrier, looks at all flags.
 */
export class ChangedRows {
  /** For loops that mark by themselves, behind `reserve`: they set a flag to 1, and `isAny`. */
  flags = new Uint8Array(0)
  isAny = false

  /** Room for rows below `rowCount`; the array may be another one afterwards. */
  reserve(rowCount: number): void {
    if (rowCount <= this.flags.length) return
    const length = Math.max(Math.ceil(rowCount / ROWS_MIN) * ROWS_MIN, this.flags.length * 2)
    const flags = new Uint8Array(length)
    flags.set(this.flags)
    this.flags = flags
  }

  mark(row: number): void {
    if (row >= this.flags.length) this.reserve(row + 1)
    this.flags[row] = 1
    this.isAny = true
  }

  /** How many are marked; looks at all. */
  get count(): number {
    let count = 0
    this.each(() => count++)
    return count
  }

  /** The marked rows, ascending; none is marked any more. */
  take(): Int32Array {
    const rows = new Int32Array(this.count)
    let at = 0
    this.each(row => {
      rows[at++] = row
    })
    this.clear()
    return rows
  }

  clear(): void {
    if (this.isAny) this.flags.fill(0)
    this.isAny = false
  }

  private each(visit: (row: number) => void): void {
    if (!this.isAny) return
    const { flags } = this
    const fours = new Int32Array(flags.buffer)
    for (let four = 0; four < fours.length; four++) {
      if (fours[four] === 0) continue
      for (let row = 4 * four; row < 4 * four + 4; row++) if (flags[row] !== 0) visit(row)
    }
  }
}

const ROWS_MIN = 64
