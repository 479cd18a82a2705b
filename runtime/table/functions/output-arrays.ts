import { BytesSink } from './frame-values.ts'

/**
 * Where generated loops get the arrays of their output columns. Where a frame is done with before the next one is made, each place of a loop gets
 * the array that it had before, with what it held: a loop writes every row that it counts.
 */
export class OutputArrays {
  private readonly reuse: boolean
  private readonly kept: (OutputArray | undefined)[] = []

  constructor(reuse: boolean) {
    this.reuse = reuse
  }

  /** A number for `take`, one for each array that is alive at the same time. */
  place(): number {
    this.kept.push(undefined)
    return this.kept.length - 1
  }

  take<A extends OutputArray>(place: number, make: new (rows: number) => A, rows: number): A {
    if (!this.reuse) return new make(rows)
    const kept = this.kept[place]
    // A place is asked for one kind of array only.
    if (kept !== undefined && kept.length >= rows) {
      if (kept instanceof BytesSink) kept.reset()
      return kept as A
    }
    const made = new make(rows)
    this.kept[place] = made
    return made
  }
}

export type OutputArray = BytesSink | Uint8Array | Int32Array | Float64Array | BigInt64Array
