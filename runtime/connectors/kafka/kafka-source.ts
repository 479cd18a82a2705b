import type { Boundedness } from '../../api/built-in-connectors.ts'
import { refuseByName } from '../../api/refusals.ts'
import type { Source } from '../../api/sources.ts'
import type { Configuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { OperatorDefinition } from '../../graph/stream-graph.ts'
import type { TypeInformation } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import type { StreamOperator } from '../../stream/operator.ts'
import { SourceOperator, sourceStates } from '../../stream/operators/source-operator.ts'
import type { WatermarkStrategy } from '../../time/watermark-strategy.ts'
import { KafkaReader, type KafkaReaderOptions } from './kafka-reader.ts'
import type { KafkaEnumeratorOptions } from './kafka-split.ts'
import { OffsetsInitializer } from './offsets-initializer.ts'
import { sourceDefaults } from './options.ts'
import { parseProperties, settingsJson } from './settings.ts'
import { needsGroup, type StartingOffsets } from './starting-offsets.ts'
import {
  type DeserializationSchema,
  type JsonFormatOptions,
  jsonFormat,
  SimpleStringSchema,
  schemaFormat,
  stringFormat,
  type ValueFormat,
} from './value-format.ts'

/**
 * The Kafka source, in Flink's words: `env.fromSource(KafkaSource.builder()….build(), watermarks, 'orders')`.
 *
 * Its parts: `kafka-enumerator.ts` (JobManager: partitions and numeric offsets, again and again), `kafka-fetcher.ts` (I/O worker: record batches as bytes),
 * `kafka-reader.ts` (slot: batches to rows). Settings and formats travel in the options of the JobGraph; only an own
 * DeserializationSchema is taken from the program that the worker runs again.
 */
export class KafkaSource<T> implements Source<T> {
  readonly boundedness: Boundedness
  readonly producedType: TypeInformation<T>
  private readonly spec: KafkaSourceSpec<T>

  /** Made by `KafkaSource.builder()`. */
  constructor(spec: KafkaSourceSpec<T>) {
    this.spec = spec
    this.boundedness = spec.bounded ? 'BOUNDED' : 'CONTINUOUS_UNBOUNDED'
    this.producedType = spec.format.producedType
  }

  static builder<T = string>(): KafkaSourceBuilder<T> {
    return new KafkaSourceBuilder<T>()
  }

  define(watermarks: WatermarkStrategy<T> | undefined, configuration?: Configuration): OperatorDefinition {
    const { topics, startingOffsets, bounded, properties, ignoredProperties, format } = this.spec
    const defaults = configuration === undefined ? {} : sourceDefaults(configuration)
    const settings = settingsJson(parseProperties(new Map([...Object.entries(defaults), ...properties])).settings)
    const described = watermarks?.describe()
    const options = {
      topics,
      settings,
      startingOffsets,
      bounded,
      format: format.json,
      ...(described === undefined ? {} : { watermarks: { kind: described.kind, boundMs: described.boundMs } }),
    }
    const enumeratorOptions: KafkaEnumeratorOptions = { topics, startingOffsets, bounded, settings, ignoredProperties }
    return {
      type: 'source:kafka',
      options,
      functions: [
        ...(format.functionSource === undefined ? [] : [{ role: 'deserialize', source: format.functionSource }]),
        ...(described?.functions ?? []),
      ],
      states: sourceStates,
      factory: (given: JsonObject): StreamOperator =>
        new SourceOperator({
          // `given` is `options` as they travelled.
          createReader: context => new KafkaReader(given as KafkaReaderOptions, format.schema, context),
          watermarkStrategy: watermarks as WatermarkStrategy<never> | undefined,
        }),
      source: { enumerator: 'kafka', options: enumeratorOptions, bounded },
    }
  }
}

export interface KafkaSourceSpec<T> {
  readonly topics: readonly string[]
  readonly startingOffsets: StartingOffsets
  readonly bounded: boolean
  readonly properties: ReadonlyMap<string, string>
  readonly ignoredProperties: readonly string[]
  readonly format: ValueFormat<T>
}

export class KafkaSourceBuilder<T> {
  private readonly properties = new Map<string, string>()
  private topics: readonly string[] = []
  private startingOffsets: OffsetsInitializer | undefined
  private bounded = false
  private format: ValueFormat<unknown> | undefined

  setBootstrapServers(servers: string): this {
    return this.setProperty('bootstrap.servers', servers)
  }

  setTopics(...topics: readonly (string | readonly string[])[]): this {
    const names = topics.flat()
    for (const name of names)
      if (typeof name !== 'string' || name === '') throw new FlinkError('INVALID_PROGRAM', 'KafkaSource: setTopics takes the names of topics')
    this.topics = [...new Set(names)]
    return this
  }

  setGroupId(groupId: string): this {
    return this.setProperty('group.id', groupId)
  }

  setClientIdPrefix(prefix: string): this {
    return this.setProperty('client.id.prefix', prefix)
  }

  setStartingOffsets(offsets: OffsetsInitializer): this {
    this.startingOffsets = checkOffsets('setStartingOffsets', offsets)
    return this
  }

  /** Reads up to where the topics end when the job starts, and ends. */
  setBounded(offsets: OffsetsInitializer): this {
    if (checkOffsets('setBounded', offsets).starting !== 'latest')
      throw new FlinkError('UNSUPPORTED', 'KafkaSource: setBounded takes OffsetsInitializer.latest(); other ends are not supported yet')
    this.bounded = true
    return this
  }

  /** A value is UTF-8 text, or JSON of `type` (without a type: any JSON value). */
  setValueFormat(format: 'string'): KafkaSourceBuilder<string>
  setValueFormat<V = unknown>(format: 'json', type?: TypeInformation<V>, options?: JsonFormatOptions): KafkaSourceBuilder<V>
  setValueFormat(format: string, type?: TypeInformation, options: JsonFormatOptions = {}): KafkaSourceBuilder<never> {
    if (format === 'string') this.format = stringFormat
    else if (format === 'json') this.format = jsonFormat(type ?? Types.GENERIC, options.ignoreParseErrors ?? false)
    else throw new FlinkError('UNSUPPORTED', `KafkaSource: the value format '${format}' is not supported yet; there are 'string' and 'json'`)
    // One object: the type parameter follows the format.
    return this as unknown as KafkaSourceBuilder<never>
  }

  setValueOnlyDeserializer<V>(schema: DeserializationSchema<V>): KafkaSourceBuilder<V> {
    if (typeof schema?.deserialize !== 'function')
      throw new FlinkError('INVALID_PROGRAM', 'KafkaSource: setValueOnlyDeserializer takes an object with a method deserialize(bytes)')
    this.format = schema instanceof SimpleStringSchema ? stringFormat : schemaFormat(schema)
    // One object: the type parameter follows the schema.
    return this as unknown as KafkaSourceBuilder<V>
  }

  /** A property of Kafka's consumer; docs/kafka.md says what becomes of each. */
  setProperty(key: string, value: string | number | boolean): this {
    this.properties.set(key, String(value))
    return this
  }

  setProperties(properties: Readonly<Record<string, string | number | boolean>>): this {
    for (const [key, value] of Object.entries(properties)) this.setProperty(key, value)
    return this
  }

  build(): KafkaSource<T> {
    if (this.topics.length === 0) throw new FlinkError('INVALID_PROGRAM', 'KafkaSource: no topics are set: call setTopics("name")')
    const { settings, ignored } = parseProperties(this.properties)
    if (this.format === undefined)
      throw new FlinkError('INVALID_PROGRAM', 'KafkaSource: nothing says how values are read: call setValueFormat or setValueOnlyDeserializer')
    if (this.startingOffsets === undefined) {
      throw new FlinkError(
        'INVALID_PROGRAM',
        'KafkaSource: no starting offsets are set: call setStartingOffsets(OffsetsInitializer.earliest()), latest(), committedOffsets(), timestamp() or offsets()',
      )
    }
    if (needsGroup(this.startingOffsets.starting) && settings.groupId === undefined)
      throw new FlinkError('INVALID_PROGRAM', 'KafkaSource: committed offsets are those of a group: call setGroupId("name")')
    return new KafkaSource<T>({
      topics: this.topics,
      startingOffsets: this.startingOffsets.starting,
      bounded: this.bounded,
      properties: new Map(this.properties),
      ignoredProperties: ignored,
      // The setters that change the format change T with it.
      format: this.format as ValueFormat<T>,
    })
  }
}

function checkOffsets(method: string, offsets: OffsetsInitializer): OffsetsInitializer {
  if (!(offsets instanceof OffsetsInitializer)) throw new FlinkError('INVALID_PROGRAM', `KafkaSource: ${method} takes an OffsetsInitializer`)
  return offsets
}

refuseByName(KafkaSourceBuilder.prototype, 'KafkaSource', {
  setTopicPattern: 'topics by pattern are not supported yet; use setTopics',
  setPartitions: 'single partitions are not supported yet; use setTopics',
  setKafkaSubscriber: 'own subscribers are not supported yet; use setTopics',
  setUnbounded: 'stopping offsets of an unbounded source are not supported yet; leave it out, or use setBounded',
  setDeserializer: 'deserializers of whole records are not supported yet; use setValueFormat or setValueOnlyDeserializer',
  setRackIdSupplier: 'reading from followers is not supported yet',
})
