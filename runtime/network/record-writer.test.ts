import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlinkError } from '../common/errors.ts'
import { seededRandom } from '../common/random.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import { silentDoorbell } from './doorbell.ts'
import type { ChannelElement, ChannelReader, ControlElement } from './frame.ts'
import { LocalChannel } from './local-channel.ts'
import { PageBudget } from './page-pool.ts'
import { createSelector, type PartitionerKind } from './partitioner.ts'
import { type OutputChannel, RecordWriter } from './record-writer.ts'
import { createUnpooledRing } from './ring.ts'
import { RingReader, RingWriter } from './ring-channel.ts'

const strings: TypeSerializer<unknown> = { write: (value, out) => out.string(value as string), read: input => input.string() }

function setup({ kind = 'GLOBAL' as PartitionerKind, channels = 1, capacity = 1, pages = 0, rowsPerFrameMax = 2 } = {}) {
  const locals = Array.from({ length: channels }, () => new LocalChannel(capacity, silentDoorbell, silentDoorbell))
  const budget = PageBudget.create(pages)
  const selector = createSelector({
    kind,
    channelCount: channels,
    random: seededRandom(1),
    key: { type: undefined as never, select: row => row },
    partition: (key, n) => Number(String(key).slice(1)) % n,
  })
  const writer = new RecordWriter({ operatorName: 'flat map', channels: locals.map(local => local.writer), selector, pages: budget, rowsPerFrameMax })
  return { writer, budget, readers: locals.map(local => local.reader) }
}

/** Rows as text, controls by kind; frames in brackets. */
function read(reader: ChannelReader | undefined): string[] {
  const out: string[] = []
  for (;;) {
    const element = reader?.poll()
    if (element === undefined) return out
    out.push(show(element))
  }
}

function show(element: ChannelElement): string {
  if (element.kind === 'object') return `[${element.rows.join(' ')}]`
  if (element.kind === 'watermark') return `w${element.timestamp}`
  return element.kind
}

describe('record writer', () => {
  test('seals full frames, the rest on flush', () => {
    const { writer, readers } = setup({ capacity: 9 })
    for (const row of ['a', 'b', 'c']) writer.collect(row, Number.NaN)
    expect(read(readers[0])).toEqual(['[a b]'])
    writer.flush()
    writer.flush()
    expect(read(readers[0])).toEqual(['[c]'])
    expect([writer.numRecordsOut, writer.numBuffersOut]).toEqual([3, 2])
  })

  test('control elements come behind the rows collected before, on every channel', () => {
    const { writer, readers } = setup({ kind: 'CUSTOM', channels: 2, capacity: 9, rowsPerFrameMax: 10 })
    writer.collect('r0', 1)
    writer.emit({ kind: 'watermark', timestamp: 1 })
    writer.collect('r1', 2)
    writer.emit({ kind: 'end' })
    expect(read(readers[0])).toEqual(['[r0]', 'w1', 'end'])
    expect(read(readers[1])).toEqual(['w1', '[r1]', 'end'])
  })

  test('a time column exists only when some row has a time, with NaN for those that have none', () => {
    const { writer, readers } = setup({ capacity: 9, rowsPerFrameMax: 40 })
    writer.collect('a', Number.NaN)
    writer.flush()
    for (let i = 0; i < 40; i++) writer.collect(`${i}`, i === 0 || i === 39 ? Number.NaN : i)
    const first = readers[0]!.poll()
    const second = readers[0]!.poll()
    expect(first).toMatchObject({ timestamps: undefined })
    expect(second?.kind === 'object' && [...second.timestamps!]).toEqual([Number.NaN, ...Array.from({ length: 38 }, (_, i) => i + 1), Number.NaN])
  })

  test('a full channel fills the spill, which drains in order', () => {
    const { writer, readers } = setup()
    for (const row of ['a', 'b', 'c', 'd']) writer.collect(row, Number.NaN)
    expect(writer.isFull()).toBe(true)
    writer.emit({ kind: 'watermark', timestamp: 1 })
    expect(writer.drain()).toBe(false)
    const got: string[] = []
    for (let i = 0; i < 5; i++) {
      got.push(...read(readers[0]))
      writer.drain()
    }
    expect(got).toEqual(['[a b]', '[c d]', 'w1'])
    expect(writer.isFull()).toBe(false)
  })

  test('flush leaves rows of a full channel in their frame, and sends those of the others', () => {
    const { writer, readers } = setup({ kind: 'CUSTOM', channels: 2 })
    for (const row of ['r0', 'r2', 'r4', 'r6', 'r8', 'r1']) writer.collect(row, Number.NaN)
    writer.flush()
    expect(writer.spilled).toBe(1)
    expect(read(readers[1])).toEqual(['[r1]'])
  })

  test('waiting watermarks are replaced by newer ones and cost no page', () => {
    const { writer, readers } = setup()
    for (const row of ['a', 'b', 'c', 'd']) writer.collect(row, Number.NaN)
    for (let i = 0; i < 1000; i++) writer.emit({ kind: 'watermark', timestamp: i })
    expect(writer.spilled).toBe(2)
    const got = read(readers[0])
    writer.drain()
    got.push(...read(readers[0]))
    writer.drain()
    expect([...got, ...read(readers[0])]).toEqual(['[a b]', '[c d]', 'w999'])
  })

  test('the spill takes pages beyond its two free frames, gives them back, and ends in an error that names the operator', () => {
    const { writer, budget, readers } = setup({ pages: 3 })
    const emit = (count: number) => {
      for (let i = 0; i < 2 * count; i++) writer.collect('x', Number.NaN)
    }
    emit(1 + 2 + 3)
    expect(budget.used).toBe(3)
    expect(() => emit(1)).toThrow(expect.objectContaining({ code: 'OUTPUT_SPILL_EXHAUSTED', message: expect.stringContaining('operator flat map') }))
    for (let i = 0; i < 6; i++) {
      read(readers[0])
      writer.drain()
    }
    expect([budget.used, writer.spilled, writer.isFull()]).toEqual([0, 0, false])
    emit(5)
    expect(budget.used).toBeGreaterThan(0)
    writer.close()
    expect(budget.used).toBe(0)
  })

  test('BROADCAST gives every channel its own array of all rows', () => {
    const { writer, readers } = setup({ kind: 'BROADCAST', channels: 3, capacity: 9 })
    writer.collect('a', 1)
    writer.collect('b', 2)
    const frames = readers.map(reader => reader.poll())
    expect(frames.map(frame => frame && show(frame))).toEqual(['[a b]', '[a b]', '[a b]'])
    const arrays = new Set(frames.map(frame => frame?.kind === 'object' && frame.rows))
    const times = new Set(frames.map(frame => frame?.kind === 'object' && frame.timestamps?.buffer))
    expect([arrays.size, times.size]).toEqual([3, 3])
    expect(writer.numRecordsOut).toBe(2)
  })

  test('a half-written frame of a ring counts as full until it is in the ring', () => {
    const ring = createUnpooledRing(1, 0, 'e/0/0')
    const channel: OutputChannel = new RingWriter(ring, { serializer: strings, doorbell: silentDoorbell })
    const reader = new RingReader(ring, { serializer: strings, doorbell: silentDoorbell })
    const selector = createSelector({ kind: 'GLOBAL', channelCount: 1, random: seededRandom(1) })
    const writer = new RecordWriter({ operatorName: 'map', channels: [channel], selector, pages: PageBudget.create(0) })
    const big = 'x'.repeat(100_000)
    writer.collect(big, Number.NaN)
    writer.flush()
    expect(writer.isFull()).toBe(true)
    const got: string[] = []
    for (let i = 0; i < 10; i++) {
      got.push(...read(reader))
      writer.drain()
    }
    expect(got).toEqual([`[${big}]`])
    expect(writer.isFull()).toBe(false)
    expect(writer.numBytesOut).toBeGreaterThan(100_000)
  })

  test('nothing is lost or reordered under any interleaving of collecting, flushing, controls, draining and reading', () => {
    const action = fc.constantFrom('collect', 'collect', 'collect', 'flush', 'emit', 'drain', 'read')
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 300 }),
        fc.constantFrom<PartitionerKind>('BROADCAST', 'REBALANCE'),
        fc.integer({ min: 1, max: 3 }),
        (actions, kind, capacity) => {
          const { writer, readers } = setup({ kind, channels: 2, capacity, pages: 1000 })
          const got: ChannelElement[][] = [[], []]
          const readAll = () => {
            readers.forEach((reader, i) => {
              for (let element = reader.poll(); element !== undefined; element = reader.poll()) got[i]!.push(element)
            })
          }
          const sent: (string | number)[] = []
          for (const [i, what] of actions.entries()) {
            if (what === 'collect') {
              sent.push(`r${i}`)
              writer.collect(`r${i}`, i)
            } else if (what === 'emit') {
              sent.push(i)
              writer.emit({ kind: 'barrier', barrier: { checkpointId: i, timestampMs: 0, type: 'checkpoint' } } satisfies ControlElement)
            } else if (what === 'flush') writer.flush()
            else if (what === 'drain') expect(writer.drain()).toBe(!writer.isFull())
            else readAll()
          }
          writer.emit({ kind: 'end' })
          for (let i = 0; i < 400; i++) {
            readAll()
            writer.drain()
          }
          const flat = got.map(elements =>
            elements.flatMap(e => (e.kind === 'object' ? e.rows : e.kind === 'barrier' ? [e.barrier.checkpointId] : [])),
          )
          for (const channel of flat) {
            if (kind === 'BROADCAST') expect(channel).toEqual(sent)
            else expect(channel).toEqual(sent.filter(item => channel.includes(item)))
          }
          const rows = sent.filter(item => typeof item === 'string')
          if (kind === 'REBALANCE') expect(new Set(flat.flat().filter(item => typeof item === 'string'))).toEqual(new Set(rows))
          expect(got.map(elements => elements.at(-1)?.kind)).toEqual(['end', 'end'])
        },
      ),
    )
  })
})

test('a row that cannot be encoded names the operator that emitted it, with its size', () => {
  const serializer: TypeSerializer<unknown> = {
    write: (value, out) => {
      if (value === undefined) throw new FlinkError('UNSUPPORTED_VALUE', 'value is undefined')
      out.string(value as string)
    },
    read: input => input.string(),
  }
  const send = (row: unknown) => {
    const channel = new RingWriter(createUnpooledRing(2, 0, '0/0/0'), { serializer, doorbell: silentDoorbell, recordSizeMax: 1000 })
    const selector = createSelector({ kind: 'GLOBAL', channelCount: 1, random: seededRandom(1) })
    const writer = new RecordWriter({ operatorName: 'big', channels: [channel], selector, pages: PageBudget.create(0) })
    writer.collect(row, Number.NaN)
    writer.flush()
  }
  expect(() => send('x'.repeat(1001))).toThrow(
    'output of operator big: a record of 1003 bytes on channel 0/0/0 exceeds taskmanager.network.record-size-max of 1000 bytes',
  )
  expect(() => send('x'.repeat(200_000))).toThrow(
    /^output of operator big: a record of at least 2\d{5} bytes on channel 0\/0\/0 exceeds .* of 1000 bytes$/,
  )
  expect(() => send(undefined)).toThrow('output of operator big: value is undefined')
})
