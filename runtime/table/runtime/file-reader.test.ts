import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../../test/support/runs.ts'
import { noLog } from '../../common/log.ts'
import type { LocalFrame } from '../../network/columns.ts'
import { rowsOf } from '../../network/columns-rows.ts'
import type { ChannelElement } from '../../network/frame.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import type { SourceOutput, SourceReaderContext } from '../../stream/spi/source.ts'
import type { ScanNode } from '../plan/physical.ts'
import { FileTableReader } from './file-reader.ts'

const schema = [
  { name: 'a', type: 'INT' },
  { name: 'b', type: 'STRING' },
]
const layouts = schema.map(({ type }) => columnLayout(type))
const node: ScanNode = {
  kind: 'scan',
  table: 't',
  connector: 'filesystem',
  options: { format: 'json' },
  physical: schema,
  paths: [['a'], ['b']],
  projected: [0, 1],
  schema,
}

/** Bytes are valid until the next poll: then they are overwritten, as the fetcher would. */
function reader(pieces: readonly Uint8Array[], framesAreDone: boolean) {
  const queue: ChannelElement[] = []
  let at = 0
  for (const piece of pieces) {
    const shared = new Uint8Array(new SharedArrayBuffer(piece.length))
    shared.set(piece)
    queue.push({ kind: 'raw', tag: 0, position: at, bytes: shared })
    at += piece.length
  }
  queue.push({ kind: 'event', what: 'finished', data: '{"tag":0}' })
  let last: ChannelElement | undefined
  const transfers: (string | undefined)[] = []
  const context: Partial<SourceReaderContext> = {
    log: noLog,
    io: {
      openSource: (_type, _options, transfer) => {
        transfers.push(transfer)
        return {
          poll: () => {
            if (last?.kind === 'raw') last.bytes.fill(0x21)
            last = queue.shift()
            return last
          },
          send: () => {},
          close: () => {},
        }
      },
      openSink: () => {
        throw new Error('no sinks here')
      },
    },
  }
  const made = new FileTableReader(node, { job: 'j', vertex: 'v', generated: true }, context as SourceReaderContext)
  made.addSplits([{ splitId: 'f', path: '/f', start: 0, end: at, position: -1 }])
  made.noMoreSplits()
  const frames: LocalFrame[] = []
  const atOnce: unknown[] = []
  const output: SourceOutput = {
    collect: () => {},
    collectFrame: frame => {
      frames.push(frame)
      atOnce.push(...rowsOf(frame, layouts))
    },
    framesAreDone: () => framesAreDone,
    emitWatermark: () => {},
    emitStatus: () => {},
    shouldYield: () => false,
  }
  while (made.poll(output) !== 'end') if (queue.length === 0 && last === undefined) throw new Error('the reader waits for nothing')
  return { frames, atOnce, transfers }
}

const text = fc.string({ unit: fc.constantFrom('x', 'yz', 'é', '\\"', '\\n', 'a longer piece of text'), maxLength: 8 })
const lines = fc.array(
  fc.record({ a: fc.option(fc.integer({ min: -1000, max: 1000 })), b: fc.option(text) }).map(row => JSON.stringify(row)),
  { maxLength: 20 },
)

test('lines cut anywhere are read whole; frames may be kept unless the reader was told that nobody does', () => {
  fc.assert(
    fc.property(lines, fc.boolean(), fc.array(fc.nat({ max: 60 }), { maxLength: 12 }), fc.boolean(), (rows, ended, cuts, done) => {
      const bytes = new TextEncoder().encode(rows.join('\n') + (ended && rows.length > 0 ? '\n' : ''))
      const pieces: Uint8Array[] = []
      let from = 0
      for (const cut of cuts) {
        const to = Math.min(bytes.length, from + cut)
        if (to > from) pieces.push(bytes.subarray(from, to))
        from = to
      }
      if (from < bytes.length) pieces.push(bytes.subarray(from))
      const { frames, atOnce, transfers } = reader(pieces, done)
      const expected = rows.map(row => Object.values(JSON.parse(row) as object))
      expect(transfers).toEqual(['blocks'])
      expect(atOnce).toEqual(expected)
      if (!done) expect(frames.flatMap(frame => rowsOf(frame, layouts))).toEqual(expected)
    }),
    { numRuns: runs(300) },
  )
})

test('whole lines are read where they lie when nobody keeps frames, into the same arrays', () => {
  const page = (a: number) => new TextEncoder().encode(`{"a":${a},"b":"b${a}"}\n{"a":null,"b":"more"}\n`)
  const { frames } = reader([page(1), page(2)], true)
  const [first, second] = frames
  const data = (frame: LocalFrame | undefined) => (frame?.columns[1]?.kind === 'bytes' ? frame.columns[1].data.buffer : undefined)
  expect(data(first)).toBeInstanceOf(SharedArrayBuffer)
  expect(first?.columns[0]?.kind === 'i32' && first.columns[0].values.buffer).toBe(
    second?.columns[0]?.kind === 'i32' && second.columns[0].values.buffer,
  )
  const kept = reader([page(1), page(2)], false).frames
  expect(data(kept[0])).toBeInstanceOf(ArrayBuffer)
})
