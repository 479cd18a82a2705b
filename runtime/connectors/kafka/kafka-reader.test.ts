import { describe, expect, test } from 'vitest'
import { buildBatch } from '../../../test/support/kafka-batches.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import type { JsonObject } from '../../common/json.ts'
import { createLogger } from '../../common/log.ts'
import type { ChannelElement } from '../../network/frame.ts'
import { Types } from '../../serde/types.ts'
import type { SourceReaderContext } from '../../stream/spi/source.ts'
import { KafkaReader } from './kafka-reader.ts'
import { parseProperties, settingsJson } from './settings.ts'
import { type DeserializationSchema, jsonFormat, schemaFormat, stringFormat } from './value-format.ts'

interface Given {
  readonly bounded?: boolean
  readonly format?: JsonObject
  readonly schema?: DeserializationSchema<unknown>
}

/** A reader whose fetcher is the test. */
class Bench {
  readonly rows: { readonly value: unknown; readonly timestamp: number }[] = []
  readonly statuses: boolean[] = []
  readonly logged: string[] = []
  readonly opened: JsonObject[] = []
  readonly asked: JsonObject[] = []
  readonly elements: ChannelElement[] = []
  readonly reader: KafkaReader
  errors = 0
  rowsPerPoll = Number.POSITIVE_INFINITY

  constructor({ bounded = false, format = stringFormat.json, schema }: Given = {}) {
    const { settings } = parseProperties(new Map([['bootstrap.servers', 'a:1']]))
    const context: SourceReaderContext = {
      subtaskIndex: 1,
      parallelism: 4,
      clock: new SimulatedClock(),
      log: createLogger(entry => this.logged.push(entry.message)),
      io: {
        openSource: (type, options) => {
          expect(type).toBe('kafka')
          this.opened.push(options)
          return { poll: () => this.elements.shift(), send: (_what, data) => void this.asked.push(data), close: () => {} }
        },
        openSink: () => {
          throw new Error('a source opens no sink')
        },
      },
      requestSplit: () => {},
      wake: () => {},
      fail: error => {
        throw error
      },
      metrics: {
        recordsIn: () => {},
        recordsOut: () => {},
        counter: name => ({ inc: (count = 1) => void (this.errors += name === 'numRecordsInErrors' ? count : 0), value: 0 }),
        gauge: () => {},
      },
    }
    this.reader = new KafkaReader({ settings: settingsJson(settings), startingOffsets: 'earliest', bounded, format }, schema, context)
  }

  assign(...splits: readonly (readonly [partition: number, start: number, stop: number | null])[]): this {
    this.reader.addSplits(
      splits.map(([partition, startingOffset, stoppingOffset]) => ({
        splitId: `t-${partition}`,
        topic: 't',
        partition,
        startingOffset,
        stoppingOffset,
      })),
    )
    this.reader.noMoreSplits()
    return this
  }

  send(tag: number, baseOffset: number, ...values: readonly (string | null)[]): void {
    this.elements.push({ kind: 'raw', tag, position: baseOffset, bytes: buildBatch({ baseOffset, records: values.map(value => ({ value })) }) })
  }

  poll(): 'more' | 'nothing' | 'end' {
    const until = this.rows.length + this.rowsPerPoll
    return this.reader.poll({
      collect: (value, timestamp) => void this.rows.push({ value, timestamp }),
      collectFrame() {},
      emitWatermark: () => {},
      emitStatus: idle => void this.statuses.push(idle),
      shouldYield: () => this.rows.length >= until,
    })
  }

  values(): unknown[] {
    return this.rows.map(row => row.value)
  }

  positions(): unknown[] {
    return this.reader.snapshotSplits().map(split => [split['partition'], split['startingOffset']])
  }
}

describe('Kafka reader', () => {
  test('emits the records of interleaved splits with their times and keeps a position for each, after every row', () => {
    const bench = new Bench().assign([0, 0, null], [3, 10, null])
    bench.send(0, 0, 'a', 'b')
    bench.send(1, 10, 'x', 'y')
    bench.send(0, 2, 'c')
    bench.rowsPerPoll = 1
    const seen: unknown[] = []
    while (bench.poll() === 'more') seen.push([bench.values().at(-1), ...bench.positions()])
    expect(seen).toEqual([
      ['a', [0, 1], [3, 10]],
      ['b', [0, 2], [3, 10]],
      ['x', [0, 2], [3, 11]],
      ['y', [0, 2], [3, 12]],
      ['c', [0, 3], [3, 12]],
    ])
    expect(bench.rows[0]?.timestamp).toBe(1_000)
    expect(bench.reader.describePosition()).toBe('topic t, partition 0, offset 2')
  })

  test('leaves out what lies before its position in a batch, and records without a value', () => {
    const bench = new Bench().assign([0, 2, null])
    bench.send(0, 0, 'a', 'b', null, 'd')
    expect(bench.poll()).toBe('nothing')
    expect(bench.values()).toEqual(['d'])
    expect(bench.positions()).toEqual([[0, 4]])
  })

  test('a bounded reader stops in the middle of a batch, ignores what the fetcher had sent beyond, and ends when all splits have', () => {
    const bench = new Bench({ bounded: true }).assign([0, 0, 3], [1, 0, 1])
    bench.send(0, 0, 'a', 'b')
    bench.send(0, 2, 'c', 'beyond')
    bench.send(0, 4, 'beyond')
    expect(bench.poll()).toBe('nothing')
    bench.send(1, 0, 'z')
    expect(bench.poll()).toBe('end')
    expect(bench.values()).toEqual(['a', 'b', 'c', 'z'])
    expect(bench.positions()).toEqual([])
  })

  test('a bounded split whose last offsets hold no records ends too', () => {
    const bench = new Bench({ bounded: true }).assign([0, 0, 5])
    bench.elements.push({ kind: 'raw', tag: 0, position: 0, bytes: buildBatch({ baseOffset: 0, lastOffset: 3, records: [{ value: 'a' }] }) })
    expect(bench.poll()).toBe('nothing')
    bench.elements.push({ kind: 'event', what: 'skipped', data: '{"tag":0,"position":5}' })
    expect(bench.poll()).toBe('end')
  })

  test('where compaction took the records before the end, the first one behind it is not emitted', () => {
    const bench = new Bench({ bounded: true }).assign([0, 0, 5])
    const records = [{ value: 'in' }, { value: 'out', offset: 5 }]
    bench.elements.push({ kind: 'raw', tag: 0, position: 0, bytes: buildBatch({ baseOffset: 0, records }) })
    expect(bench.poll()).toBe('end')
    expect(bench.values()).toEqual(['in'])
  })

  test('empty bounded partitions end at once and are never asked for', () => {
    const bench = new Bench({ bounded: true }).assign([0, 0, 0], [1, 7, 7])
    expect(bench.poll()).toBe('end')
    expect([bench.opened, bench.asked]).toEqual([[], []])
  })

  test('a bounded reader without partitions ends, an unbounded one is idle, once, and opens no connection', () => {
    expect(new Bench({ bounded: true }).assign().poll()).toBe('end')
    const idle = new Bench().assign()
    expect([idle.poll(), idle.poll()]).toEqual(['nothing', 'nothing'])
    expect(idle.statuses).toEqual([true])
    expect(idle.opened).toEqual([])
    expect(idle.logged).toEqual(['Consumer subtask 1 initially has no partitions to read from.'])
  })

  test('before its splits are known a reader is not idle: older records may still come', () => {
    const bench = new Bench()
    expect(bench.poll()).toBe('nothing')
    expect(bench.statuses).toEqual([])
  })

  test('an idle reader is active again with its first record', () => {
    const bench = new Bench().assign()
    bench.poll()
    bench.assign([0, 0, null])
    expect(bench.poll()).toBe('nothing')
    bench.send(0, 0, 'a')
    bench.poll()
    expect(bench.statuses).toEqual([true, false])
  })

  test('says where it starts in Flink’s words', () => {
    const { logged } = new Bench().assign([0, 5, null], [2, 0, null])
    expect(logged).toEqual([
      "Consumer subtask 1 will start reading the following 2 partitions from the earliest offsets: [KafkaTopicPartition{topic='t', partition=0}, KafkaTopicPartition{topic='t', partition=2}]",
      "Consumer subtask 1 creating fetcher with offsets {KafkaTopicPartition{topic='t', partition=0}=5, KafkaTopicPartition{topic='t', partition=2}=0}.",
    ])
  })

  test('a malformed record fails with its place; where errors are ignored it is counted and its neighbours pass', () => {
    const type = Types.row({ n: Types.INT })
    const strict = new Bench({ format: jsonFormat(type, false).json }).assign([2, 40, null])
    strict.send(0, 40, '{"n":1}', '{"n":true}')
    expect(() => strict.poll()).toThrow("topic t, partition 2, offset 41: the record's value does not parse: field n: expected INT, got boolean true")
    expect(strict.reader.describePosition()).toBe('topic t, partition 2, offset 41')
    const lenient = new Bench({ format: jsonFormat(type, true).json }).assign([2, 40, null])
    lenient.send(0, 40, '{"n":1}', '{"n":true}', '{"n"', '{"n":4}')
    lenient.poll()
    expect(lenient.values()).toEqual([{ n: 1 }, { n: 4 }])
    expect(lenient.errors).toBe(2)
    expect(lenient.positions()).toEqual([[2, 44]])
  })

  test('an own schema gets a copy of the bytes; what it throws is the user’s error', () => {
    const kept: Uint8Array[] = []
    const schema = {
      deserialize(value: Uint8Array) {
        kept.push(value)
        if (value.length === 2) throw new Error('two bytes')
        return value.length
      },
    }
    const bench = new Bench({ format: schemaFormat(schema).json, schema }).assign([0, 0, null])
    const bytes = buildBatch({ baseOffset: 0, records: [{ value: 'abc' }, { value: 'ab' }] })
    bench.elements.push({ kind: 'raw', tag: 0, position: 0, bytes })
    expect(() => bench.poll()).toThrow(/deserialize \(topic t, partition 0, offset 1\): two bytes/)
    bytes.fill(0)
    expect(Buffer.from(kept[0] ?? []).toString()).toBe('abc')
    expect(bench.values()).toEqual([3])
  })

  test('errors of the fetcher and broken batches fail the task; broken ones say where', () => {
    const failing = new Bench().assign([0, 0, null])
    failing.elements.push({ kind: 'event', what: 'error', data: '{"tag":-1,"code":"TIMEOUT","message":"kafka broker a:1 is slow"}' })
    expect(() => failing.poll()).toThrow('kafka broker a:1 is slow')
    const broken = new Bench().assign([0, 0, null])
    const bytes = buildBatch({ baseOffset: 3, records: [{ value: 'a' }] })
    bytes[bytes.length - 1]! ^= 1
    broken.elements.push({ kind: 'raw', tag: 0, position: 3, bytes })
    expect(() => broken.poll()).toThrow('topic t, partition 0: a kafka record batch at offset 3 is corrupt: its checksum is wrong')
  })

  test('bytes in shared memory are read like others', () => {
    const bench = new Bench().assign([0, 0, null])
    const batch = buildBatch({ baseOffset: 0, records: [{ value: 'é shared' }] })
    const bytes = new Uint8Array(new SharedArrayBuffer(batch.length + 8), 8)
    bytes.set(batch)
    bench.elements.push({ kind: 'raw', tag: 0, position: 0, bytes })
    bench.poll()
    expect(bench.values()).toEqual(['é shared'])
  })
})
