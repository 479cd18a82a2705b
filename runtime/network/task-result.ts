import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import type { ResultFile, ResultFiles } from './result-files.ts'

/**
 * All that one task has written to its blocking edges: for each channel its segments in order, each in memory while the TaskManager's budget
 * lasts, else in the task's file. Written once, to its end; then read any number of times.
 *
 * Invariants: segments are copies, so no ring is touched once `add` has returned; what is on its way to the disk is bounded by its caller, who
 * asks `isBehind`; a failure is the result's end, and its readers and its writer meet the same error, which names the file.
 */
export interface ResultSize {
  readonly memoryBytes: number
  readonly diskBytes: number
}

/** Memory of all results of a TaskManager. */
export class ResultMemory {
  readonly limit: number
  used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  tryTake(size: number): boolean {
    if (this.used + size > this.limit) return false
    this.used += size
    return true
  }
}

interface OnDisk {
  readonly position: number
  readonly length: number
}

/** Of one channel, in order. */
type Segments = (Uint8Array | OnDisk)[]

/** What a segment in memory costs beside its bytes: an object and a place. */
const SEGMENT_OVERHEAD = 128
/** So much may wait for the disk before rings are left full. */
const WRITE_BEHIND = 1024 * 1024
/** One read brings at most so much, and goes on when less than half of it is left. */
const READ_AHEAD = 256 * 1024

export class TaskResult {
  memoryBytes = 0
  failure: FlinkError | undefined = undefined
  /** Set once: nothing is added any more. */
  finished = false
  readonly file: ResultFile
  private readonly memory: ResultMemory
  private readonly onProgress: () => void
  private readonly channels = new Map<string, Segments>()
  private taken = 0
  private diskLength = 0
  private pending: Uint8Array[] = []
  private pendingBytes = 0
  private writing: Promise<void> | undefined = undefined
  private readonly readers = new Set<ResultReader>()
  private released = false

  /** `onProgress`: it is not behind any more, or has failed. */
  constructor(name: string, files: ResultFiles, memory: ResultMemory, onProgress: () => void) {
    this.file = files.file(name)
    this.memory = memory
    this.onProgress = onProgress
  }

  get isBehind(): boolean {
    return this.pendingBytes >= WRITE_BEHIND
  }

  get size(): ResultSize {
    return { memoryBytes: this.memoryBytes, diskBytes: this.diskLength }
  }

  addChannel(channelId: string): void {
    this.channels.set(channelId, [])
  }

  add(channelId: string, segment: Uint8Array): void {
    const segments = this.channels.get(channelId)
    assert(segments !== undefined && !this.finished, `channel ${channelId} is written`)
    const { length } = segment
    if (this.memory.tryTake(length + SEGMENT_OVERHEAD)) {
      this.taken += length + SEGMENT_OVERHEAD
      this.memoryBytes += length
      segments.push(segment.slice())
      return
    }
    segments.push({ position: this.diskLength, length })
    this.diskLength += length
    this.pending.push(segment.slice())
    this.pendingBytes += length
    this.writing ??= this.write()
  }

  /** All that was added is where it stays; rejects when it could not be written. */
  async settled(): Promise<void> {
    while (this.writing !== undefined) await this.writing
    if (this.failure !== undefined) throw this.failure
  }

  /** `onReady`: `next` may have something, or the reader has failed. */
  open(channelId: string, onReady: () => void): ResultReader | undefined {
    const segments = this.channels.get(channelId)
    if (segments === undefined || !this.finished) return undefined
    const reader = new ResultReader(segments, this.file, onReady, () => this.readers.delete(reader))
    this.readers.add(reader)
    return reader
  }

  /** Its readers end as if they had been closed. Rejects when the file cannot be removed. */
  async release(): Promise<void> {
    if (this.released) return
    this.released = true
    this.finished = true
    this.memory.used -= this.taken
    for (const reader of this.readers) reader.close()
    this.channels.clear()
    this.pending = []
    await this.writing
    await this.file.remove()
  }

  private async write(): Promise<void> {
    try {
      while (this.pending.length > 0) {
        const parts = this.pending
        this.pending = []
        await this.file.append(parts)
        this.pendingBytes -= parts.reduce((sum, { length }) => sum + length, 0)
        this.onProgress()
      }
    } catch (error) {
      this.failure = new FlinkError(
        'EXTERNAL_SYSTEM',
        `a blocking result could not be written to ${this.file.path}: ${error instanceof Error ? error.message : String(error)}`,
        {},
        error,
      )
      this.pending = []
    } finally {
      this.writing = undefined
      if (this.failure !== undefined) this.onProgress()
    }
  }
}

/** Takes a channel's segments in order, from the beginning, reading ahead of whoever takes them. */
export class ResultReader {
  failure: FlinkError | undefined = undefined
  private readonly segments: Segments
  private readonly file: ResultFile
  private readonly onReady: () => void
  private readonly onClose: () => void
  private position = 0
  private ready: Uint8Array[] = []
  private taken = 0
  private readyBytes = 0
  private reading = false
  private closed = false

  constructor(segments: Segments, file: ResultFile, onReady: () => void, onClose: () => void) {
    this.segments = segments
    this.file = file
    this.onReady = onReady
    this.onClose = onClose
  }

  /** Undefined = nothing now: all has been taken, or `onReady` will tell. */
  next(): Uint8Array | undefined {
    if (this.readyBytes < READ_AHEAD / 2) this.fill()
    const segment = this.ready[this.taken]
    if (segment === undefined) return undefined
    this.taken++
    this.readyBytes -= segment.length
    if (this.taken === this.ready.length) {
      this.ready = []
      this.taken = 0
    }
    return segment
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.ready = []
    this.taken = 0
    this.onClose()
  }

  private fill(): void {
    while (!this.reading && !this.closed && this.failure === undefined && this.readyBytes < READ_AHEAD) {
      const segment = this.segments[this.position]
      if (segment === undefined) return
      if (segment instanceof Uint8Array) {
        this.put(segment)
        this.position++
      } else {
        this.read(this.run(segment))
      }
    }
  }

  /** Segments that lie one behind the other, from the next one on. */
  private run(first: OnDisk): readonly OnDisk[] {
    const run: OnDisk[] = []
    let end = first.position
    for (let segment = this.segments[this.position]; segment !== undefined; segment = this.segments[this.position]) {
      if (segment instanceof Uint8Array || segment.position !== end || (run.length > 0 && end - first.position >= READ_AHEAD)) break
      run.push(segment)
      end += segment.length
      this.position++
    }
    return run
  }

  private read(run: readonly OnDisk[]): void {
    const [first] = run
    const last = run.at(-1)
    assert(first !== undefined && last !== undefined, 'there is something to read')
    this.reading = true
    this.file.read(first.position, last.position + last.length - first.position).then(
      bytes => {
        this.reading = false
        if (this.closed) return
        for (const { position, length } of run) this.put(bytes.subarray(position - first.position, position - first.position + length))
        this.onReady()
      },
      error => {
        this.reading = false
        if (this.closed) return
        this.failure = new FlinkError(
          'EXTERNAL_SYSTEM',
          `a blocking result could not be read from ${this.file.path}: ${error instanceof Error ? error.message : String(error)}`,
          {},
          error,
        )
        this.onReady()
      },
    )
  }

  private put(segment: Uint8Array): void {
    this.ready.push(segment)
    this.readyBytes += segment.length
  }
}
