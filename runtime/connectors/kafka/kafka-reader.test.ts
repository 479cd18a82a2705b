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
import type { StartingOffsets } from './starting-offsets.ts'
import { type DeserializationSchema, jsonFormat, schemaFormat, stringFormat } from './value-format.ts'

interface Given {
  readonly bounded?: boolean
  readonly format?: JsonObject
  readonly schema?: DeserializationSchema<unknown>
  readonly properties?: Readonly<Record<string, string>>
  readonly checkpointing?: boolean
  readonly restored?: boolean
  readonly startingOffsets?: StartingOffsets
}

/** A reader whose fetcher is the test. */
class Bench {
  readonly rows: { readonly value: unknown; readonly timestamp: number }[] = []
  readonly statuses: boolean[] = []
  readonly logged: string[] = []
  readonly opened: JsonObject[] = []
  readonly asked: JsonObject[] = []
  /** `topic-partition=offset` of each commit. */
  readonly commits: string[] = []
  readonly clock = new SimulatedClock()
  readonly counters: Record<string, number> = {}
  readonly elements: ChannelElement[] = []
  readonly reader: KafkaReader
  rowsPerPoll = Number.POSITIVE_INFINITY

  constructor(given: Given = {}) {
    const { bounded = false, format = stringFormat.json, schema, properties = {}, checkpointing = false, restored = false } = given
    const { settings } = parseProperties(new Map([['bootstrap.servers', 'a:1'], ...Object.entries(properties)]))
    const context: SourceReaderContext = {
      subtaskIndex: 1,
      parallelism: 4,
      checkpointing,
      restored,
      clock: this.clock,
      log: createLogger(entry => this.logged.push(entry.message)),
      io: {
        openSource: (type, options) => {
          expect(type).toBe('kafka')
          this.opened.push(options)
          return { poll: () => this.elements.shift(), send: (what, data) => this.sent(what, data), close: () => {} }
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
        counter: name => ({ inc: (count = 1) => void (this.counters[name] = (this.counters[name] ?? 0) + count), value: 0 }),
        gauge: () => {},
      },
    }
    this.reader = new KafkaReader(
      { settings: settingsJson(settings), startingOffsets: given.startingOffsets ?? 'earliest', bounded, format },
      schema,
      context,
    )
  }

  private sent(what: string, data: JsonObject): void {
    if (what === 'split') this.asked.push(data)
    else
      this.commits.push(
        (data['offsets'] as { topic: string; partition: number; offset: number }[])
          .map(({ topic, partition, offset }) => `${topic}-${partition}=${offset}`)
          .join(' '),
      )
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
    return this.reader.snapshotSplits(1).map(split => [split['partition'], split['startingOffset']])
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
    expect(idle.logged).toEqual([
      'Consumer subtask 1 commits offsets in mode DISABLED.',
      'Consumer subtask 1 initially has no partitions to read from.',
    ])
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
    expect(logged.slice(1)).toEqual([
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
    expect(lenient.counters['numRecordsInErrors']).toBe(2)
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

  test('told that there are no partitions for it at the moment, a reader is idle, and reads what is found later, from its earliest offset in the log', () => {
    const bench = new Bench({ properties: {} })
    bench.reader.addSplits([])
    expect([bench.poll(), bench.statuses]).toEqual(['nothing', [true]])
    bench.reader.addSplits([{ splitId: 't-7', topic: 't', partition: 7, startingOffset: 3, stoppingOffset: null }])
    bench.send(0, 3, 'a')
    bench.poll()
    expect([bench.values(), bench.statuses]).toEqual([['a'], [true, false]])
    expect(bench.logged.slice(1)).toEqual([
      'Consumer subtask 1 initially has no partitions to read from.',
      "Consumer subtask 1 will start reading the following 1 partitions from the earliest offsets: [KafkaTopicPartition{topic='t', partition=7}]",
      "Consumer subtask 1 creating fetcher with offsets {KafkaTopicPartition{topic='t', partition=7}=3}.",
    ])
  })

  test.each<readonly [string, string, StartingOffsets]>([
    ['the following 1 partitions from the committed group offsets in Kafka: [P]', 'earliest', { kind: 'committed', reset: 'earliest' }],
    ['the following 1 partitions from timestamp 1234: [P]', 'latest', { kind: 'timestamp', timestampMs: 1234 }],
    [
      'the following 1 partitions from the specified startup offsets {t-0=5}: [P]',
      'none',
      { kind: 'specific', offsets: { 't-0': 5 }, reset: 'none' },
    ],
    ['the following 1 partitions from the latest offsets: [P]', 'latest', 'latest'],
  ])('will start reading %s; what is not in the log is reset to %s', (words, reset, startingOffsets) => {
    const bench = new Bench({ startingOffsets }).assign([0, 5, null])
    const partition = "KafkaTopicPartition{topic='t', partition=0}"
    expect(bench.logged[1]).toBe(`Consumer subtask 1 will start reading ${words.replace('P]', `${partition}]`)}`)
    expect(bench.opened[0]?.['offsetReset']).toBe(reset)
  })

  test('a restored reader says so, and what comes later is no restored state', () => {
    const bench = new Bench({ restored: true }).assign([0, 5, null])
    bench.assign([1, 0, null])
    expect(bench.logged.slice(1).filter(line => line.includes('will start'))).toEqual([
      "Consumer subtask 1 will start reading 1 partitions with offsets in restored state: {KafkaTopicPartition{topic='t', partition=0}=5}",
      "Consumer subtask 1 will start reading the following 1 partitions from the earliest offsets: [KafkaTopicPartition{topic='t', partition=1}]",
    ])
  })
})

describe('Kafka reader: commits', () => {
  const group = { 'group.id': 'g' }

  test('when a checkpoint completes, exactly the offsets of its barrier are committed: the next ones to read', () => {
    const bench = new Bench({ properties: group, checkpointing: true }).assign([0, 0, null], [3, 10, null])
    bench.send(0, 0, 'a', 'b')
    bench.poll()
    bench.reader.snapshotSplits(1)
    bench.send(1, 10, 'x')
    bench.poll()
    bench.reader.snapshotSplits(2)
    bench.send(0, 2, 'c')
    bench.poll()
    expect(bench.commits).toEqual([])
    bench.reader.notifyCheckpointComplete(1)
    bench.reader.notifyCheckpointComplete(2)
    expect(bench.commits).toEqual(['t-0=2', 't-0=2 t-3=11'])
  })

  test('what an older checkpoint had is dropped when a newer one completes, and what an aborted one had', () => {
    const bench = new Bench({ properties: group, checkpointing: true }).assign([0, 0, null])
    for (const id of [1, 2, 3]) {
      bench.send(0, id - 1, `v${id}`)
      bench.poll()
      bench.reader.snapshotSplits(id)
    }
    bench.reader.notifyCheckpointAborted(3)
    bench.reader.notifyCheckpointComplete(2)
    bench.reader.notifyCheckpointComplete(1)
    bench.reader.notifyCheckpointComplete(3)
    expect(bench.commits).toEqual(['t-0=2'])
  })

  test('a checkpoint before anything was fetched holds the start as it was, and its completion commits nothing', () => {
    for (const restored of [false, true]) {
      const bench = new Bench({ properties: group, checkpointing: true, restored }).assign([0, 40, null])
      expect(bench.poll()).toBe('nothing')
      expect(bench.reader.snapshotSplits(1)).toEqual([{ splitId: 't-0', topic: 't', partition: 0, startingOffset: 40, stoppingOffset: null }])
      bench.reader.notifyCheckpointComplete(1)
      expect(bench.commits).toEqual([])
    }
  })

  test('a bounded split that is at its end is committed with the next checkpoint', () => {
    const bench = new Bench({ properties: group, checkpointing: true, bounded: true }).assign([0, 0, 2])
    bench.send(0, 0, 'a', 'b')
    expect(bench.poll()).toBe('end')
    expect(bench.reader.snapshotSplits(1)).toEqual([])
    bench.reader.notifyCheckpointComplete(1)
    expect(bench.commits).toEqual(['t-0=2'])
  })

  test('by time, without checkpoints: where the reader stands every auto.commit.interval.ms, if it has moved', () => {
    const bench = new Bench({ properties: { ...group, 'auto.commit.interval.ms': '700' } }).assign([0, 0, null])
    bench.clock.advanceBy(700)
    bench.send(0, 0, 'a')
    bench.poll()
    bench.clock.advanceBy(699)
    expect(bench.commits).toEqual([])
    bench.clock.advanceBy(1)
    bench.clock.advanceBy(1_400)
    bench.send(0, 1, 'b')
    bench.poll()
    bench.clock.advanceBy(700)
    expect(bench.commits).toEqual(['t-0=1', 't-0=2'])
    bench.reader.close()
    expect(bench.clock.pendingCount).toBe(0)
  })

  test.each([
    ['ON_CHECKPOINTS', true, group],
    ['DISABLED', true, { ...group, 'commit.offsets.on.checkpoint': 'false' }],
    ['ON_CHECKPOINTS', true, { ...group, 'enable.auto.commit': 'false' }],
    ['KAFKA_PERIODIC', false, group],
    ['KAFKA_PERIODIC', false, { ...group, 'commit.offsets.on.checkpoint': 'false' }],
    ['DISABLED', false, { ...group, 'enable.auto.commit': 'false' }],
    ['DISABLED', true, {}],
    ['DISABLED', false, {}],
  ] as const)('offset commit mode %s, checkpointing %s, properties %j, and nothing else is committed', (mode, checkpointing, properties) => {
    const bench = new Bench({ checkpointing, properties }).assign([0, 0, null])
    expect(bench.logged[0]).toBe(`Consumer subtask 1 commits offsets in mode ${mode}.`)
    bench.send(0, 0, 'a')
    bench.poll()
    bench.reader.snapshotSplits(1)
    bench.reader.notifyCheckpointComplete(1)
    expect(bench.commits.length).toBe(mode === 'ON_CHECKPOINTS' ? 1 : 0)
    bench.clock.advanceBy(5_000)
    expect(bench.commits.length).toBe(mode === 'DISABLED' ? 0 : 1)
    bench.reader.close()
  })

  test('how commits went is counted, also while there is nothing to read', () => {
    const bench = new Bench({ properties: group, checkpointing: true, bounded: true })
    bench.reader.addSplits([{ splitId: 't-0', topic: 't', partition: 0, startingOffset: 0, stoppingOffset: 1 }])
    bench.send(0, 0, 'a')
    bench.poll()
    bench.elements.push({ kind: 'event', what: 'commits', data: '{"succeeded":2,"failed":1}' })
    expect(bench.poll()).toBe('nothing')
    expect(bench.counters).toEqual({ commitsSucceeded: 2, commitsFailed: 1 })
  })
})
