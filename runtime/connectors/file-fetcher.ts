import { type FileHandle, open } from 'node:fs/promises'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { FetcherSink, IoContext, SourceFetcher } from '../stream/spi/io-host.ts'
import { fileError } from './file-enumerator.ts'
import { reportError } from './port-events.ts'

/**
 * Async half of the text file source. Reads the ranges it is told (`split` {tag, path, start, end, position}) one after the other and
 * hands on whole lines' bytes only: what begins before a range is skipped, and the range goes on to the end of its last line. Blocks end
 * where lines do, so that a reader need not put lines together, unless a line is longer than a block. Then `finished` {tag}. It is never further ahead than one block beyond the port's credit.
 */
export interface FileRange {
  readonly path: string
  readonly start: number
  readonly end: number
  readonly position: number
}

export function fileFetcher(_options: JsonObject, sink: FetcherSink, { signal }: IoContext): SourceFetcher {
  let reading: Promise<void> = Promise.resolve()
  let failed = false
  return {
    command(what, data) {
      if (what !== 'split') throw new FlinkError('INTERNAL', `the file fetcher does not know the command ${what}`)
      const tag = Number(data['tag'])
      const range = { path: String(data['path']), start: Number(data['start']), end: Number(data['end']), position: Number(data['position']) }
      // Chained: one range at a time, in the order asked for.
      reading = reading.then(async () => {
        if (failed || signal.aborted) return
        try {
          await readRange(range, tag, sink, signal)
          await sink.event('finished', { tag })
        } catch (error) {
          failed = true
          if (!signal.aborted) await reportError(sink, tag, error)
        }
      })
    },
    close: () => reading,
  }
}

export async function readRange(
  { path, start, end, position }: FileRange,
  tag: number,
  sink: Pick<FetcherSink, 'block' | 'writeBlock'>,
  signal: AbortSignal,
): Promise<void> {
  if (position >= end) return
  let handle: FileHandle
  try {
    handle = await open(path)
  } catch (error) {
    throw fileError(path, error)
  }
  try {
    // From the byte before the range: when that is a line feed, the line that begins at `start` is ours.
    let skipping = position < 0 && start > 0
    let offset = position >= 0 ? position : Math.max(0, start - 1)
    // The beginning of the line that the last block cut. It stays readable in that block until the next one is asked for.
    let carried: Uint8Array = noBytes
    while (!signal.aborted) {
      const block = await sink.block()
      block.set(carried)
      const length = await readInto(block, carried.length, handle, path, offset)
      const bytes = block.subarray(0, carried.length + length)
      const blockOffset = offset - carried.length
      offset += length
      if (length === 0) {
        if (offset < end) throw new FlinkError('EXTERNAL_SYSTEM', `file ${path} became shorter while it was read`, { path, offset, expected: end })
        if (bytes.length > 0) await sink.writeBlock(tag, blockOffset, 0, bytes.length)
        return
      }
      let from = 0
      if (skipping) {
        const lineFeed = bytes.indexOf(LF)
        if (lineFeed < 0 && offset < end) continue
        if (lineFeed < 0 || blockOffset + lineFeed + 1 >= end) return
        from = lineFeed + 1
        skipping = false
      }
      // The line that holds the range's last byte is the last one.
      const last = offset < end ? -1 : bytes.indexOf(LF, Math.max(from, end - 1 - blockOffset))
      const lineEnd = last >= 0 ? last + 1 : bytes.lastIndexOf(LF) + 1
      const to = lineEnd > from ? lineEnd : bytes.length
      carried = bytes.subarray(to)
      if (to > from) await sink.writeBlock(tag, blockOffset + from, from, to)
      if (last >= 0) return
    }
  } finally {
    await handle.close()
  }
}

async function readInto(block: Uint8Array, at: number, handle: FileHandle, path: string, offset: number): Promise<number> {
  try {
    const { bytesRead } = await handle.read(block, at, block.length - at, offset)
    return bytesRead
  } catch (error) {
    throw fileError(path, error)
  }
}

const noBytes = new Uint8Array(0)
const LF = 10
