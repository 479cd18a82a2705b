import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FakeKafka } from '../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import type { JsonObject } from '../common/json.ts'
import { noLog } from '../common/log.ts'
import { type Random, seededRandom } from '../common/random.ts'
import { MetricGroup } from '../metrics/metric-group.ts'
import type { SourceSplit, SplitEnumerator, SplitEnumeratorContext, SplitEnumeratorFactory } from '../stream/spi/source.ts'
import type { SequenceSplit, StridedSplit } from './enumerators.ts'
import type { FileSplit } from './file-enumerator.ts'
import { kafkaEnumerator } from './kafka/kafka-enumerator.ts'
import type { KafkaSplit } from './kafka/kafka-split.ts'
import { parseProperties, settingsJson } from './kafka/settings.ts'
import { enumeratorRegistry } from './registry.ts'

/**
 * What every enumerator owes a checkpoint: in any history of readers that come, ask, finish splits and fail, and of snapshots that are restored at
 * another parallelism, each piece of the input is with one reader in the end. What the pieces are is known here, not asked of the enumerator.
 */
interface EnumeratorCase {
  readonly factory: SplitEnumeratorFactory
  readonly options: JsonObject
  pieces(): readonly string[]
  /** What a split stands for. */
  piecesOf(split: SourceSplit): readonly string[]
  /** The input grows. */
  readonly grow?: () => void
  /** Later pieces are still looked for when all that there were have been handed out. */
  readonly endless: boolean
}

const PARALLELISM_MAX = 5
const range = (from: number, to: number, step = 1) => Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step)

const fileSizes: Readonly<Record<string, number>> = { 'a.txt': 7, 'b.txt': 0, 'c.txt': 13, 'd.txt': 1 }
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-enumerators-'))
  for (const [name, size] of Object.entries(fileSizes)) await writeFile(join(folder, name), 'x'.repeat(size))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

function registered(name: string, given: Omit<EnumeratorCase, 'factory' | 'endless'>): EnumeratorCase {
  const factory = enumeratorRegistry[name]
  if (factory === undefined) throw new Error(`no enumerator ${name}`)
  return { ...given, factory, endless: false }
}

function kafka(bounded: boolean): EnumeratorCase {
  const cluster = new FakeKafka(2)
  let partitions = 3
  cluster.createTopic('t', partitions)
  const { settings } = parseProperties(
    new Map([
      ['bootstrap.servers', 'a:1'],
      ['partition.discovery.interval.ms', '1000'],
    ]),
  )
  return {
    factory: (options, context, restored) => kafkaEnumerator(options, context, restored, () => cluster.client()),
    options: { topics: ['t'], startingOffsets: 'earliest', bounded, settings: settingsJson(settings), ignoredProperties: [] },
    pieces: () => range(0, partitions).map(String),
    piecesOf: split => [String((split as KafkaSplit).partition)],
    ...(bounded
      ? {}
      : {
          grow: () => {
            partitions++
            cluster.createTopic('t', partitions)
          },
        }),
    endless: !bounded,
  }
}

/** By the registry's names; several of one enumerator have a word behind. */
const cases: Readonly<Record<string, () => EnumeratorCase>> = {
  file: () =>
    registered('file', {
      options: { path: folder },
      pieces: () => Object.entries(fileSizes).flatMap(([name, size]) => range(0, size).map(byte => `${name}:${byte}`)),
      piecesOf: split => {
        const { path, start, end } = split as FileSplit
        return range(start, end).map(byte => `${path.slice(folder.length + 1)}:${byte}`)
      },
    }),
  sequence: () =>
    registered('sequence', {
      options: { from: '5', to: '27' },
      pieces: () => range(5, 28).map(String),
      piecesOf: split => range(Number((split as SequenceSplit).next), Number((split as SequenceSplit).to) + 1).map(String),
    }),
  static: () =>
    registered('static', {
      options: { splits: ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(splitId => ({ splitId })) },
      pieces: () => ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
      piecesOf: split => [split.splitId],
    }),
  strided: () =>
    registered('strided', {
      options: { count: 23 },
      pieces: () => range(0, 23).map(String),
      piecesOf: split => {
        const { next, step, count } = split as StridedSplit
        return range(next, count ?? 0, step).map(String)
      },
    }),
  kafka: () => kafka(false),
  'kafka bounded': () => kafka(true),
}

interface Snapshot {
  readonly enumerator: JsonObject
  readonly held: readonly SourceSplit[]
  readonly finished: readonly SourceSplit[]
}

/** The coordinator and the readers of one job, attempt by attempt. */
class History {
  readonly subject: EnumeratorCase
  readonly random: Random
  readonly clock = new SimulatedClock()
  failure: unknown
  private enumerator!: SplitEnumerator
  private abort = new AbortController()
  private started: Promise<void> = Promise.resolve()
  private held: SourceSplit[][] = []
  private finished: SourceSplit[] = []
  private registered = new Set<number>()
  private told = new Set<number>()

  constructor(subject: EnumeratorCase, random: Random) {
    this.subject = subject
    this.random = random
  }

  begin(parallelism: number, from: Snapshot | undefined): void {
    this.abort = new AbortController()
    this.registered = new Set()
    this.told = new Set()
    this.held = Array.from({ length: parallelism }, () => [])
    this.finished = [...(from?.finished ?? [])]
    for (const split of from?.held ?? []) this.held[this.random.nextInt(parallelism)]?.push(split)
    const { held, told, registered: readers } = this
    const context: SplitEnumeratorContext = {
      parallelism,
      clock: this.clock,
      log: noLog,
      signal: this.abort.signal,
      metrics: new MetricGroup(),
      assignSplits: (reader, splits) => {
        expect(readers.has(reader)).toBe(true)
        expect(told.has(reader)).toBe(false)
        held[reader]?.push(...splits)
      },
      signalNoMoreSplits: reader => {
        expect(readers.has(reader)).toBe(true)
        told.add(reader)
      },
      fail: error => {
        this.failure ??= error
      },
    }
    const travelled = from === undefined ? undefined : (JSON.parse(JSON.stringify(from.enumerator)) as JsonObject)
    this.enumerator = this.subject.factory(this.subject.options, context, travelled)
    this.started = Promise.resolve(this.enumerator.start())
  }

  register(reader: number): void {
    if (this.registered.has(reader)) return
    this.registered.add(reader)
    this.enumerator.addReader(reader)
  }

  ask(reader: number): void {
    if (this.registered.has(reader)) this.enumerator.handleSplitRequest(reader)
  }

  finishOne(reader: number): void {
    this.finished.push(...(this.held[reader]?.splice(0, 1) ?? []))
  }

  failReader(reader: number): void {
    if (!this.registered.delete(reader)) return
    this.told.delete(reader)
    this.enumerator.addSplitsBack(reader, this.held[reader]?.splice(0) ?? [])
  }

  snapshot(): Snapshot {
    return { enumerator: this.enumerator.snapshot(), held: this.held.flat(), finished: [...this.finished] }
  }

  async end(): Promise<void> {
    this.abort.abort(new Error('the attempt has ended'))
    await this.enumerator.close()
  }

  anyReader(): number {
    return this.random.nextInt(this.held.length)
  }

  /** All readers are there, and everything that will be handed out has been. */
  async complete(): Promise<void> {
    for (const reader of this.held.keys()) this.register(reader)
    await this.started
    for (let i = 0; i < 3; i++) await this.rest()
  }

  async rest(): Promise<void> {
    await new Promise<void>(resolve => setImmediate(resolve))
    this.clock.advanceBy(1_000)
    await new Promise<void>(resolve => setImmediate(resolve))
  }

  pieces(): string[] {
    return [...this.finished, ...this.held.flat()].flatMap(split => this.subject.piecesOf(split))
  }

  get readersTold(): number {
    return this.told.size
  }

  get parallelism(): number {
    return this.held.length
  }
}

async function step(history: History, snapshots: Snapshot[]): Promise<void> {
  const { random, subject } = history
  switch (random.nextInt(9)) {
    case 0:
    case 1:
      return history.register(history.anyReader())
    case 2:
      return history.ask(history.anyReader())
    case 3:
      return history.finishOne(history.anyReader())
    case 4:
      return history.failReader(history.anyReader())
    case 5:
      snapshots.push(history.snapshot())
      return
    case 6:
      return history.rest()
    case 7:
      return subject.grow?.()
    case 8: {
      await history.end()
      // The last one, or none has been taken: from the beginning.
      history.begin(1 + random.nextInt(PARALLELISM_MAX), snapshots.at(-1))
    }
  }
}

test('every enumerator of the registry has a case', () => {
  expect([...new Set(Object.keys(cases).map(name => name.split(' ')[0]))].sort()).toEqual(Object.keys(enumeratorRegistry).sort())
})

describe.each(Object.keys(cases))('enumerator %s', name => {
  const create = cases[name]!

  test('random histories of readers, snapshots and restores at another parallelism: no split is lost, none is handed out twice', async () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed)
      const history = new History(create(), random)
      const snapshots: Snapshot[] = []
      history.begin(1 + random.nextInt(PARALLELISM_MAX), undefined)
      for (let i = random.nextInt(60); i > 0; i--) await step(history, snapshots)
      await history.complete()
      expect(history.failure).toBeUndefined()
      expect([`seed ${seed}`, ...history.pieces().sort()]).toEqual([`seed ${seed}`, ...[...history.subject.pieces()].sort()])
      expect(history.readersTold).toBe(history.subject.endless ? 0 : history.parallelism)
      await history.end()
    }
  })

  test('at the parallelism of the snapshot, what waits for a reader still waits for that reader', async () => {
    const history = new History(create(), seededRandom(1))
    history.begin(4, undefined)
    history.register(1)
    await history.rest()
    const straight = new History(create(), seededRandom(1))
    straight.begin(4, undefined)
    await straight.complete()
    const snapshot = history.snapshot()
    await history.end()
    history.begin(4, { ...snapshot, held: [] })
    await history.complete()
    const [restored, all] = [history.snapshot().held, straight.snapshot().held]
    const ids = (splits: readonly SourceSplit[]) => splits.map(({ splitId }) => splitId)
    expect(ids(restored)).toEqual(ids(all).filter(id => !ids(snapshot.held).includes(id)))
    expect(restored.length).toBeGreaterThan(0)
    await Promise.all([history.end(), straight.end()])
  })
})
