import { ByteWriter } from '../common/bytes.ts'
import { segmentMemory } from './segment-memory.ts'
import { type FinishedSegment, SegmentWriter } from './segment-writer.ts'

/**
 * A segment to which one key group after the other is written, as to a base: into one buffer, which is handed over as it is. A part of the keyed state that comes
 * later may begin with the first key group again; those that come twice are put together at the end.
 */
export class SequentialSegmentWriter extends SegmentWriter {
  private all = new ByteWriter(0)
  /** The room that was made for it. */
  private expected: Uint8Array = this.all.bytes
  /** In order; each ends where the next one starts. */
  private ranges: { readonly keyGroup: number; readonly start: number }[] = []

  /** Room for so many bytes, in one piece. */
  override expect(bytes: number): void {
    if (this.all.length > 0 || this.all.bytes.length >= bytes) return
    segmentMemory.giveBack(new Set([this.all.bytes.buffer, this.expected.buffer]))
    this.expected = segmentMemory.take(bytes).room
    this.all = new ByteWriter(this.expected)
  }

  protected override writerOf(keyGroup: number): ByteWriter {
    if (this.ranges.at(-1)?.keyGroup !== keyGroup) this.ranges.push({ keyGroup, start: this.all.length })
    return this.all
  }

  override finish(): FinishedSegment {
    this.endRecord()
    const { size, recordCount, all, ranges } = this
    const found = new Map<number, Uint8Array[]>()
    for (const [i, { keyGroup, start }] of ranges.entries()) {
      const bytes = all.bytes.subarray(start, ranges[i + 1]?.start ?? all.length)
      if (bytes.length > 0) found.set(keyGroup, [...(found.get(keyGroup) ?? []), bytes])
    }
    const keyGroups = new Map<number, Uint8Array>()
    for (const [keyGroup, parts] of [...found].sort(([a], [b]) => a - b)) keyGroups.set(keyGroup, joined(parts))
    const isHandedOver = [...keyGroups.values()].some(({ buffer }) => buffer === all.bytes.buffer)
    if (isHandedOver) this.all = new ByteWriter(0)
    // Rows larger than expected have made it go elsewhere.
    if (all.bytes.buffer !== this.expected.buffer) segmentMemory.giveBack([this.expected.buffer])
    this.expected = this.all.bytes
    this.drop()
    return { keyGroups, size, recordCount }
  }

  override drop(): void {
    this.all.reset()
    this.ranges = []
    this.reset()
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts
  return parts.length === 1 && only !== undefined ? only : new Uint8Array(Buffer.concat(parts))
}
