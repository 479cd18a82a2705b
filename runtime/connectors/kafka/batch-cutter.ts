import { FlinkError } from '../../common/errors.ts'
import type { AbortedTransaction, IsolationLevel } from './protocol.ts'
import { batchSize, isAbortMarker, readBatchHeader } from './record-batch.ts'

/**
 * Cuts what a fetch answered for one partition into pieces of whole batches, looking at their headers only. A cut last batch is left for
 * the next fetch. With read_committed, batches of aborted transactions are left out: the answer names their producers.
 */
export type Piece =
  | { readonly kind: 'batches'; readonly position: number; readonly bytes: Uint8Array }
  /** Nothing for the slot up to here. */
  | { readonly kind: 'skipped'; readonly nextOffset: number }

export interface Cut {
  readonly pieces: Piece[]
  readonly nextOffset: number
}

/** The largest record that may travel (`RECORD_SIZE_MAX` of the network room, which this room does not import). */
export const BATCH_SIZE_MAX_BYTES = 16 * 1024 * 1024

/** Small batches travel together, up to about this much. */
export const PIECE_SIZE_BYTES = 128 * 1024

export class BatchCutter {
  private readonly committedOnly: boolean
  private readonly batchSizeMax: number

  constructor(isolation: IsolationLevel, batchSizeMax = BATCH_SIZE_MAX_BYTES) {
    this.committedOnly = isolation === 'read_committed'
    this.batchSizeMax = batchSizeMax
  }

  cut(records: Buffer, fromOffset: number, stoppingOffset: number, abortedTransactions: readonly AbortedTransaction[]): Cut {
    const pieces: Piece[] = []
    const aborted = [...abortedTransactions].sort((a, b) => a.firstOffset - b.firstOffset)
    const aborting = new Set<bigint>()
    let nextOffset = fromOffset
    let start = -1
    let position = 0
    let at = 0
    const close = (end: number) => {
      if (start >= 0) pieces.push({ kind: 'batches', position, bytes: records.subarray(start, end) })
      start = -1
    }
    while (nextOffset < stoppingOffset) {
      const sizeBytes = batchSize(records, at)
      if (sizeBytes === undefined || at + sizeBytes > records.length) break
      if (sizeBytes > this.batchSizeMax)
        throw new FlinkError(
          'RECORD_TOO_LARGE',
          `a record batch of ${sizeBytes} bytes at offset ${nextOffset} is refused: the largest is ${this.batchSizeMax}`,
          { offset: nextOffset },
        )
      const header = readBatchHeader(records, at)
      if (header.lastOffset >= nextOffset) {
        if (start >= 0 && at + sizeBytes - start > PIECE_SIZE_BYTES) close(at)
        if (this.committedOnly && leaveOut(records, at, header, aborted, aborting)) {
          close(at)
          pieces.push({ kind: 'skipped', nextOffset: header.lastOffset + 1 })
        } else if (start < 0) {
          start = at
          position = header.baseOffset
        }
        nextOffset = header.lastOffset + 1
      }
      at += sizeBytes
    }
    close(at)
    return { pieces, nextOffset }
  }
}

function leaveOut(
  records: Buffer,
  at: number,
  header: ReturnType<typeof readBatchHeader>,
  aborted: AbortedTransaction[],
  aborting: Set<bigint>,
): boolean {
  while (aborted[0] !== undefined && aborted[0].firstOffset <= header.lastOffset) aborting.add(aborted.shift()!.producerId) // just looked at
  if (header.control) {
    if (isAbortMarker(records, at)) aborting.delete(header.producerId)
    return true
  }
  return header.transactional && aborting.has(header.producerId)
}
