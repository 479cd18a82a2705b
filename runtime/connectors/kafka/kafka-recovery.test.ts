import { describe, expect, test } from 'vitest'
import { ConnectorHarness, operatorOf, RecordingEnumeratorContext } from '../../../test/support/connector-harness.ts'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { wholeSnapshot } from '../../../test/support/whole-snapshot.ts'
import { redistribute } from '../../checkpoint/redistribute.ts'
import type { JsonObject } from '../../common/json.ts'
import { type Random, seededRandom } from '../../common/random.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import type { SourceDescription, SourceSplit, SplitEnumerator } from '../../stream/spi/source.ts'
import { kafkaEnumerator } from './kafka-enumerator.ts'
import { KafkaSource } from './kafka-source.ts'
import { OffsetsInitializer } from './offsets-initializer.ts'

/**
 * A source without end in checkpoints: its enumerator, readers and fetchers over a cluster whose brokers come and go and whose topic grows, taken down
 * anywhere and restored from the last checkpoint that was complete, at another parallelism. What a run had emitted behind that checkpoint is taken
 * back, as a sink that is exactly once would: then every record is there once, in the order of its partition. One seed decides everything.
 */
const SEEDS = Array.from({ length: 60 }, (_, i) => i + 1)
const BROKERS = 2
const PARALLELISM_MAX = 4
const GROUP = 'g'

interface Checkpoint {
  readonly id: number
  readonly enumerator: JsonObject
  readonly operators: readonly OperatorSnapshot[]
  readonly rows: readonly string[]
  /** Next offset by partition, of those that were read from in this attempt. */
  readonly positions: ReadonlyMap<string, number>
}

class Job {
  readonly kafka = new FakeKafka(BROKERS)
  readonly clock = new SimulatedClock()
  readonly written: string[] = []
  partitions = 2
  rows: string[] = []
  completed: Checkpoint | undefined
  private readonly random: Random
  private readonly source: KafkaSource<string>
  private pending: Checkpoint[] = []
  private nextCheckpointId = 1
  private enumerator!: SplitEnumerator
  private context!: RecordingEnumeratorContext
  private subtasks: ConnectorHarness[] = []
  private taken: number[] = []
  private started = new Map<string, number>()

  constructor(random: Random) {
    this.random = random
    this.kafka.createTopic('t', this.partitions)
    this.source = KafkaSource.builder()
      .setBootstrapServers('a:1')
      .setTopics('t')
      .setGroupId(GROUP)
      .setStartingOffsets(OffsetsInitializer.earliest())
      .setValueFormat('string')
      .setProperty('partition.discovery.interval.ms', 2_000)
      .build()
  }

  /** `brokers`: where the enumerator looks for partitions. */
  async begin(parallelism: number, brokers = this.kafka): Promise<void> {
    const { clock, kafka, completed, source } = this
    const definition = source.define(undefined)
    this.rows = [...(completed?.rows ?? [])]
    this.started = new Map()
    const parts = completed === undefined ? undefined : redistribute(completed.operators, parallelism, 16)
    this.subtasks = []
    for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
      const options = { clock, registry: kafka.registry(), subtaskIndex, parallelism, checkpointingEnabled: true }
      const harness = new ConnectorHarness(operatorOf(definition), options)
      const part = parts?.[subtaskIndex]
      if (part !== undefined) harness.operator.restore?.(part)
      this.subtasks.push(await harness.open([], true))
    }
    this.taken = this.subtasks.map(() => 0)
    this.context = Object.assign(new RecordingEnumeratorContext(parallelism), {
      clock,
      assignSplits: (subtaskIndex: number, splits: readonly SourceSplit[]) => this.subtasks[subtaskIndex]?.source.addSplits(splits),
    })
    const { options } = definition.source as SourceDescription
    const restored = completed === undefined ? undefined : (JSON.parse(JSON.stringify(completed.enumerator)) as JsonObject)
    this.enumerator = kafkaEnumerator(options, this.context, restored, () => brokers.client())
    void this.enumerator.start()
    for (let i = 0; i < parallelism; i++) this.enumerator.addReader(i)
    for (const [splitId, offset] of this.positions()) this.started.set(splitId, offset)
  }

  async end(): Promise<void> {
    expect(this.context.failure).toBeUndefined()
    await this.enumerator.close()
    for (const subtask of this.subtasks) await subtask.close()
    this.pending = []
  }

  poll(subtaskIndex: number): void {
    const subtask = this.subtasks[subtaskIndex]!
    subtask.rowsPerPoll = 1 + this.random.nextInt(4)
    expect(subtask.poll()).not.toBe('end')
    this.rows.push(...subtask.rows.slice(this.taken[subtaskIndex]).map(({ value }) => String(value)))
    this.taken[subtaskIndex] = subtask.rows.length
  }

  pollAll(): void {
    for (const subtaskIndex of this.subtasks.keys()) this.poll(subtaskIndex)
  }

  checkpoint(): void {
    const id = this.nextCheckpointId++
    const enumerator = this.enumerator.snapshot()
    const operators = this.subtasks.map(({ operator }) => wholeSnapshot(operator.snapshot({ checkpointId: id, timestampMs: 0, type: 'checkpoint' })))
    // What was read: the rows themselves say it.
    const positions = new Map([...this.positions()].filter(([splitId, offset]) => offset > (this.started.get(splitId) ?? 0)))
    this.pending.push({ id, enumerator, operators, rows: [...this.rows], positions })
  }

  /** The oldest that waits. */
  complete(): void {
    const checkpoint = this.pending.shift()
    if (checkpoint === undefined) return
    this.completed = checkpoint
    for (const { operator } of this.subtasks) operator.notifyCheckpointComplete?.(checkpoint.id)
  }

  abort(): void {
    const checkpoint = this.pending.shift()
    if (checkpoint !== undefined) for (const { operator } of this.subtasks) operator.notifyCheckpointAborted?.(checkpoint.id)
  }

  produce(): void {
    const partition = this.random.nextInt(this.partitions)
    const values = Array.from({ length: 1 + this.random.nextInt(4) }, () => `${partition}/${this.written.length}`).map((text, i) => `${text}.${i}`)
    this.kafka.produce('t', partition, values)
    this.written.push(...values)
  }

  disturb(): void {
    const node = 1 + this.random.nextInt(BROKERS)
    const what = this.random.nextInt(4)
    if (what === 0) this.kafka.setDown(node, true)
    else if (what === 1) this.kafka.setDown(node, false)
    else if (what === 2) this.kafka.setLeader('t', this.random.nextInt(this.partitions), this.random.nextInt(3) === 0 ? -1 : node)
    else this.kafka.createTopic('t', Math.min(6, ++this.partitions))
    this.partitions = Math.min(6, this.partitions)
  }

  calm(): void {
    for (const { nodeId } of this.kafka.nodes) this.kafka.setDown(nodeId, false)
    for (let partition = 0; partition < this.partitions; partition++) this.kafka.setLeader('t', partition, 1 + (partition % BROKERS))
  }

  committed(): Map<string, number> {
    return new Map([...this.kafka.committed].map(([key, offset]) => [key.slice(GROUP.length + 1), offset]))
  }

  /** By the rows of this history: how many of each partition there are. */
  positions(): Map<string, number> {
    const positions = new Map<string, number>()
    for (const row of this.rows) {
      const splitId = `t-${row.split('/')[0]}`
      positions.set(splitId, (positions.get(splitId) ?? 0) + 1)
    }
    return positions
  }

  get subtaskCount(): number {
    return this.subtasks.length
  }
}

async function turn(job: Job, random: Random): Promise<void> {
  await new Promise<void>(resolve => setImmediate(resolve))
  job.clock.advanceBy(random.nextInt(500))
  job.kafka.endPolls()
}

describe('Kafka source in checkpoints, simulated', () => {
  test.each(SEEDS)('seed %i: every record once, whatever was restored at which parallelism', async seed => {
    const random = seededRandom(seed)
    const job = new Job(random)
    const completedPositions: ReadonlyMap<string, number>[] = []
    await job.begin(1 + random.nextInt(PARALLELISM_MAX))
    for (let i = 0; i < 250; i++) {
      const what = random.nextInt(30)
      if (what < 12) job.poll(random.nextInt(job.subtaskCount))
      else if (what < 18) job.produce()
      else if (what < 20) job.disturb()
      else if (what < 23) job.checkpoint()
      else if (what < 25) {
        job.complete()
        if (job.completed !== undefined) completedPositions.push(job.completed.positions)
      } else if (what < 26) job.abort()
      else if (what < 27) {
        await job.end()
        await job.begin(1 + random.nextInt(PARALLELISM_MAX))
      } else await turn(job, random)
      // Only what a complete checkpoint held is ever committed.
      for (const [splitId, offset] of job.committed()) expect(completedPositions.some(positions => positions.get(splitId) === offset)).toBe(true)
    }
    job.calm()
    for (let i = 0; i < 2_000 && job.rows.length < job.written.length; i++) {
      job.pollAll()
      await turn(job, random)
    }
    expect([...job.rows].sort()).toEqual([...job.written].sort())
    for (let partition = 0; partition < job.partitions; partition++) {
      const own = (value: string) => value.startsWith(`${partition}/`)
      expect(job.rows.filter(own)).toEqual(job.written.filter(own))
    }
    await job.end()
  })

  test('restored readers go on while no broker answers the enumerator', async () => {
    const random = seededRandom(3)
    const job = new Job(random)
    const away = new FakeKafka()
    away.setSilent(1, true)
    job.kafka.produce('t', 0, ['0/a'])
    job.kafka.produce('t', 1, ['1/a'])
    await job.begin(2)
    for (let i = 0; i < 200 && job.rows.length < 2; i++) {
      job.pollAll()
      await turn(job, random)
    }
    job.checkpoint()
    job.complete()
    await job.end()
    job.kafka.produce('t', 0, ['0/b'])
    job.kafka.produce('t', 1, ['1/b'])
    await job.begin(2, away)
    for (let i = 0; i < 200 && job.rows.length < 4; i++) {
      job.pollAll()
      await turn(job, random)
    }
    expect([...job.rows].sort()).toEqual(['0/a', '0/b', '1/a', '1/b'])
    // Without anything to restore it would have waited.
    expect(away.metadataCount).toBeGreaterThan(0)
    await job.end()
  })

  test('what is committed in the end is where the last checkpoint stands', async () => {
    const random = seededRandom(7)
    const job = new Job(random)
    await job.begin(2)
    for (let i = 0; i < 20; i++) job.produce()
    for (let i = 0; i < 200 && job.rows.length < job.written.length; i++) {
      job.pollAll()
      await turn(job, random)
    }
    job.checkpoint()
    job.complete()
    await job.end()
    expect(job.committed()).toEqual(job.positions())
    // Restored: nothing is read, so the next checkpoint holds the same and commits nothing.
    job.kafka.committed.clear()
    await job.begin(1)
    job.checkpoint()
    job.complete()
    await job.end()
    expect(job.committed()).toEqual(new Map())
    await job.begin(1)
    for (let i = 0; i < 20; i++) {
      job.pollAll()
      await turn(job, random)
    }
    expect(job.rows.length).toBe(job.written.length)
    await job.end()
  })
})
