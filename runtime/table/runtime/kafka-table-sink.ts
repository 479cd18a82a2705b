import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { KAFKA_RECORD_HEADER_SIZE, type KafkaSinkOptions } from '../../connectors/kafka/kafka-sink.ts'
import { parseProducerProperties } from '../../connectors/kafka/producer-settings.ts'
import { settingsJson } from '../../connectors/kafka/settings.ts'
import { createEncoder } from '../../formats/encoders.ts'
import type { FormatColumn, FormatOptions, RecordEncoder } from '../../formats/format.ts'
import { type ColumnarFrame, isValid } from '../../network/columns.ts'
import type { OperatorContext } from '../../stream/operator.ts'
import type { Schema } from '../plan/expression.ts'
import type { SinkNode } from '../plan/physical.ts'
import type { CalcSettings } from './calc-operator.ts'
import { textOptions } from './file-reader.ts'
import { TableSinkOperator } from './sink-operators.ts'

/** What a table's options say of the kafka sink. Wrong ones throw, named; the planner adds the place. */
export interface KafkaTableSink {
  readonly transport: KafkaSinkOptions
  readonly guarantee: 'none' | 'at-least-once'
  readonly value: RecordPart
  readonly key: RecordPart | undefined
}

/** Key or value of a record: which columns, written how. */
interface RecordPart {
  readonly format: string
  readonly options: FormatOptions
  /** Indices into the table's columns. */
  readonly columns: readonly number[]
  readonly fields: readonly FormatColumn[]
}

export function kafkaTableSink(given: JsonObject, schema: Schema): KafkaTableSink {
  const options = textOptions(given)
  const topic = options['topic']!.trim()
  if (topic.includes(';'))
    throw new FlinkError('UNSUPPORTED', `option 'topic' is '${topic}': a table that is written has one topic`, { option: 'topic' })
  const properties = Object.entries(options).filter(([key]) => key.startsWith('properties.'))
  const { settings, producer, ignored } = parseProducerProperties(new Map(properties.map(([key, value]) => [key.slice('properties.'.length), value])))
  const key = keyPart(options, schema)
  const partitioner = options['sink.partitioner'] ?? 'default'
  if (partitioner === 'round-robin' && key !== undefined)
    throw new FlinkError('INVALID_CONFIGURATION', "'sink.partitioner' = 'round-robin' is for records without a key, but 'key.fields' is given")
  const sink: KafkaTableSink = {
    transport: {
      topic,
      settings: settingsJson(settings),
      producer: { ...producer },
      // Kafka's own partitioner goes round the partitions where there is no key, as in Flink.
      partitioner: partitioner === 'fixed' ? 'fixed' : 'default',
      ignoredProperties: ignored,
    },
    guarantee: options['sink.delivery-guarantee'] === 'none' ? 'none' : 'at-least-once',
    value: valuePart(options, schema, key),
    key,
  }
  // Also the formats' own options and types: a job must not find out when it runs.
  for (const part of [sink.value, sink.key]) if (part !== undefined) encoderOf(part, { job: '', vertex: '' }, false)
  return sink
}

function keyPart(options: FormatOptions, schema: Schema): RecordPart | undefined {
  const format = options['key.format']
  const named = options['key.fields']
  if (format === undefined && named === undefined) {
    if (options['key.fields-prefix'] !== undefined)
      throw new FlinkError('INVALID_CONFIGURATION', "option 'key.fields-prefix' needs 'key.format' and 'key.fields'")
    return undefined
  }
  if (format === undefined || named === undefined)
    throw new FlinkError(
      'INVALID_CONFIGURATION',
      `option '${format === undefined ? 'key.fields' : 'key.format'}' needs '${format === undefined ? 'key.format' : 'key.fields'}'`,
    )
  const prefix = options['key.fields-prefix'] ?? ''
  if (prefix !== '' && options['value.fields-include'] !== 'EXCEPT_KEY')
    throw new FlinkError('INVALID_CONFIGURATION', "option 'key.fields-prefix' needs 'value.fields-include' = 'EXCEPT_KEY'")
  const columns = named.split(';').map(text => {
    const name = text.trim()
    const index = schema.findIndex(column => column.name === name)
    if (index < 0)
      throw new FlinkError(
        'INVALID_CONFIGURATION',
        `option 'key.fields' names '${name}', which is no column of the table; there are ${schema.map(column => column.name).join(', ')}`,
      )
    if (!name.startsWith(prefix))
      throw new FlinkError('INVALID_CONFIGURATION', `option 'key.fields' names '${name}', which does not begin with 'key.fields-prefix', '${prefix}'`)
    return index
  })
  const fields = columns.map(index => ({ name: schema[index]!.name.slice(prefix.length), type: schema[index]!.type }))
  return { format, options: withoutPrefix(options, 'key.'), columns, fields }
}

function valuePart(options: FormatOptions, schema: Schema, key: RecordPart | undefined): RecordPart {
  const exceptKey = options['value.fields-include'] === 'EXCEPT_KEY'
  if (exceptKey && key === undefined)
    throw new FlinkError('INVALID_CONFIGURATION', "'value.fields-include' = 'EXCEPT_KEY' needs 'key.format' and 'key.fields'")
  const columns = schema.map((_, i) => i).filter(i => !exceptKey || key?.columns.includes(i) !== true)
  return { format: options['format']!, options, columns, fields: columns.map(i => ({ name: schema[i]!.name, type: schema[i]!.type })) }
}

function withoutPrefix(options: FormatOptions, prefix: string): FormatOptions {
  return Object.fromEntries(
    Object.entries(options)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value]),
  )
}

function encoderOf({ format, options, fields }: RecordPart, origin: { job: string; vertex: string }, generated: boolean): RecordEncoder {
  return createEncoder(format, fields, options, { framing: 'message', origin, generated })
}

/** Rows as records in the form that the transport takes: two lengths, key, value. */
export class KafkaTableSinkOperator extends TableSinkOperator {
  constructor(node: Pick<SinkNode, 'table' | 'schema' | 'options'>, settings: CalcSettings) {
    const { transport, guarantee, value, key } = kafkaTableSink(node.options, node.schema)
    let encoders: { readonly value: RecordEncoder; readonly key: RecordEncoder | undefined } | undefined
    const start = (context: OperatorContext) => {
      const origin = { job: context.jobName, vertex: context.operatorName }
      return {
        value: encoderOf(value, origin, settings.codegen),
        key: key === undefined ? undefined : encoderOf(key, origin, settings.codegen),
      }
    }
    super(
      { type: 'kafka', options: transport, acknowledges: guarantee === 'none' ? 'end' : 'barriers' },
      node,
      (frame, from, to, writer, context) => {
        encoders ??= start(context)
        const values = part(frame, value)
        const keys = key === undefined ? undefined : part(frame, key)
        for (let row = from; row < to; row++) {
          const header = writer.reserve(KAFKA_RECORD_HEADER_SIZE)
          if (keys !== undefined) encoders.key?.encode(keys, row, row + 1, writer)
          const middle = writer.length
          encoders.value.encode(values, row, row + 1, writer)
          const { view } = writer
          const hasKey = keys !== undefined && !isNothing(key, keys, row)
          view.setInt32(header, hasKey ? middle - header - KAFKA_RECORD_HEADER_SIZE : -1, true)
          view.setInt32(header + 4, isNothing(value, values, row) ? -1 : writer.length - middle, true)
        }
      },
    )
  }
}

/** The same frame where the part is all of its columns in their order. */
function part(frame: ColumnarFrame, { columns }: RecordPart): ColumnarFrame {
  if (columns.length === frame.columns.length && columns.every((column, i) => column === i)) return frame
  return { ...frame, columns: columns.map(column => frame.columns[column]!) }
}

/** A NULL of the format raw has no bytes at all: as a value it is a tombstone. */
function isNothing(part: RecordPart | undefined, frame: ColumnarFrame, row: number): boolean {
  return part?.format === 'raw' && !isValid(frame.columns[0]!.validity, row)
}
