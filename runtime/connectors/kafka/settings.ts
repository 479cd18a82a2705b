import { FlinkError, nearestName } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { IsolationLevel } from './protocol.ts'
import type { OffsetReset } from './starting-offsets.ts'

/**
 * Kafka's consumer properties, as the source builder's `setProperty` takes them: each is honoured, has no effect here (one warning names those),
 * or is refused by name. docs/kafka.md holds the same table; a test keeps the two equal.
 */
export interface KafkaSettings {
  readonly bootstrapServers: readonly string[]
  readonly groupId: string | undefined
  readonly clientId: string
  readonly requestTimeoutMs: number
  readonly defaultApiTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMaxMs: number
  readonly fetchMinBytes: number
  readonly fetchMaxWaitMs: number
  readonly fetchMaxBytes: number
  readonly maxPartitionFetchBytes: number
  readonly isolation: IsolationLevel
  readonly checkCrcs: boolean
  /** What an offset that is no longer (or not yet) in the log becomes; `none` fails the job. undefined = as the starting offsets. */
  readonly offsetReset: OffsetReset | undefined
  /** 0 = partitions are looked for once. */
  readonly discoveryIntervalMs: number
  readonly commitOnCheckpoint: boolean
  readonly autoCommit: boolean
  readonly autoCommitIntervalMs: number
}

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

export type PropertyTreatment = 'honoured' | 'no effect' | 'refused'

export interface KafkaProperty {
  readonly treatment: PropertyTreatment
  readonly note: string
  /** Values that are accepted although the property as such is refused: they say what is true anyway. */
  readonly accepted?: readonly string[]
}

const honoured = (note: string): KafkaProperty => ({ treatment: 'honoured', note })
const noEffect = (note: string): KafkaProperty => ({ treatment: 'no effect', note })
const refused = (note: string, accepted: readonly string[] = []): KafkaProperty => ({ treatment: 'refused', note, accepted })

const noGroup = 'the source assigns partitions itself and never joins a consumer group'
const security = 'only PLAINTEXT listeners are supported yet'

export const kafkaProperties: Readonly<Record<string, KafkaProperty>> = {
  'bootstrap.servers': honoured('`host:port`, comma-separated'),
  'group.id': honoured('offsets are committed under it, and read where the source starts at committed ones; without it neither'),
  'client.id': honoured('shown in the brokers’ logs; default `millrace`'),
  'client.id.prefix': honoured('as `client.id`, which it yields to'),
  'request.timeout.ms': honoured('how long a broker may take for one answer; default 30000'),
  'default.api.timeout.ms': honoured('how long one attempt to list partitions, or to commit offsets, may take over all brokers; default 60000'),
  'socket.connection.setup.timeout.ms': honoured('how long opening a connection may take, then the next broker is asked; default 10000'),
  'retry.backoff.ms': honoured('first pause before another attempt, doubled each time; default 100'),
  'retry.backoff.max.ms': honoured('longest pause; default 1000'),
  'reconnect.backoff.ms': honoured('as `retry.backoff.ms`, which it yields to'),
  'reconnect.backoff.max.ms': honoured('as `retry.backoff.max.ms`, which it yields to'),
  'fetch.min.bytes': honoured('default 1'),
  'fetch.max.wait.ms': honoured('default 500'),
  'fetch.max.bytes': honoured('default 52428800; each subtask holds at most two answers a broker'),
  'max.partition.fetch.bytes': honoured('default 1048576'),
  'isolation.level': honoured('`read_uncommitted` (default) or `read_committed`'),
  'check.crcs': honoured('default true'),
  'auto.offset.reset': honoured('`earliest`, `latest` or `none`, for an offset that is not in the log; default as the starting offsets'),
  'partition.discovery.interval.ms': honoured(
    'default 300000; 0 or less: partitions are looked for once; without effect where the source is bounded',
  ),
  'commit.offsets.on.checkpoint': honoured('with checkpoints: whether their offsets are committed; default true'),
  'enable.auto.commit': honoured('without checkpoints: whether offsets are committed by time; default true'),
  'auto.commit.interval.ms': honoured('how often they are; default 5000'),
  'key.deserializer': noEffect('Java class names mean nothing here; setValueFormat or setValueOnlyDeserializer say how values are read'),
  'value.deserializer': noEffect('as `key.deserializer`'),
  'zookeeper.connect': noEffect('brokers are reached by `bootstrap.servers`'),
  version: noEffect('one client speaks to brokers from 2.7 on'),
  'max.poll.records': noEffect(noGroup),
  'max.poll.interval.ms': noEffect(noGroup),
  'session.timeout.ms': noEffect(noGroup),
  'heartbeat.interval.ms': noEffect(noGroup),
  'partition.assignment.strategy': noEffect(noGroup),
  'group.instance.id': noEffect(noGroup),
  'group.protocol': noEffect(noGroup),
  'exclude.internal.topics': noEffect('topics are named'),
  'allow.auto.create.topics': refused('reading never creates a topic', ['false']),
  'register.consumer.metrics': refused('the metrics of Kafka’s Java client do not exist here', ['false']),
  'client.rack': refused('reading from followers is not supported yet'),
  'client.dns.lookup': refused('all addresses of a name are tried as the system gives them', ['use_all_dns_ips']),
  'metadata.max.age.ms': refused('new leaders are looked for when an old one refuses, new partitions every `partition.discovery.interval.ms`'),
  'connections.max.idle.ms': refused('connections stay open while the source runs'),
  'receive.buffer.bytes': refused('the system sizes socket buffers', ['-1']),
  'send.buffer.bytes': refused('the system sizes socket buffers', ['-1']),
  'socket.connection.setup.timeout.max.ms': refused('use `socket.connection.setup.timeout.ms`'),
  'interceptor.classes': refused('Java classes cannot be loaded'),
  'metric.reporters': refused('Java classes cannot be loaded'),
  'security.protocol': refused(security, ['PLAINTEXT']),
  'sasl.mechanism': refused(security),
  'sasl.jaas.config': refused(security),
  'ssl.truststore.location': refused(security),
  'ssl.keystore.location': refused(security),
}

export interface ParsedSettings {
  readonly settings: KafkaSettings
  /** Given, and without effect here. */
  readonly ignored: readonly string[]
}

export function parseProperties(properties: ReadonlyMap<string, string>): ParsedSettings {
  const ignored: string[] = []
  for (const [key, value] of properties) {
    const property = Object.hasOwn(kafkaProperties, key) ? kafkaProperties[key] : undefined
    if (property === undefined) throw unknownProperty(key)
    if (property.treatment === 'no effect') ignored.push(key)
    if (property.treatment === 'refused' && property.accepted?.includes(value.trim()) !== true)
      throw new FlinkError('UNSUPPORTED', `kafka property ${key}=${value} is not supported: ${property.note.replaceAll('`', '')}`, { key })
  }
  const settings = readSettings(properties)
  // Every long poll would end as a broker that does not answer.
  if (settings.fetchMaxWaitMs >= settings.requestTimeoutMs)
    throw new FlinkError(
      'INVALID_PROGRAM',
      `kafka property fetch.max.wait.ms (${settings.fetchMaxWaitMs}) must be below request.timeout.ms (${settings.requestTimeoutMs})`,
    )
  // As in Flink: whoever says that offsets are to be committed says where.
  const wanted = ['enable.auto.commit', 'commit.offsets.on.checkpoint'].find(key => properties.get(key)?.trim() === 'true')
  if (wanted !== undefined && settings.groupId === undefined)
    throw new FlinkError('INVALID_PROGRAM', `kafka property ${wanted}=true needs group.id: offsets are committed under it`, { key: wanted })
  return { settings, ignored }
}

function unknownProperty(key: string): FlinkError {
  if (/^(ssl|sasl)\./.test(key)) return new FlinkError('UNSUPPORTED', `kafka property ${key} is not supported: ${security}`, { key })
  const nearest = nearestName(key, Object.keys(kafkaProperties))
  return new FlinkError('INVALID_PROGRAM', `kafka property ${key} is not known${nearest === undefined ? '' : `; did you mean ${nearest}?`}`, { key })
}

function readSettings(properties: ReadonlyMap<string, string>): KafkaSettings {
  const text = (key: string) => properties.get(key)?.trim()
  const count = (key: string, byDefault: number, min = 0) => {
    const given = text(key)
    if (given === undefined) return byDefault
    const value = Number(given)
    if (!/^\d+$/.test(given) || value < min || value > INT_MAX)
      throw new FlinkError('INVALID_PROGRAM', `kafka property ${key}: expected a whole number from ${min} to ${INT_MAX}, got '${given}'`, { key })
    return value
  }
  const choice = <T extends string>(key: string, values: readonly T[]): T | undefined => {
    const given = text(key)
    if (given === undefined) return undefined
    const value = values.find(candidate => candidate === given)
    if (value === undefined) throw new FlinkError('INVALID_PROGRAM', `kafka property ${key}: expected ${values.join(', ')}, got '${given}'`, { key })
    return value
  }
  const flag = (key: string) => (choice(key, ['true', 'false'] as const) ?? 'true') === 'true'
  const retryBackoffMs = count('retry.backoff.ms', count('reconnect.backoff.ms', 100))
  return {
    bootstrapServers: parseServers(text('bootstrap.servers') ?? ''),
    groupId: text('group.id'),
    clientId: text('client.id') ?? text('client.id.prefix') ?? 'millrace',
    requestTimeoutMs: count('request.timeout.ms', 30_000, 1),
    defaultApiTimeoutMs: count('default.api.timeout.ms', 60_000),
    connectTimeoutMs: count('socket.connection.setup.timeout.ms', 10_000, 1),
    retryBackoffMs,
    retryBackoffMaxMs: Math.max(retryBackoffMs, count('retry.backoff.max.ms', count('reconnect.backoff.max.ms', 1_000))),
    fetchMinBytes: count('fetch.min.bytes', 1),
    fetchMaxWaitMs: count('fetch.max.wait.ms', 500),
    fetchMaxBytes: count('fetch.max.bytes', 52_428_800),
    maxPartitionFetchBytes: count('max.partition.fetch.bytes', 1_048_576),
    isolation: choice('isolation.level', ['read_uncommitted', 'read_committed'] as const) ?? 'read_uncommitted',
    checkCrcs: flag('check.crcs'),
    offsetReset: choice('auto.offset.reset', ['earliest', 'latest', 'none'] as const),
    // Flink's way to say never is a negative number.
    discoveryIntervalMs: /^-\d+$/.test(text('partition.discovery.interval.ms') ?? '') ? 0 : count('partition.discovery.interval.ms', 300_000),
    commitOnCheckpoint: flag('commit.offsets.on.checkpoint'),
    autoCommit: flag('enable.auto.commit'),
    autoCommitIntervalMs: count('auto.commit.interval.ms', 5_000, 1),
  }
}

const INT_MAX = 2 ** 31 - 1

function parseServers(text: string): string[] {
  const servers = text
    .split(',')
    .map(server => server.trim())
    .filter(server => server !== '')
  if (servers.length === 0)
    throw new FlinkError('INVALID_PROGRAM', 'KafkaSource: no bootstrap servers are set: call setBootstrapServers("host:port")')
  for (const server of servers) parseAddress(server)
  return servers
}

/** `host:port` or `[v6]:port`. */
export function parseAddress(text: string): BrokerAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port < 1 || port > 65_535) throw new FlinkError('INVALID_PROGRAM', `kafka bootstrap server '${text}': expected host:port`)
  return { host, port }
}

export function addressText({ host, port }: BrokerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Settings travel in the options of the JobGraph. */
export function settingsJson(settings: KafkaSettings): JsonObject {
  const { groupId, offsetReset, ...rest } = settings
  return { ...rest, groupId: groupId ?? null, offsetReset: offsetReset ?? null }
}

export function settingsFromJson(json: JsonObject): KafkaSettings {
  // Written by settingsJson; JSON keeps no types and no undefined.
  const { groupId, offsetReset, ...rest } = json as unknown as Omit<KafkaSettings, 'groupId' | 'offsetReset'> & {
    groupId: string | null
    offsetReset: KafkaSettings['offsetReset'] | null
  }
  return { ...rest, groupId: groupId ?? undefined, offsetReset: offsetReset ?? undefined }
}
