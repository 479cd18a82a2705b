import { FlinkError } from '../common/errors.ts'
import type { Column } from '../network/columns.ts'
import { createDecoder } from './decoders.ts'
import type { FormatColumn, FormatOptions, Framing } from './format.ts'
import { RowSink } from './row-sink.ts'

/** For the tests of this room: everything that reading some bytes comes to, as plain values. */
export interface Reading {
  readonly rows: readonly (readonly unknown[])[]
  readonly error: string | undefined
  readonly recordStart: number
  readonly recordsRead: number
  readonly skipped: number
  readonly slowRecords: number
}

export interface ReadSettings {
  readonly format: string
  readonly columns: readonly FormatColumn[]
  readonly projected?: readonly number[]
  readonly options?: FormatOptions
  readonly framing?: Framing
  readonly generated?: boolean
  readonly capacity?: number
}

/** Pages are read one after another into frames of at most `capacity` rows. */
export function readAll(pages: readonly Uint8Array[], settings: ReadSettings): Reading {
  const { format, columns, options = {}, framing = 'lines', generated = true, capacity = 2048 } = settings
  const projected = settings.projected ?? columns.map((_, i) => i)
  const decoder = createDecoder(format, columns, projected, options, { framing, generated, origin: { job: 'test', vertex: 'source' } })
  const sink = new RowSink(decoder.kinds, capacity)
  const rows: unknown[][] = []
  let error: string | undefined
  let recordsRead = 0
  const take = () => {
    if (sink.count > 0) rows.push(...rowsOf(sink))
  }
  try {
    for (const page of pages) {
      let at = 0
      do {
        at = decoder.decode(page, at, page.length, sink)
        recordsRead += decoder.recordsRead
        if (sink.isFull) take()
      } while (at < page.length)
    }
  } catch (thrown) {
    if (!(thrown instanceof FlinkError)) throw thrown
    error = `${thrown.code} ${thrown.message} ${JSON.stringify(thrown.detail)}`
    recordsRead += decoder.recordsRead
  }
  take()
  return {
    rows,
    error,
    recordStart: error === undefined ? -1 : decoder.recordStart,
    recordsRead,
    skipped: decoder.skipped,
    slowRecords: decoder.slowRecords,
  }
}

export function rowsOf(sink: RowSink): unknown[][] {
  const { length, columns } = sink.finish()
  return Array.from({ length }, (_, row) => columns.map(column => heldAt(column, row)))
}

/** Texts as strings of bytes, so that no decoder hides a difference. */
function heldAt(column: Column, row: number): unknown {
  if (column.validity !== undefined && (column.validity[row >> 3]! & (1 << (row & 7))) === 0) return null
  if (column.kind !== 'bytes') return column.values[row]
  return Buffer.from(column.data.slice(column.starts[row], column.starts[row]! + column.lengths[row]!)).toString('latin1')
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
