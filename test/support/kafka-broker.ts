import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Admin, CompressionTypes, Kafka, logLevel, type Producer, type RecordMetadata } from 'kafkajs'
import { vi } from 'vitest'
import { freePorts, type GuardedProcess, startGuarded } from './guarded-process.ts'

/**
 * A real single-node Kafka (KRaft) on free loopback ports, in a folder of its own, for tests; `test/parts/install-kafka.sh` brings the
 * jars. Records are written by kafkajs, an independent client.
 */
export class KafkaBroker {
  readonly port: number
  private readonly host: string
  private readonly controllerPort: number
  private readonly folder: string
  private formatted = false
  private running: GuardedProcess | undefined
  private kafka: Kafka | undefined
  private admin: Admin | undefined
  private producer: Producer | undefined

  private constructor(host: string, port: number, controllerPort: number) {
    this.host = host
    this.port = port
    this.controllerPort = controllerPort
    this.folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  }

  /** Ports and folder, nothing running: for tests that need a broker that is down. */
  static async reserve(host = '127.0.0.1'): Promise<KafkaBroker> {
    const [port, controllerPort] = await freePorts(2)
    return new KafkaBroker(host, port!, controllerPort!) // two were asked for
  }

  /** `host`: where clients reach it. */
  static async start(host?: string): Promise<KafkaBroker> {
    const broker = await KafkaBroker.reserve(host)
    await broker.start()
    return broker
  }

  get bootstrapServers(): string {
    return `${this.host}:${this.port}`
  }

  /** Also again after `stop`: what was written is still there. */
  async start(): Promise<void> {
    const properties = join(this.folder, 'server.properties')
    if (!this.formatted) {
      writeFileSync(properties, this.properties())
      await promisify(execFile)('java', ['-Xmx128m', '-cp', classPath(), 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties])
      this.formatted = true
    }
    const java = ['java', '-Xms128m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classPath(), 'kafka.Kafka', properties]
    this.running = await startGuarded(java, { name: 'Kafka', ready: 'Kafka Server started' })
    this.kafka = new Kafka({
      clientId: 'millrace-tests',
      brokers: [this.bootstrapServers],
      logLevel: logLevel.NOTHING,
      retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 500 },
    })
    this.admin = this.kafka.admin()
    await this.admin.connect()
    this.producer = this.kafka.producer()
    await this.producer.connect()
  }

  async stop(): Promise<void> {
    const { running, admin, producer } = this
    this.running = undefined
    this.admin = undefined
    this.producer = undefined
    await Promise.allSettled([admin?.disconnect(), producer?.disconnect()])
    await running?.stop()
  }

  /** Stops and removes the folder. */
  async close(): Promise<void> {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  async createTopic(topic: string, partitions: number, config: Readonly<Record<string, string>> = {}): Promise<void> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const admin = started(this.admin)
    await admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }] })
    await this.untilLed(topic, partitions)
  }

  private async untilLed(topic: string, partitions: number): Promise<void> {
    const admin = started(this.admin)
    // kafkajs itself waits for leaders, but gives up where a slow broker does not know the topic yet.
    const leaders = () =>
      admin.fetchTopicMetadata({ topics: [topic] }).then(
        ({ topics }) => topics[0]?.partitions.filter(({ leader }) => leader >= 0).length,
        () => 0,
      )
    // Not `expect.poll`: topics are made outside of tests too.
    await vi.waitFor(
      async () => {
        const found = await leaders()
        if (found !== partitions) throw new Error(`topic ${topic} has ${found} leaders of ${partitions}`)
      },
      { timeout: 30_000, interval: 50 },
    )
  }

  /** So many in all, each with a leader when this resolves. */
  async createPartitions(topic: string, count: number): Promise<void> {
    const admin = started(this.admin)
    await admin.createPartitions({ topicPartitions: [{ topic, count }] })
    await this.untilLed(topic, count)
    // A producer of kafkajs knows a topic's partitions for five minutes.
    await this.producer?.disconnect()
    this.producer = started(this.kafka).producer()
    await this.producer.connect()
  }

  /** Offsets that a group has committed, by partition. */
  async committedOffsets(groupId: string, topic: string): Promise<Record<number, number>> {
    const [found] = await started(this.admin).fetchOffsets({ groupId, topics: [topic] })
    const committed = found?.partitions.filter(({ offset }) => Number(offset) >= 0) ?? []
    return Object.fromEntries(committed.map(({ partition, offset }) => [partition, Number(offset)]))
  }

  /** One batch. `null` = a record without a value. */
  async produce(
    topic: string,
    partition: number,
    values: readonly (string | Buffer | null)[],
    options: { readonly gzip?: boolean; readonly timestamp?: number } = {},
  ): Promise<RecordMetadata[]> {
    const { gzip = false, timestamp } = options
    return started(this.producer).send({
      topic,
      compression: gzip ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: values.map(value => ({
        value,
        partition,
        headers: { source: 'test' },
        ...(timestamp === undefined ? {} : { timestamp: String(timestamp) }),
      })),
    })
  }

  /** By Kafka's own console producer: the reference for every compression. */
  async produceByJava(topic: string, values: readonly string[], compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'): Promise<void> {
    const child = spawn(
      'java',
      [
        '-Xmx128m',
        '-cp',
        classPath(),
        'org.apache.kafka.tools.ConsoleProducer',
        '--bootstrap-server',
        this.bootstrapServers,
        '--topic',
        topic,
        '--compression-codec',
        compression,
      ],
      {
        stdio: ['pipe', 'ignore', 'pipe'],
      },
    )
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_000)))
    child.stdin.end(values.map(value => `${value}\n`).join(''))
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`the console producer exited with ${code}: ${errors}`)
  }

  /** Writes `values` in one transaction and ends it. */
  async transact(topic: string, partition: number, values: readonly string[], end: 'commit' | 'abort'): Promise<void> {
    const producer = started(this.kafka).producer({ transactionalId: `millrace-tests-${topic}`, maxInFlightRequests: 1, idempotent: true })
    await producer.connect()
    try {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: values.map(value => ({ value, partition })) })
      await transaction[end]()
    } finally {
      await producer.disconnect()
    }
  }

  /** Everything before `offset` is gone from the log. */
  async deleteRecords(topic: string, partition: number, offset: number): Promise<void> {
    const admin = started(this.admin)
    // kafkajs looks for the leader in metadata that it has only after another call.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
  }

  /** Next offsets of the partitions, in their order. */
  async endOffsets(topic: string): Promise<number[]> {
    const offsets = await started(this.admin).fetchTopicOffsets(topic)
    return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high))
  }

  /** All records that the topic holds now, by partition and offset, read by kafkajs. */
  async records(topic: string): Promise<WrittenRecord[]> {
    const ends = await this.endOffsets(topic)
    const total = ends.reduce((sum, end) => sum + end, 0)
    if (total === 0) return []
    const consumer = started(this.kafka).consumer({ groupId: `millrace-tests-${topic}-${total}` })
    const records: WrittenRecord[] = []
    try {
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await new Promise<void>((resolve, reject) => {
        consumer
          .run({
            autoCommit: false,
            eachMessage: async ({ partition, message: { offset, key, value, timestamp } }) => {
              records.push({
                partition,
                offset: Number(offset),
                key: key?.toString() ?? null,
                value: value?.toString() ?? null,
                timestamp: Number(timestamp),
              })
              if (records.length === total) resolve()
            },
          })
          .catch(reject)
      })
    } finally {
      await consumer.disconnect()
    }
    return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  }

  private properties(): string {
    return Object.entries({
      'process.roles': 'broker,controller',
      'node.id': '1',
      'controller.quorum.voters': `1@127.0.0.1:${this.controllerPort}`,
      listeners: `PLAINTEXT://${this.host}:${this.port},CONTROLLER://127.0.0.1:${this.controllerPort}`,
      'advertised.listeners': `PLAINTEXT://${this.host}:${this.port}`,
      'controller.listener.names': 'CONTROLLER',
      'log.dirs': join(this.folder, 'data'),
      'auto.create.topics.enable': 'true',
      'num.partitions': '1',
      'offsets.topic.replication.factor': '1',
      'offsets.topic.num.partitions': '1',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.min.isr': '1',
      'transaction.state.log.num.partitions': '1',
      'group.initial.rebalance.delay.ms': '0',
      // `stop` kills: the controller must not hold the old session for its usual nine seconds.
      'broker.session.timeout.ms': '1000',
      'broker.heartbeat.interval.ms': '200',
    })
      .map(([key, value]) => `${key}=${value}\n`)
      .join('')
  }
}

export interface WrittenRecord {
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
}

const CLUSTER_ID = 'bWlsbHJhY2UtdGVzdHMtMA'

function classPath(): string {
  const lib = join(process.env['MILLRACE_CACHE'] ?? join(homedir(), '.cache', 'millrace'), 'kafka-4.1.1', 'lib')
  if (!existsSync(lib)) throw new Error(`no Kafka in ${lib}: run test/parts/install-kafka.sh`)
  return join(lib, '*')
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the broker is not running')
  return part
}
