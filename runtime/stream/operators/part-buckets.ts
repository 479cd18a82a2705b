import { ByteWriter } from '../../common/bytes.ts'
import { BATCH_SIZE_BYTES } from './transport-sink-operator.ts'

/**
 * The parts that one subtask of a file sink is writing, one a bucket at most, and when they end. A part is a number here, the tag of its bytes; its
 * files are the async half's business.
 *
 * Rules are Flink's DefaultRollingPolicy: a part ends before a row that finds it larger than `partSizeBytes`, at the inspection that finds it older
 * than `rolloverIntervalMs` or unused for `inactivityIntervalMs`, and at a checkpoint if it is larger than `partSizeBytes` then, or always with
 * `rollOnCheckpoint`.
 */
export type RollingPolicySettings = {
  readonly rollOnCheckpoint: boolean
  readonly partSizeBytes: number
  readonly rolloverIntervalMs: number
  readonly inactivityIntervalMs: number
}

export interface Part {
  readonly tag: number
  readonly bucketId: string
  readonly createdMs: number
  lastWriteMs: number
  sizeBytes: number
  /** Rows that have not left yet. */
  batch: ByteWriter
}

/** What becomes of parts, in order; `bytes` are valid during the call. */
export interface PartsListener {
  open(part: Part): void
  write(part: Part, bytes: Uint8Array): void
  close(part: Part): void
}

/** Each is an open file and a batch. Above it, the part that was written to longest ago ends. */
export const OPEN_PARTS_MAX = 256

export class PartBuckets {
  private readonly policy: RollingPolicySettings
  private readonly listener: PartsListener
  private readonly parts = new Map<string, Part>()
  private nextTag = 0

  constructor(policy: RollingPolicySettings, listener: PartsListener) {
    this.policy = policy
    this.listener = listener
  }

  open(): readonly Part[] {
    return [...this.parts.values()]
  }

  get count(): number {
    return this.parts.size
  }

  /** The part that the next row of this bucket goes to. */
  partFor(bucketId: string, nowMs: number): Part {
    const present = this.parts.get(bucketId)
    if (present !== undefined && present.sizeBytes <= this.policy.partSizeBytes) return present
    if (present !== undefined) this.close(present)
    if (this.parts.size >= OPEN_PARTS_MAX) this.close(this.longestUnused())
    const part = this.add(bucketId, nowMs, 0)
    this.listener.open(part)
    return part
  }

  /** A part of an earlier attempt goes on. Where the bucket has one already (fewer subtasks than before), it ends as it is. */
  resume(bucketId: string, createdMs: number, sizeBytes: number, opened: (part: Part) => void): void {
    const present = this.parts.get(bucketId)
    if (present !== undefined) this.close(present)
    if (this.parts.size >= OPEN_PARTS_MAX) this.close(this.longestUnused())
    opened(this.add(bucketId, createdMs, sizeBytes))
  }

  /** A row of `sizeBytes` stands at the end of the part's batch. */
  written(part: Part, sizeBytes: number, nowMs: number): void {
    part.sizeBytes += sizeBytes
    part.lastWriteMs = nowMs
    const { batch } = part
    // A large row goes alone: with others in front it could exceed the largest frame.
    const start = batch.length - sizeBytes
    if (sizeBytes >= BATCH_SIZE_BYTES && start > 0) {
      this.listener.write(part, batch.bytes.subarray(0, start))
      this.listener.write(part, batch.bytes.subarray(start, batch.length))
      this.emptied(part)
    } else if (batch.length >= BATCH_SIZE_BYTES) this.flush(part)
  }

  inspect(nowMs: number): void {
    const { rolloverIntervalMs, inactivityIntervalMs } = this.policy
    for (const part of this.open())
      if (nowMs - part.createdMs >= rolloverIntervalMs || nowMs - part.lastWriteMs >= inactivityIntervalMs) this.close(part)
  }

  /** Everything written leaves; parts that end at a checkpoint, or all, end. */
  flushForCheckpoint(all: boolean): void {
    const { rollOnCheckpoint, partSizeBytes } = this.policy
    for (const part of this.open())
      if (all || rollOnCheckpoint || part.sizeBytes > partSizeBytes) this.close(part)
      else this.flush(part)
  }

  private add(bucketId: string, createdMs: number, sizeBytes: number): Part {
    const part: Part = { tag: this.nextTag++, bucketId, createdMs, lastWriteMs: createdMs, sizeBytes, batch: new ByteWriter() }
    this.parts.set(bucketId, part)
    return part
  }

  private close(part: Part): void {
    this.flush(part)
    this.parts.delete(part.bucketId)
    this.listener.close(part)
  }

  private flush(part: Part): void {
    const { batch } = part
    if (batch.length === 0) return
    this.listener.write(part, batch.subarray())
    this.emptied(part)
  }

  /** What one large row has needed is given back. */
  private emptied(part: Part): void {
    if (part.batch.bytes.length > 4 * BATCH_SIZE_BYTES) part.batch = new ByteWriter()
    else part.batch.reset()
  }

  private longestUnused(): Part {
    return this.open().reduce((oldest, part) => (part.lastWriteMs < oldest.lastWriteMs ? part : oldest))
  }
}
