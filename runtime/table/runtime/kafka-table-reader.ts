import { parseDuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { KafkaReader, type KafkaReaderOptions } from '../../connectors/kafka/kafka-reader.ts'
import { KafkaSource } from '../../connectors/kafka/kafka-source.ts'
import { OffsetsInitializer } from '../../connectors/kafka/offsets-initializer.ts'
import { isProducerOnly } from '../../connectors/kafka/producer-settings.ts'
import type { OffsetReset } from '../../connectors/kafka/starting-offsets.ts'
import { createDecoder } from '../../formats/decoders.ts'
import type { RecordDecoder } from '../../formats/format.ts'
import { RowSink } from '../../formats/row-sink.ts'
import type { SourceDescription, SourceOutput, SourceReader, SourceReaderContext, SourceSplit } from '../../stream/spi/source.ts'
import type { ScanNode } from '../plan/physical.ts'
import { textOptions } from './file-reader.ts'

/** What a table's options say of the kafka source: its description for the JobManager and the options of its readers. */
export function kafkaTableSource(options: JsonObject): { readonly source: SourceDescription; readonly reader: KafkaReaderOptions } {
  const builder = KafkaSource.builder()
    .setTopics(
      ...String(options['topic'])
        .split(';')
        .map(topic => topic.trim()),
    )
    .setStartingOffsets(startOf(options))
  if (options['scan.bounded.mode'] === 'latest-offset') builder.setBounded(OffsetsInitializer.latest())
  for (const [key, value] of Object.entries(options))
    if (key.startsWith('properties.') && !isProducerOnly(key.slice('properties.'.length)))
      builder.setProperty(key.slice('properties.'.length), String(value))
  // As in Flink the table's own option wins over the property.
  const interval = options['scan.topic-partition-discovery.interval']
  if (interval !== undefined) builder.setProperty('partition.discovery.interval.ms', parseDuration(String(interval)))
  const definition = builder
    .setValueOnlyDeserializer({ deserialize: () => undefined })
    .build()
    .define(undefined)
  // Both were made by KafkaSource just now.
  return { source: definition.source as SourceDescription, reader: definition.options as KafkaReaderOptions }
}

/** As in Flink: without a word, where the group stands. */
function startOf(options: JsonObject): OffsetsInitializer {
  const mode = options['scan.startup.mode'] ?? 'group-offsets'
  const reset = resetProperty(options)
  for (const [key, wanted] of Object.entries(startDetails)) {
    const given = options[key] !== undefined
    if (given !== (mode === wanted))
      throw new FlinkError('INVALID_SQL', `option '${key}' ${given ? `has no effect with` : 'is required with'} 'scan.startup.mode' = '${mode}'`)
  }
  switch (mode) {
    case 'earliest-offset':
      return OffsetsInitializer.earliest()
    case 'latest-offset':
      return OffsetsInitializer.latest()
    case 'timestamp':
      return OffsetsInitializer.timestamp(Number(options['scan.startup.timestamp-millis']))
    case 'specific-offsets':
      return OffsetsInitializer.offsets(specificOffsets(options), reset ?? 'earliest')
    default:
      if (options['properties.group.id'] === undefined)
        throw new FlinkError('INVALID_SQL', "'scan.startup.mode' = 'group-offsets', which is the default, needs the option 'properties.group.id'")
      return OffsetsInitializer.committedOffsets(reset ?? 'none')
  }
}

const startDetails = { 'scan.startup.timestamp-millis': 'timestamp', 'scan.startup.specific-offsets': 'specific-offsets' }

/** Another value is refused where the properties are parsed. */
function resetProperty(options: JsonObject): OffsetReset | undefined {
  return (['earliest', 'latest', 'none'] as const).find(reset => reset === options['properties.auto.offset.reset'])
}

/** `partition:0,offset:42;partition:1,offset:300`, of one topic. */
function specificOffsets(options: JsonObject): { topic: string; partition: number; offset: number }[] {
  const text = String(options['scan.startup.specific-offsets'])
  const topic = String(options['topic'])
  const key = "option 'scan.startup.specific-offsets'"
  if (topic.includes(';')) throw new FlinkError('INVALID_SQL', `${key} names partitions of one topic, and there are several: ${topic}`)
  return text.split(';').map(part => {
    const match = /^\s*partition:(\d+),offset:(\d+)\s*$/.exec(part)
    if (match === null) throw new FlinkError('INVALID_SQL', `${key}: expected partition:0,offset:42;partition:1,offset:300, got '${text}'`)
    return { topic, partition: Number(match[1]), offset: Number(match[2]) }
  })
}

/**
 * Kafka's reader with the format's decoder in the place of a deserializer: a record's value goes into the columns of a frame, which leaves at the
 * end of the poll or when it is full. So positions of a snapshot are behind what was emitted.
 */
export class KafkaTableReader implements SourceReader {
  private readonly table: string
  private readonly reader: KafkaReader
  private readonly decoder: RecordDecoder
  private readonly sink: RowSink
  private readonly gathered: SourceOutput
  private output: SourceOutput | undefined
  private problem: FlinkError | undefined

  constructor(
    node: ScanNode,
    settings: { readonly job: string; readonly vertex: string; readonly generated: boolean },
    context: SourceReaderContext,
  ) {
    const { physical, paths, projected, options } = node
    this.table = node.table
    this.decoder = createDecoder(
      String(options['format']),
      physical.map(({ name, type }, i) => ({ name, type, path: paths[i]! })),
      projected,
      textOptions(options),
      { framing: 'message', origin: { job: settings.job, vertex: settings.vertex }, generated: settings.generated },
    )
    this.sink = new RowSink(this.decoder.kinds)
    this.reader = new KafkaReader(kafkaTableSource(options).reader, { deserialize: value => this.decode(value) }, context)
    this.gathered = {
      collect: () => this.recordTaken(),
      collectFrame: frame => this.output?.collectFrame(frame),
      emitWatermark: timestamp => this.output?.emitWatermark(timestamp),
      emitStatus: idle => this.output?.emitStatus(idle),
      shouldYield: () => this.sink.isFull || this.output?.shouldYield() === true,
    }
  }

  addSplits(splits: readonly SourceSplit[]): void {
    this.reader.addSplits(splits)
  }

  noMoreSplits(): void {
    this.reader.noMoreSplits()
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    this.output = output
    const answer = this.reader.poll(this.gathered)
    if (this.sink.count > 0) {
      const { length, columns } = this.sink.finish()
      output.collectFrame({ kind: 'columnar', length, columns, timestamps: undefined, rowKinds: undefined })
    }
    return answer
  }

  snapshotSplits(checkpointId: number): readonly SourceSplit[] {
    return this.reader.snapshotSplits(checkpointId)
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.reader.notifyCheckpointComplete(checkpointId)
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.reader.notifyCheckpointAborted(checkpointId)
  }

  describePosition(): string {
    return this.reader.describePosition()
  }

  close(): void {
    this.reader.close()
  }

  /** Called by the reader with a copy of the value. A problem waits for `recordTaken`, where the place is known and nothing calls it a user's function. */
  private decode(value: Uint8Array): undefined {
    try {
      this.decoder.decode(value, 0, value.length, this.sink)
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
      this.problem = error
    }
  }

  private recordTaken(): void {
    const { problem } = this
    if (problem !== undefined)
      throw new FlinkError(problem.code, `table ${this.table}, ${this.describePosition()}: ${problem.message}`, problem.detail, problem)
  }
}
