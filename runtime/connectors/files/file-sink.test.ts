import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ConnectorHarness, operatorOf } from '../../../test/support/connector-harness.ts'
import { MemoryFiles } from '../../../test/support/memory-recoverable-writer.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { seededRandom } from '../../common/random.ts'
import type { TypeInformation } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import type { BucketContext, FileSinkOperator } from '../../stream/operators/file-sink-operator.ts'
import { OPEN_PARTS_MAX } from '../../stream/operators/part-buckets.ts'
import { BasePathBucketAssigner, type BucketAssigner, DateTimeBucketAssigner } from './bucket-assigners.ts'
import { SimpleStringEncoder } from './encoders.ts'
import { FileSink, OutputFileConfig, type RowFormatBuilder } from './file-sink.ts'
import { fileSinkTransport } from './file-sink-transport.ts'
import { DefaultRollingPolicy, OnCheckpointRollingPolicy } from './rolling-policies.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-file-sink-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

class Sink {
  readonly files = new MemoryFiles()
  readonly clock = new SimulatedClock()
  readonly harness: ConnectorHarness
  readonly operator: FileSinkOperator
  private checkpointId = 0

  constructor(builder: RowFormatBuilder<never>, options: { checkpointing?: boolean; type?: TypeInformation } = {}) {
    // The definition's factory makes it.
    this.operator = operatorOf(builder.build().define((options.type ?? Types.STRING) as never)) as FileSinkOperator
    const sinks = { 'file-sink': fileSinkTransport(seededRandom(1), (_path, owner) => this.files.writer(owner)) }
    this.harness = new ConnectorHarness(this.operator, {
      clock: this.clock,
      checkpointingEnabled: options.checkpointing ?? true,
      registry: { fetchers: {}, sinks },
    })
  }

  write(...rows: readonly unknown[]): void {
    this.operator.pollAsyncHalf()
    for (const row of rows) this.operator.processElement(row, Number.NaN)
  }

  advanceTo(timeMs: number): void {
    this.clock.advanceTo(timeMs)
    if (this.operator.nextTimerMs() <= timeMs) this.operator.processTimers(timeMs)
  }

  async checkpoint(): Promise<void> {
    await this.harness.until(() => this.operator.prepareSnapshotPreBarrier())
    this.operator.snapshot({ checkpointId: ++this.checkpointId, timestampMs: 0, type: 'checkpoint' })
    this.operator.notifyCheckpointComplete(this.checkpointId)
    await this.harness.until(() => this.operator.commitsDone())
  }

  /** Texts by folder, in order of the files' counters. */
  visible(): Record<string, string[]> {
    const folders: Record<string, string[]> = {}
    const counter = (path: string) => Number(/-(\d+)[^-/]*$/.exec(path)?.[1])
    const entries = Object.entries(this.files.visible()).sort(([a], [b]) => counter(a) - counter(b))
    for (const [path, text] of entries) (folders[path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''] ??= []).push(text)
    return folders
  }
}

const lines = () => FileSink.forRowFormat<never>('/out', new SimpleStringEncoder<never>()).withBucketAssigner(new BasePathBucketAssigner())

describe('parts end', () => {
  test('before the row that finds them larger than the part size', async () => {
    const sink = new Sink(lines().withRollingPolicy(DefaultRollingPolicy.builder().withMaxPartSize(4).build()))
    await sink.harness.open()
    // Two lines of two bytes are four, which is not more than four.
    sink.write('a', 'b', 'c', 'd', 'e')
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ '': ['a\nb\nc\n'] })
    sink.write('f', 'g')
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ '': ['a\nb\nc\n', 'd\ne\nf\n'] })
    await sink.harness.close()
  })

  test('at a checkpoint, when they are larger than the part size then', async () => {
    const sink = new Sink(lines().withRollingPolicy(DefaultRollingPolicy.builder().withMaxPartSize('4 b').build()))
    await sink.harness.open()
    sink.write('abcd')
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ '': ['abcd\n'] })
    await sink.harness.close()
  })

  test('when they are as old as the rollover interval, looked at every check interval', async () => {
    const policy = DefaultRollingPolicy.builder().withRolloverInterval('15 s').withInactivityInterval('1 h').build()
    const sink = new Sink(lines().withRollingPolicy(policy).withBucketCheckInterval('10 s'))
    await sink.harness.open()
    sink.write('a')
    sink.advanceTo(10_000)
    sink.write('b')
    await sink.checkpoint()
    expect(sink.visible()).toEqual({})
    // Due at 15 s, found at 20 s.
    sink.advanceTo(15_000)
    sink.write('c')
    sink.advanceTo(20_000)
    sink.write('d')
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ '': ['a\nb\nc\n'] })
    await sink.harness.close()
  })

  test('when nothing was written for the inactivity interval', async () => {
    const policy = DefaultRollingPolicy.builder().withRolloverInterval('1 h').withInactivityInterval('15 s').build()
    const sink = new Sink(lines().withRollingPolicy(policy).withBucketCheckInterval('10 s'))
    await sink.harness.open()
    sink.write('a')
    sink.advanceTo(10_000)
    sink.write('b')
    sink.advanceTo(20_000)
    await sink.checkpoint()
    expect(sink.visible()).toEqual({})
    sink.advanceTo(30_000)
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ '': ['a\nb\n'] })
    expect(sink.operator.nextTimerMs()).toBe(Number.POSITIVE_INFINITY)
    await sink.harness.close()
  })

  test('only at checkpoints with OnCheckpointRollingPolicy', async () => {
    const sink = new Sink(lines().withRollingPolicy(OnCheckpointRollingPolicy.build()))
    await sink.harness.open()
    sink.write('a', 'b')
    sink.advanceTo(3_600_000)
    sink.write('c')
    await sink.checkpoint()
    sink.write('d')
    await sink.checkpoint()
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ '': ['a\nb\nc\n', 'd\n'] })
    await sink.harness.close()
  })

  test('while a barrier waits for the last answer: then it waits for one more', async () => {
    const policy = DefaultRollingPolicy.builder().withRolloverInterval('10 s').build()
    const sink = new Sink(lines().withRollingPolicy(policy).withBucketCheckInterval('10 s'))
    await sink.harness.open()
    sink.write('a')
    sink.clock.advanceTo(10_000)
    expect(sink.operator.prepareSnapshotPreBarrier()).toBe(false)
    sink.operator.processTimers(10_000)
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ '': ['a\n'] })
    await sink.harness.close()
  })

  test('when more are open than a subtask may have: the one longest unused', async () => {
    const sink = new Sink(lines().withBucketAssigner(row => `b${String(row)}`))
    await sink.harness.open()
    for (let row = 0; row < OPEN_PARTS_MAX; row++) {
      sink.advanceTo(row)
      sink.write(row)
    }
    sink.advanceTo(1_000)
    sink.write(0, OPEN_PARTS_MAX)
    await sink.checkpoint()
    expect(sink.visible()).toEqual({ b1: ['1\n'] })
    await sink.harness.close()
  })
})

describe('without checkpoints', () => {
  test('nothing is seen before the end of the input, everything at it', async () => {
    const sink = new Sink(lines().withRollingPolicy(DefaultRollingPolicy.builder().withMaxPartSize(1).build()), { checkpointing: false })
    await sink.harness.open()
    sink.write('a', 'b', 'c')
    await sink.harness.until(() => sink.operator.prepareSnapshotPreBarrier())
    expect(sink.visible()).toEqual({})
    await sink.harness.sink([])
    expect(sink.visible()).toEqual({ '': ['a\n', 'b\n', 'c\n'] })
    expect(sink.files.hidden()).toEqual([])
    await sink.harness.close()
  })

  test('a sink that is closed before the end leaves nothing', async () => {
    const sink = new Sink(lines().withRollingPolicy(DefaultRollingPolicy.builder().withMaxPartSize(1).build()), { checkpointing: false })
    await sink.harness.open()
    sink.write('a', 'b', 'x'.repeat(100_000))
    await sink.harness.close()
    expect(Object.keys(sink.files.visible())).toEqual([])
    expect(sink.files.hidden()).toEqual([])
  })
})

test('what a snapshot brings back is committed at once, before any row and any checkpoint', async () => {
  const first = new Sink(lines().withRollingPolicy(OnCheckpointRollingPolicy.build()))
  await first.harness.open()
  first.write('a')
  await first.harness.until(() => first.operator.prepareSnapshotPreBarrier())
  const snapshot = first.operator.snapshot({ checkpointId: 1, timestampMs: 0, type: 'checkpoint' })
  await first.harness.close()
  expect(first.visible()).toEqual({})
  const second = new Sink(lines())
  for (const [path, text] of first.files.files) second.files.files.set(path, text)
  second.operator.restore(snapshot)
  await second.harness.open()
  await second.harness.until(() => second.operator.commitsDone())
  expect(second.visible()).toEqual({ '': ['a\n'] })
  await second.harness.close()
})

test('a checkpoint that was aborted leaves its parts to the next one that completes', async () => {
  const sink = new Sink(lines().withRollingPolicy(OnCheckpointRollingPolicy.build()))
  await sink.harness.open()
  sink.write('a')
  await sink.harness.until(() => sink.operator.prepareSnapshotPreBarrier())
  sink.operator.snapshot({ checkpointId: 1, timestampMs: 0, type: 'checkpoint' })
  sink.write('b')
  await sink.harness.until(() => sink.operator.prepareSnapshotPreBarrier())
  sink.operator.snapshot({ checkpointId: 2, timestampMs: 0, type: 'checkpoint' })
  sink.write('c')
  await sink.harness.until(() => sink.operator.prepareSnapshotPreBarrier())
  sink.operator.notifyCheckpointComplete(2)
  await sink.harness.until(() => sink.operator.commitsDone())
  // What was prepared after it belongs to no completed checkpoint yet.
  expect(sink.visible()).toEqual({ '': ['a\n', 'b\n'] })
  await sink.harness.close()
})

test('rows larger than a batch stay in order, and a full async half blocks the task', async () => {
  const sink = new Sink(lines(), { checkpointing: false })
  await sink.harness.open()
  const rows = Array.from({ length: 60 }, (_, i) => `${i} ${'x'.repeat(i % 7 === 3 ? 100_000 : 10_000)}`)
  let blocked = 0
  for (const row of rows) {
    if (sink.harness.blockers > 0) {
      blocked++
      await sink.harness.until(() => sink.harness.blockers === 0)
    }
    sink.operator.processElement(row, Number.NaN)
  }
  await sink.harness.sink([])
  expect(blocked).toBeGreaterThan(0)
  expect(sink.visible()).toEqual({ '': [rows.map(row => `${row}\n`).join('')] })
  await sink.harness.close()
})

describe('buckets', () => {
  const bucketAt = (assigner: BucketAssigner<unknown>, time: string) => {
    const context: BucketContext = { currentProcessingTime: () => Date.parse(time), currentWatermark: () => 0, timestamp: () => null }
    return assigner.getBucketId(null, context)
  }

  // Java's DateTimeFormatter; the default and its text are from Flink's documentation of the FileSink.
  test.each([
    [undefined, 'UTC', '2026-01-31T17:05:09Z', '2026-01-31--17'],
    [undefined, 'Asia/Kolkata', '2026-01-31T19:05:09Z', '2026-02-01--00'],
    ["yyyy/MM/dd/'h'HH-mm", 'America/New_York', '2026-07-04T03:59:00Z', '2026/07/03/h23-59'],
    ['yy M d H:m:s', 'UTC', '2026-03-04T05:06:07Z', '26 3 4 5:6:7'],
    ["''yyyy''", 'UTC', '2026-03-04T05:06:07Z', "'2026'"],
  ])('pattern %s in %s', (pattern, zone, time, expected) => {
    expect(bucketAt(new DateTimeBucketAssigner(pattern, zone), time)).toBe(expected)
  })

  test('by processing time: a new folder when its unit of time has passed', () => {
    const assigner = new DateTimeBucketAssigner('HH-mm-ss', 'UTC')
    expect(['00:00:00.000Z', '00:00:00.999Z', '00:00:01.000Z', '00:01:00.000Z'].map(time => bucketAt(assigner, `2026-01-01T${time}`))).toEqual([
      '00-00-00',
      '00-00-00',
      '00-00-01',
      '00-01-00',
    ])
  })

  test.each([
    ['yyyy-DDD', 'the letter D'],
    ['yyyyy', 'yyyyy'],
    ['MMM', 'MMM'],
    ["yyyy'", "'"],
    ['[yyyy]', '['],
  ])('pattern %s is refused', (pattern, what) => {
    expect(() => new DateTimeBucketAssigner(pattern)).toThrow(`has ${what};`)
  })

  test('a zone that does not exist is refused', () => {
    expect(() => new DateTimeBucketAssigner('yyyy', 'Mars/Olympus')).toThrow('"Mars/Olympus" is no time zone')
  })

  test.each([['../up'], ['/root'], ['a//b'], ['.hidden'], ['a/..'], [7], ['a\0']])('a bucket %j is refused', async bucket => {
    const sink = new Sink(lines().withBucketAssigner(() => bucket as string))
    await sink.harness.open()
    expect(() => sink.write('a')).toThrow('the bucket assigner answered')
    await sink.harness.close()
  })

  test('an own function sees row, watermark, processing time and timestamp', async () => {
    const seen: unknown[] = []
    const sink = new Sink(
      lines().withBucketAssigner((row, context) => {
        seen.push([row, context.currentProcessingTime(), context.currentWatermark(), context.timestamp()])
        return 'x/y'
      }),
    )
    await sink.harness.open()
    sink.advanceTo(40)
    sink.write('a')
    sink.operator.processWatermark(17)
    sink.operator.processElement('b', 21)
    await sink.harness.close()
    expect(seen).toEqual([
      ['a', 40, Number.NEGATIVE_INFINITY, null],
      ['b', 40, 17, 21],
    ])
  })
})

describe('names and bytes', () => {
  test('parts are <prefix>-<uid>-<counter><suffix>, hidden by a dot until they are committed', async () => {
    const config = OutputFileConfig.builder().withPartPrefix('orders').withPartSuffix('.txt').build()
    const sink = new Sink(
      lines()
        .withOutputFileConfig(config)
        .withBucketAssigner(row => `${String(row).length}`),
    )
    await sink.harness.open()
    sink.write('a', 'bb')
    await sink.harness.until(() => sink.operator.prepareSnapshotPreBarrier())
    const [job, operator] = ['1', '2'].map(digit => digit.padStart(32, '0'))
    const hidden = sink.files.hidden().sort()
    expect(hidden.map(path => path.replace(/[0-9a-f]{32}-/, '<uid>-'))).toEqual([
      `1/.orders-<uid>-0.txt.inprogress.${job}.${operator}.0.0`,
      `2/.orders-<uid>-1.txt.inprogress.${job}.${operator}.0.0`,
    ])
    await sink.harness.until(() => sink.operator.endInput())
    await sink.checkpoint()
    expect(Object.keys(sink.files.visible()).map(path => path.replace(/[0-9a-f]{32}-/, '<uid>-'))).toEqual([
      '1/orders-<uid>-0.txt',
      '2/orders-<uid>-1.txt',
    ])
    await sink.harness.close()
  })

  test('an own encoder writes texts and bytes; SimpleStringEncoder writes what print shows', async () => {
    const own = new Sink(
      FileSink.forRowFormat<never>('/out', (row, stream) => {
        stream.write(`<${String(row)}>`)
        stream.write(Uint8Array.of(33))
      }).withBucketAssigner(new BasePathBucketAssigner()),
      { checkpointing: false },
    )
    await own.harness.open()
    await own.harness.sink(['ä', 'b'])
    expect(own.visible()).toEqual({ '': ['<ä>!<b>!'] })
    await own.harness.close()
    const tuples = new Sink(lines(), { checkpointing: false, type: Types.tuple(Types.STRING, Types.DOUBLE) as TypeInformation })
    await tuples.harness.open()
    await tuples.harness.sink([['a', 65]])
    expect(tuples.visible()).toEqual({ '': ['(a,65.0)\n'] })
    await tuples.harness.close()
  })

  test('an encoder or an assigner that throws fails the task as the user’s function', async () => {
    const fail = () => {
      throw new Error('no way')
    }
    for (const builder of [FileSink.forRowFormat<never>('/out', fail), lines().withBucketAssigner(fail)]) {
      const sink = new Sink(builder)
      await sink.harness.open()
      expect(() => sink.write('a')).toThrow(expect.objectContaining({ code: 'USER_FUNCTION', message: expect.stringContaining('no way') }))
      await sink.harness.close()
    }
  })
})

test.each([
  ['a path without anything', () => FileSink.forRowFormat('', new SimpleStringEncoder()), 'forRowFormat takes a path'],
  ['no encoder', () => FileSink.forRowFormat('/out', {} as never), 'forRowFormat takes an encoder'],
  ['an async encoder', () => FileSink.forRowFormat('/out', async () => {}), 'forRowFormat'],
  ['another charset', () => new SimpleStringEncoder('UTF-16'), 'UTF-16'],
  ['an own rolling policy', () => lines().withRollingPolicy({} as never), 'own policies are not supported yet'],
  ['a part of no size', () => DefaultRollingPolicy.builder().withMaxPartSize(0), 'withMaxPartSize takes more than zero'],
  ['no interval', () => DefaultRollingPolicy.builder().withRolloverInterval('0 s'), 'withRolloverInterval takes more than zero'],
  ['a prefix that hides', () => OutputFileConfig.builder().withPartPrefix('_x'), 'would hide the files'],
  ['a prefix that is a folder', () => OutputFileConfig.builder().withPartPrefix('a/b'), "without '/'"],
  ['a suffix as long as a name', () => OutputFileConfig.builder().withPartSuffix('x'.repeat(41)), 'up to 40 bytes'],
  [
    'bulk formats',
    () => (FileSink as unknown as { forBulkFormat(): void }).forBulkFormat(),
    'FileSink.forBulkFormat: bulk formats are not supported yet',
  ],
  ['compaction', () => (lines() as unknown as { enableCompact(): void }).enableCompact(), 'FileSink.enableCompact: compaction is not supported yet'],
])('%s is refused', (_what, build, message) => {
  expect(build).toThrow(message)
})

test('over a real folder: buckets, a checkpoint, the end of the input', async () => {
  const path = join(root, 'out')
  const builder = FileSink.forRowFormat<string>(`file://${path}`, new SimpleStringEncoder()).withBucketAssigner(row => row.slice(0, 1))
  const operator = operatorOf(builder.build().define(Types.STRING as never)) as FileSinkOperator
  const harness = new ConnectorHarness(operator, { checkpointingEnabled: true })
  await harness.open()
  for (const row of ['a1', 'b1', 'a2']) operator.processElement(row, Number.NaN)
  await harness.until(() => operator.endInput())
  operator.snapshot({ checkpointId: 1, timestampMs: 0, type: 'checkpoint' })
  operator.notifyCheckpointComplete(1)
  await harness.until(() => operator.commitsDone())
  await harness.close()
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter(name => name.includes('/'))
  expect(files.sort().map(name => [name.slice(0, 2), readFileSync(join(path, name), 'utf8')])).toEqual([
    ['a/', 'a1\na2\n'],
    ['b/', 'b1\n'],
  ])
})
