import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnar, shown } from '../../test/support/columnar.ts'
import { runs } from '../../test/support/runs.ts'
import { seededRandom } from '../common/random.ts'
import { type ColumnLayout, columnLayout } from '../serde/columns-type.ts'
import { subtaskOfKeyGroup } from '../serde/key-groups.ts'
import { Types } from '../serde/types.ts'
import { projectedKinds } from './columns-absent.ts'
import { ColumnsKeyHasher } from './columns-hash.ts'
import { frameOf } from './columns-rows.ts'
import { silentDoorbell } from './doorbell.ts'
import { ChannelInputGate } from './input-gate.ts'
import { LocalChannel } from './local-channel.ts'
import { PageBudget } from './page-pool.ts'
import { createSelector, type PartitionerKind } from './partitioner.ts'
import { RecordWriter } from './record-writer.ts'
import { createUnpooledRing } from './ring.ts'
import { RingReader, RingWriter } from './ring-channel.ts'

const MAX_PARALLELISM = 128

interface SetupOptions {
  readonly kind: PartitionerKind
  readonly channels: number
  readonly layouts: readonly ColumnLayout[]
  readonly keys?: readonly number[]
  /** Absent: channels inside a thread. */
  readonly ringsOf?: ReturnType<typeof Types.columns>
  readonly rowsPerFrameMax?: number
  readonly pages?: number
  /** Columns that the consumer reads; absent = all. */
  readonly fields?: readonly number[]
}

/** One gate per channel; capacity 1 everywhere. */
function setup({ kind, channels, layouts, keys = [0], ringsOf, rowsPerFrameMax = 8, pages = 0, fields }: SetupOptions) {
  const ends = Array.from({ length: channels }, (_, i) => {
    if (ringsOf === undefined) return new LocalChannel(1, silentDoorbell, silentDoorbell)
    const ring = createUnpooledRing(1, i, `ring ${i}`, i % 2 === 0)
    const { serializer } = ringsOf
    const columnKinds = fields === undefined ? serializer.columnKinds : projectedKinds(serializer.columnKinds ?? [], fields)
    const own = { write: serializer.write.bind(serializer), read: serializer.read.bind(serializer), columnKinds }
    // The serializer of rows of columns: rings take any.
    const options = { serializer: own as never, doorbell: silentDoorbell }
    return { writer: new RingWriter(ring, options), reader: new RingReader(ring, options) }
  })
  const selector = createSelector({
    kind,
    channelCount: channels,
    random: seededRandom(3),
    maxParallelism: MAX_PARALLELISM,
    layout: { columns: layouts, shape: { kind: 'array' }, texts: false },
    isSql: true,
    key: { type: Types.VOID, select: () => null, columns: keys },
  })
  const budget = PageBudget.create(pages)
  const writer = new RecordWriter({
    operatorName: 'calc',
    channels: ends.map(end => end.writer),
    selector,
    pages: budget,
    rowsPerFrameMax,
    ...(fields === undefined ? {} : { fields: { read: fields, count: layouts.length } }),
  })
  const gates = ends.map(end => new ChannelInputGate({ inputs: [[end.reader]], mode: 'exactly-once' }))
  return { writer, gates, budget }
}

type Received = unknown[]

/** Takes one element; rows as themselves whatever their frame was, control by kind. */
function take(gate: ChannelInputGate, layouts: readonly ColumnLayout[], into: Received): boolean {
  const element = gate.poll()
  if (element === undefined) return false
  if (element.kind === 'control') into.push(element.control.kind === 'watermark' ? `w${element.control.timestamp}` : element.control.kind)
  else if (element.frame.kind === 'object') into.push(...element.frame.rows)
  else into.push(...shown(element.frame, layouts).rows)
  return true
}

/** Until a drained output has nothing more to read. */
function readAll(writer: RecordWriter, readOne: () => boolean): void {
  for (;;) {
    const drained = writer.drain()
    if (!readOne() && drained) return
  }
}

type Step =
  | { readonly kind: 'frame'; readonly from: number; readonly to: number }
  | { readonly kind: 'row'; readonly row: number }
  | { readonly kind: 'watermark' }
  | { readonly kind: 'flush' }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('frame' as const), from: fc.nat(40), to: fc.nat(40) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('row' as const), row: fc.nat(39) }) },
    fc.constant({ kind: 'watermark' as const }),
    fc.constant({ kind: 'flush' as const }),
  ),
  { maxLength: 25 },
)

function run(sample: { layouts: readonly ColumnLayout[]; rows: readonly (readonly unknown[])[] }, script: readonly Step[], options: SetupOptions) {
  const { layouts, rows } = sample
  const { writer, gates, budget } = setup(options)
  const received: Received[] = gates.map(() => [])
  const readOne = () => gates.some((gate, i) => take(gate, layouts, received[i]!))
  const sent: { row?: readonly unknown[]; arrives?: readonly unknown[]; control?: string }[] = []
  const arriving = (row: readonly unknown[]) => row.map((value, i) => (options.fields?.includes(i) === false ? undefined : value))
  let valuesNotSent = 0
  let watermark = 0
  for (const step of [...script, undefined]) {
    // As the chain does: nothing is begun while the output is full.
    while (!writer.drain()) readOne()
    if (step === undefined) {
      writer.emit({ kind: 'end' })
      sent.push({ control: 'end' })
    } else if (step.kind === 'frame') {
      const [from, to] = [Math.min(step.from, step.to, rows.length), Math.min(Math.max(step.from, step.to), rows.length)]
      const part = rows.slice(from, to)
      writer.collectFrame(frameOf(part, layouts))
      for (const row of part) sent.push({ row, arrives: arriving(row) })
      valuesNotSent += part.length * (options.fields === undefined ? 0 : layouts.length - options.fields.length)
    } else if (step.kind === 'row') {
      const row = rows[step.row % rows.length]!
      writer.collect(row, Number.NaN)
      sent.push({ row, arrives: row })
    } else if (step.kind === 'watermark') {
      // One at a time: waiting watermarks are replaced by later ones.
      for (writer.flush(); !writer.drain(); ) readOne()
      writer.emit({ kind: 'watermark', timestamp: ++watermark })
      sent.push({ control: `w${watermark}` })
    } else {
      writer.flush()
    }
  }
  readAll(writer, readOne)
  expect(budget.used).toBe(0)
  expect(gates.every(gate => gate.isFinished)).toBe(true)
  expect(writer.numRecordsOut).toBe(sent.filter(({ row }) => row !== undefined).length)
  expect(writer.valuesNotSent).toBe(valuesNotSent)
  return { received, sent }
}

describe('record writer with columnar frames', () => {
  const sample = columnar({ rowsMin: 1 })

  test.each(['FORWARD', 'HASH', 'BROADCAST'] as const)(
    '%s: rows, frames and control arrive in order, over rings of one page and inside a slot; columns that are not read stay away',
    kind => {
      fc.assert(
        fc.property(
          sample,
          steps,
          fc.integer({ min: 1, max: 3 }),
          fc.boolean(),
          fc.constantFrom(1, 3, 8, 2048),
          fc.option(fc.nat(63), { nil: undefined }),
          (data, script, wanted, rings, rowsMax, read) => {
            const channels = kind === 'FORWARD' ? 1 : wanted
            const { layouts, fields } = data
            const { received, sent } = run(data, script, {
              kind,
              channels,
              layouts,
              rowsPerFrameMax: rowsMax,
              // The bound of the spill is another test's business: frames of a few rows make many of one call.
              pages: 1000,
              ...(rings ? { ringsOf: Types.columns(fields) } : {}),
              // Also without the key's column.
              ...(read === undefined ? {} : { fields: layouts.map((_, i) => i).filter(i => (read >> i) % 2 === 1) }),
            })
            const hasher = new ColumnsKeyHasher(layouts, [0])
            for (const [channel, got] of received.entries()) {
              const wantedHere = sent.filter(({ row }) => {
                if (row === undefined || kind !== 'HASH') return true
                return subtaskOfKeyGroup(hasher.keyGroupOfRow(row, MAX_PARALLELISM), MAX_PARALLELISM, channels) === channel
              })
              expect(got).toEqual(wantedHere.map(({ arrives, control }) => arrives ?? control))
            }
          },
        ),
        { numRuns: runs(250) },
      )
    },
  )

  test.each(['REBALANCE', 'RESCALE', 'SHUFFLE'] as const)('%s: every row arrives once, control everywhere', kind => {
    fc.assert(
      fc.property(sample, steps, fc.boolean(), (data, script, rings) => {
        const options = { kind, channels: 3, layouts: data.layouts, pages: 1000, ...(rings ? { ringsOf: Types.columns(data.fields) } : {}) }
        const { received, sent } = run(data, script, options)
        const text = (row: unknown) =>
          JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : value))
        expect(received.flatMap(got => got.filter(Array.isArray).map(text)).sort()).toEqual(
          sent.flatMap(({ row }) => (row ? [text(row)] : [])).sort(),
        )
        for (const got of received) expect(got.filter(item => !Array.isArray(item))).toEqual(sent.flatMap(({ control }) => control ?? []))
        if (kind === 'SHUFFLE') return
        const counts = received.map(got => got.filter(Array.isArray).length)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }),
      { numRuns: runs(200) },
    )
  })

  const layouts = [columnLayout('INT'), columnLayout('STRING')]
  const type = Types.columns([
    { name: 'a', type: 'INT' },
    { name: 'b', type: 'STRING' },
  ])
  const numbers = (count: number, text = 'x') => Array.from({ length: count }, (_, i) => [i, text])

  test('FORWARD inside a slot passes a frame on by reference, and collects small ones', () => {
    const { writer, gates } = setup({ kind: 'FORWARD', channels: 1, layouts })
    const frame = frameOf(numbers(8), layouts)
    writer.collectFrame(frame)
    expect(gates[0]?.poll()).toMatchObject({ frame })
    for (let i = 0; i < 8; i++) writer.collectFrame(frameOf([[i, 'small']], layouts))
    const element = gates[0]?.poll()
    expect(element?.kind === 'frame' && element.frame.kind === 'columnar' && element.frame.length).toBe(8)
    expect(writer.numBuffersOut).toBe(2)
  })

  test('BROADCAST shares the frame between channels of the slot', () => {
    const { writer, gates } = setup({ kind: 'BROADCAST', channels: 3, layouts })
    const frame = frameOf(numbers(8), layouts)
    writer.collectFrame(frame)
    for (const gate of gates) {
      const element = gate.poll()
      expect(element?.kind === 'frame' && element.frame).toBe(frame)
    }
  })

  test('a full output takes one more whole frame without a page for the spill, whatever its partition', () => {
    for (const kind of ['HASH', 'FORWARD', 'REBALANCE', 'BROADCAST'] as const) {
      const channels = kind === 'FORWARD' ? 1 : 3
      const { writer, gates } = setup({ kind, channels, layouts, ringsOf: type, rowsPerFrameMax: 2048 })
      const received: Received[] = gates.map(() => [])
      const rows = Array.from({ length: 2048 }, (_, i) => [i, 'a text that makes pages full'.repeat(3)])
      for (let i = 0; i < 20; i++) {
        while (!writer.drain()) for (const [g, gate] of gates.entries()) take(gate, layouts, received[g]!)
        writer.collectFrame(frameOf(rows, layouts))
      }
      writer.flush()
      readAll(writer, () => gates.some((gate, g) => take(gate, layouts, received[g]!)))
      writer.flush()
      readAll(writer, () => gates.some((gate, g) => take(gate, layouts, received[g]!)))
      expect(received.reduce((sum, got) => sum + got.length, 0)).toBe(20 * 2048 * (kind === 'BROADCAST' ? 3 : 1))
    }
  })

  test('frames of HASH over rings hold about a page', () => {
    const { writer, gates } = setup({ kind: 'HASH', channels: 2, layouts, ringsOf: type, rowsPerFrameMax: 2048 })
    const sizes: number[] = []
    for (let i = 0; i < 40; i++) {
      writer.collectFrame(frameOf(numbers(1000, 'y'.repeat(52)), layouts))
      do {
        for (const gate of gates) {
          const element = gate.poll()
          if (element?.kind === 'frame' && element.frame.kind === 'columnar') sizes.push(element.frame.length)
        }
      } while (!writer.drain())
    }
    const typical = sizes.slice(10)
    expect(typical.length).toBeGreaterThan(20)
    for (const size of typical) expect(size).toBeGreaterThan(300)
    for (const size of typical) expect(size).toBeLessThan(1000)
  })

  test('the rows of an update stay in one frame and on one channel', () => {
    for (const kind of ['REBALANCE', 'SHUFFLE', 'FORWARD', 'HASH'] as const) {
      const channels = kind === 'FORWARD' ? 1 : 3
      const { writer, gates } = setup({ kind, channels, layouts, rowsPerFrameMax: 5 })
      const rows = Array.from({ length: 80 }, (_, i) => [Math.floor(i / 2), 'u'])
      const kinds = Uint8Array.from(rows, (_, i) => 1 + (i % 2))
      const seen: string[] = []
      const read = () => {
        for (const gate of gates) {
          const element = gate.poll()
          if (element?.kind !== 'frame' || element.frame.kind !== 'columnar') continue
          const part = shown(element.frame, layouts)
          seen.push((part.kinds ?? []).join(''))
        }
      }
      for (let i = 0; i < rows.length; i += 8) {
        writer.collectFrame(frameOf(rows.slice(i, i + 8), layouts, undefined, kinds.slice(i, i + 8)))
        for (let n = 0; n < 9 || !writer.drain(); n++) read()
      }
      for (let n = 0; n < 9; n++) {
        writer.flush()
        read()
      }
      expect(seen.join('').length).toBe(80)
      for (const text of seen) expect(text).toMatch(/^(12)+$/)
    }
  })

  test('frames of other columns than the first are our bug', () => {
    const { writer } = setup({ kind: 'FORWARD', channels: 1, layouts })
    writer.collectFrame(frameOf(numbers(1), layouts))
    expect(() => writer.collectFrame(frameOf([['a', 1]], [columnLayout('STRING'), columnLayout('INT')]))).toThrow(/same columns/)
  })
})
