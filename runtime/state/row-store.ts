import { FIRST_STAMP, MARKED, MARKED_NEW, type PagePlace, RowPages } from './row-pages.ts'
import type { SegmentWriter } from './segment-writer.ts'

/**
 * The rows of a heap table as bytes, by key group, and what snapshots do with them: copy them. Which checkpoint had a row last is a stamp beside it, one of 253
 * that go round. A stamp that comes again before its old rows have changed marks them needlessly when its checkpoint is given up: too much is written then.
 */
export class RowStore {
  private readonly groups: (RowPages | undefined)[]
  private readonly stampUses = new Uint16Array(256)
  /** Of the next checkpoint: what has been written for it already, of a base under way or ahead. */
  private stamp = FIRST_STAMP
  /** The next key group that is written before the barrier. */
  private aheadGroup = 0
  private base: (PagePlace & { group: number }) | undefined = undefined

  constructor(maxParallelism: number) {
    this.groups = new Array(maxParallelism).fill(undefined)
    for (const stamp of [MARKED_NEW, MARKED, FIRST_STAMP]) this.stampUses[stamp] = 1
  }

  group(keyGroup: number): RowPages | undefined {
    return this.groups[keyGroup]
  }

  groupForWrite(keyGroup: number, rowsExpected = 0): RowPages {
    return (this.groups[keyGroup] ??= new RowPages(keyGroup, this.stampUses, rowsExpected))
  }

  /** Ascending. */
  *present(): Generator<RowPages> {
    for (const group of this.groups) if (group !== undefined && group.rowCount > 0) yield group
  }

  get markedCount(): number {
    let count = 0
    for (const group of this.groups) count += group?.markedCount ?? 0
    return count
  }

  writeAll(out: SegmentWriter, begins: boolean): void {
    for (const group of this.groups) group?.writeAll(out, begins)
  }

  /** Writes the marked rows of some key groups before the barrier, of each once; true = there are more. What changes again is marked again. */
  writeAhead(out: SegmentWriter): boolean {
    for (; this.aheadGroup < this.groups.length; this.aheadGroup++) {
      const group = this.groups[this.aheadGroup]
      if (group === undefined || group.markedCount === 0) continue
      group.writeMarked(out, this.stamp)
      this.aheadGroup++
      return true
    }
    return false
  }

  /** What was written ahead goes nowhere. */
  forgetAhead(): void {
    for (const group of this.groups) group?.markAgain(this.stamp, this.stamp)
    this.aheadGroup = 0
  }

  /** Answers the checkpoint's stamp. */
  writeMarked(out: SegmentWriter): number {
    const { stamp } = this
    this.aheadGroup = 0
    for (const group of this.groups) group?.writeMarked(out, stamp)
    do this.stamp = this.stamp === this.stampUses.length - 1 ? FIRST_STAMP : this.stamp + 1
    while (this.stampUses[this.stamp] !== 0 && this.stamp !== stamp)
    this.use(this.stamp, 1)
    return stamp
  }

  confirm(stamp: number): void {
    this.use(stamp, -1)
  }

  markAgain(stamp: number): void {
    // A base may have written rows of that checkpoint since; they have its next one's stamp.
    for (const group of this.groups) group?.markAgain(stamp, this.stamp)
    this.use(stamp, -1)
  }

  beginBase(): void {
    this.base = { group: 0, page: 0, offset: 0, fill: 0 }
  }

  /** `look` is called before a page of a key group is written. */
  writeBase(out: SegmentWriter, sizeMax: number, look: (group: RowPages, page: number) => void): boolean {
    const { base, groups } = this
    if (base === undefined) return true
    for (; base.group < groups.length; base.group++, base.page = 0, base.offset = 0) {
      const group: RowPages | undefined = groups[base.group]
      if (group === undefined) continue
      let more = true
      while (more) {
        if (out.size >= sizeMax) return false
        if (base.offset === 0) look(group, base.page)
        more = group.writePage(base, out, sizeMax, this.stamp)
      }
    }
    this.base = undefined
    return true
  }

  endBase(): void {
    if (this.base !== undefined) this.groups[this.base.group]?.endCopy()
    this.base = undefined
  }

  close(): void {
    for (const group of this.groups) group?.close()
    this.groups.fill(undefined)
  }

  private use(stamp: number, change: number): void {
    this.stampUses[stamp] = (this.stampUses[stamp] as number) + change
  }
}
