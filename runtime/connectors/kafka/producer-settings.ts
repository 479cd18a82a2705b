import { FlinkError, nearestName } from '../../common/errors.ts'
import type { Compression } from './record-batch-builder.ts'
import { type KafkaProperty, type KafkaSettings, kafkaProperties, parseProperties } from './settings.ts'

/**
 * Kafka's producer properties, as `properties.*` of a table that is written. Each is honoured, has no effect here, or is refused by name; those that
 * both clients have are the source's (settings.ts), and what only a consumer knows has no effect. docs/kafka.md holds the same table.
 */
export interface ProducerSettings {
  readonly acks: 1 | -1
  readonly batchSizeBytes: number
  readonly requestSizeMaxBytes: number
  readonly deliveryTimeoutMs: number
  /** How long the start may look for the topic. */
  readonly blockMaxMs: number
  readonly compression: Compression
}

const note =
  (treatment: KafkaProperty['treatment']) =>
  (text: string, accepted: readonly string[] = []) => ({ treatment, note: text, accepted })
const honoured = note('honoured')
const noEffect = note('no effect')
const refused = note('refused')

const exactlyOnce = 'delivery is at least once; exactly-once comes with checkpoints'

export const producerProperties: Readonly<Record<string, KafkaProperty>> = {
  acks: honoured('`all`, `-1` (default) or `1`; `0` is refused: nobody would know of a loss'),
  'batch.size': honoured('largest record batch in bytes; default 262144, since a request takes one batch a partition'),
  'max.request.size': honoured('largest record and request in bytes; default 1048576'),
  'delivery.timeout.ms': honoured('how long records may wait for their acknowledgement, attempts included, before the job fails; default 120000'),
  'max.block.ms': honoured('how long the start may look for the topic before the job fails; default 60000'),
  'compression.type': honoured('`none` (default), `gzip` or `zstd`; `snappy` and `lz4` are refused'),
  'linger.ms': noEffect('records leave in batches after 100 ms at the latest, and at once before a barrier'),
  'buffer.memory': noEffect('a subtask holds up to 4 MiB that are not acknowledged, then the job waits'),
  retries: noEffect('attempts go on until `delivery.timeout.ms`'),
  'max.in.flight.requests.per.connection': noEffect('one request a broker at a time, so that attempts keep the order'),
  'key.serializer': noEffect('Java class names mean nothing here; formats say how records are written'),
  'value.serializer': noEffect('as `key.serializer`'),
  'transaction.timeout.ms': noEffect('there are no transactions yet'),
  'enable.idempotence': refused(exactlyOnce, ['false']),
  'transactional.id': refused(exactlyOnce),
  'partitioner.class': refused('Java classes cannot be loaded; the option sink.partitioner chooses'),
}

/** Properties that source and sink read alike. */
const common = [
  'bootstrap.servers',
  'client.id',
  'client.id.prefix',
  'request.timeout.ms',
  'socket.connection.setup.timeout.ms',
  'retry.backoff.ms',
  'retry.backoff.max.ms',
  'reconnect.backoff.ms',
  'reconnect.backoff.max.ms',
]

export interface ParsedProducerSettings {
  readonly settings: KafkaSettings
  readonly producer: ProducerSettings
  /** Given, and without effect here. */
  readonly ignored: readonly string[]
}

export function parseProducerProperties(properties: ReadonlyMap<string, string>): ParsedProducerSettings {
  const ignored: string[] = []
  const shared = new Map<string, string>()
  for (const [key, value] of properties) {
    const own = Object.hasOwn(producerProperties, key) ? producerProperties[key] : undefined
    const consumers = Object.hasOwn(kafkaProperties, key) ? kafkaProperties[key] : undefined
    if (own?.treatment === 'no effect') ignored.push(key)
    else if (own?.treatment === 'refused' && own.accepted?.includes(value.trim()) !== true)
      throw new FlinkError('UNSUPPORTED', `kafka property ${key}=${value} is not supported: ${own.note.replaceAll('`', '')}`, { key })
    else if (own !== undefined) continue
    else if (common.includes(key) || isSecurity(key)) shared.set(key, value)
    else if (consumers !== undefined) ignored.push(key)
    else {
      const nearest = nearestName(key, [...Object.keys(producerProperties), ...Object.keys(kafkaProperties)])
      throw new FlinkError('INVALID_PROGRAM', `kafka property ${key} is not known${nearest === undefined ? '' : `; did you mean ${nearest}?`}`, {
        key,
      })
    }
  }
  const { settings } = parseProperties(shared)
  return { settings, producer: readProducer(properties), ignored }
}

/** For a table that is read: what only a producer knows is none of the consumer's business. */
export function isProducerOnly(key: string): boolean {
  return Object.hasOwn(producerProperties, key) && !Object.hasOwn(kafkaProperties, key)
}

function isSecurity(key: string): boolean {
  return /^(security|ssl|sasl)\./.test(key)
}

function readProducer(properties: ReadonlyMap<string, string>): ProducerSettings {
  const text = (key: string) => properties.get(key)?.trim()
  const wrong = (key: string, expected: string) =>
    new FlinkError('INVALID_PROGRAM', `kafka property ${key}: expected ${expected}, got '${text(key)}'`, { key })
  const count = (key: string, byDefault: number, min: number) => {
    const given = text(key)
    if (given === undefined) return byDefault
    const value = Number(given)
    if (!/^\d+$/.test(given) || value < min || value > INT_MAX) throw wrong(key, `a whole number from ${min} to ${INT_MAX}`)
    return value
  }
  const acks = text('acks') ?? 'all'
  if (!['all', '-1', '1'].includes(acks)) throw wrong('acks', 'all, -1 or 1')
  const compression = text('compression.type') ?? 'none'
  if (compression !== 'none' && compression !== 'gzip' && compression !== 'zstd') throw wrong('compression.type', 'none, gzip or zstd')
  return {
    acks: acks === '1' ? 1 : -1,
    batchSizeBytes: count('batch.size', 262_144, 1),
    requestSizeMaxBytes: count('max.request.size', 1_048_576, 1),
    deliveryTimeoutMs: count('delivery.timeout.ms', 120_000, 1),
    blockMaxMs: count('max.block.ms', 60_000, 0),
    compression,
  }
}

const INT_MAX = 2 ** 31 - 1
