/**
 * How many keys of a heap table are to be hot. Where keys hardly ever come again while they are, each hot one is a row to be written back at the next barrier
 * and saves nothing; so their number falls then, by halves, and rises again when keys come that would still be hot if there were room for more.
 */
export class HotCapacity {
  /** Entries. */
  current: number
  private readonly max: number
  private readonly min: number
  /** Keys between two looks. */
  private readonly period: number
  /** Hashes of keys that became hot lately, each at the place that its low bits name. */
  private readonly recent: Int32Array
  private count = 0
  private returned = 0

  constructor(max: number) {
    this.max = max
    this.min = max >>> 4
    this.period = max >>> 2
    this.current = max
    this.recent = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(1, max))))
  }

  /** A key has become hot whose rows were in the pages. */
  loaded(hash: number): void {
    const { recent } = this
    const at = hash & (recent.length - 1)
    if (recent[at] === hash) this.returned++
    recent[at] = hash
    if (++this.count < this.period) return
    this.current = this.returned * RETURNS_WORTH < this.count ? Math.max(this.min, this.current >>> 1) : Math.min(this.max, this.current * 2)
    this.count = 0
    this.returned = 0
  }
}

/** One in so many that comes again is worth room for it. */
const RETURNS_WORTH = 8
