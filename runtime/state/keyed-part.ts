import type { ByteReader } from '../common/bytes.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { SegmentWriter } from './segment-writer.ts'
import type { StateSchema } from './snapshot.ts'

/**
 * A table of keyed rows as snapshots see it (keyed-snapshots.ts): states of the heap, timers, typed tables, slices of windows. A row is what one key has in
 * one state, with all of its namespaces, or one timer, or one entry of a table.
 *
 * It marks rows as they change, with nothing allocated for a row that is marked already. `R` is how it remembers which rows a checkpoint has, until that is
 * complete or given up.
 */
export interface KeyedPart<R = unknown> {
  /** In order of the indices that its records have. */
  readonly schemas: readonly StateSchema[]
  /** Set once, before the first row: whether changes are to be marked. */
  tracks: boolean
  readonly rowCount: number
  /** At most. */
  readonly changedCount: number
  /** All rows. `begins`: later segments will stand behind this one, so that nothing is marked any more. */
  writeAll(out: SegmentWriter, begins: boolean): void
  /** What has changed since it was called last, and the end of what is gone. Answers these rows, and those of a base that were written in the meantime. */
  writeChanged(out: SegmentWriter): R
  /** It has become probable that most of what changes before the next barrier has changed. Asked often; absent = nothing is written before a barrier. */
  readonly isAheadDue?: boolean
  /** Some of what the next `writeChanged` would write; true = there is more. It belongs to the rows that are answered then. */
  writeAhead?(out: SegmentWriter): boolean
  /** What was written so is in no segment: it is as if it had not been. */
  forgetAhead?(): void
  /** The checkpoint that they were answered for is complete. */
  confirm?(rows: R): void
  /** They are to be written again. Called for all checkpoints that are not complete, oldest first. */
  markAgain(rows: R): void
  /** A base holds the rows of this moment, as they are when they are written; marked ones may be left out. */
  beginBase(): void
  /** Until `out` has `sizeMax` bytes, or a little more; true = the part's rows have all been written. */
  writeBase(out: SegmentWriter, sizeMax: number): boolean
  endBase(): void
  /** Of what type the values of the snapshot are, before they are read; absent = of its own only. Its records begin with their key. */
  readAs?(schema: number, saved: TypeJson): void
  /** What a record has behind its head, in order of segments; nothing is marked by it. `end`: of the record; undefined = it does not say. */
  restoreRecord(schema: number, removes: boolean, keyGroup: number, input: ByteReader, end: number | undefined): void
  /**
   * The same of all records up to the first one that is another part's, heads and all, where they are of its own types and say how long they are; answers how
   * many there were. `bytesExpected`: what most of the key group's rows may take together. Absent = it takes them one by one.
   */
  restoreRows?(keyGroup: number, input: ByteReader, bytesExpected: number): number
  /** All records of a key group have been given. */
  keyGroupRestored?(): void
  /** All records have been given. */
  restoreEnds?(): void
}
