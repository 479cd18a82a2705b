import type { BuiltInConnectors } from '../api/built-in-connectors.ts'
import { statesOf } from '../api/user-functions.ts'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { TypeInformation, TypeJsonObject } from '../serde/type-information.ts'
import type { OperatorContext, StreamOperator } from '../stream/operator.ts'
import { FunctionSourceOperator } from '../stream/operators/function-source-operator.ts'
import { SinkFunctionOperator } from '../stream/operators/sink-function-operator.ts'
import { SourceOperator, sourceStates } from '../stream/operators/source-operator.ts'
import { TransportSinkOperator } from '../stream/operators/transport-sink-operator.ts'
import { userError } from '../stream/operators/user-code.ts'
import type { SourceDescription, SourceReader, SourceReaderContext } from '../stream/spi/source.ts'
import type { WatermarkStrategy } from '../time/watermark-strategy.ts'
import { collectionCursor, generatorCursor, IndexReader, sequenceCursor } from './index-readers.ts'
import { LineReader, socketKind, textFileKind } from './line-reader.ts'
import { printPrefix, writeLine } from './text-lines.ts'
import { valueFormatter } from './value-text.ts'

/**
 * The connectors that come with the engine, as the operator definitions that the API puts into a graph. A source is three things: an
 * enumerator on the JobManager (`source`, see registry.ts), a reader in each slot (`factory`), and, for what lies outside, a fetcher in
 * the I/O worker that the reader opens by name. Factories read data only from the options they are given.
 */
export const builtInConnectorsOfEngine: BuiltInConnectors = {
  collection(values, type, watermarks) {
    return source({
      type: 'source:collection',
      options: { elementType: type.json as TypeJsonObject, count: values.length, values: encodeValues(values, type) },
      source: { enumerator: 'static', options: { splits: [{ splitId: 'collection', next: 0 }] }, bounded: true },
      watermarks,
      reader: options => {
        const decoded = decodeValues(options, type)
        return context => new IndexReader({ rowsPerSecond: undefined, cursor: split => collectionCursor(decoded, split) }, context)
      },
    })
  },

  sequence(from, to, type, watermarks) {
    const asNumber = type.json.kind === 'SAFE_LONG'
    return source({
      type: 'source:sequence',
      options: { from, to, elementType: type.json as TypeJsonObject },
      source: { enumerator: 'sequence', options: { from, to }, bounded: true },
      watermarks,
      reader: () => context => new IndexReader({ rowsPerSecond: undefined, cursor: split => sequenceCursor(asNumber, split) }, context),
    })
  },

  textFile(path, { loop, linesPerSecond }, watermarks) {
    return source({
      type: 'source:file',
      options: { path, loop, ...(linesPerSecond === undefined ? {} : { linesPerSecond }) },
      source: { enumerator: 'file', options: { path }, bounded: !loop },
      watermarks,
      reader: options => context => new LineReader(textFileKind(options), context),
    })
  },

  socket({ host, port, delimiter, retriesMax }, watermarks) {
    const options = { host, port, delimiter, retriesMax }
    return source({
      type: 'source:socket',
      options,
      source: { enumerator: 'static', options: { splits: [{ splitId: 'socket', ...options }] }, bounded: false },
      watermarks,
      reader: given => context => new LineReader(socketKind(given), context),
    })
  },

  datagen(generator, { count, rowsPerSecond }, type, watermarks) {
    const range = count === undefined ? {} : { count }
    return source({
      type: 'source:datagen',
      options: { ...range, elementType: type.json as TypeJsonObject, ...(rowsPerSecond === undefined ? {} : { rowsPerSecond }) },
      functions: [{ role: 'generator', source: generator.toString() }],
      source: { enumerator: 'strided', options: range, bounded: count !== undefined },
      watermarks,
      reader: options => context => {
        const rate = options['rowsPerSecond']
        const generate = guardedGenerator(generator)
        return new IndexReader(
          { rowsPerSecond: typeof rate === 'number' ? rate : undefined, cursor: split => generatorCursor(generate, split) },
          context,
        )
      },
    })
  },

  functionSource(fn, type) {
    return {
      type: 'source:function',
      options: { elementType: type.json as TypeJsonObject },
      functions: methodsOf(fn, ['open', 'run', 'cancel', 'close']),
      states: statesOf({ run: fn }),
      factory: (): StreamOperator => new FunctionSourceOperator(fn),
      source: { enumerator: 'static', options: { splits: [] }, bounded: false } satisfies SourceDescription,
    }
  },

  splitSource(own, splits, watermarks) {
    return source({
      type: 'source:split',
      options: {},
      functions: methodsOf(own, ['createReader']),
      source: { enumerator: 'static', options: { splits }, bounded: own.boundedness === 'BOUNDED' },
      watermarks,
      reader: () => context => own.createReader(context),
    })
  },

  print({ id, toStderr }, type) {
    return {
      type: 'sink:print',
      options: { id, toStderr },
      functions: [],
      states: [],
      factory: (options: JsonObject): StreamOperator => {
        const format = valueFormatter(type.json)
        const givenId = String(options['id'])
        let prefix: string | undefined
        const encode = (value: unknown, context: OperatorContext, writer: ByteWriter) => {
          prefix ??= printPrefix(givenId, context.subtaskIndex, context.parallelism)
          writeLine(prefix + textOf(format, value, context), writer)
        }
        return new TransportSinkOperator({ type: 'print', options: { toStderr: options['toStderr'] === true }, encode })
      },
    }
  },

  writeAsText(path, { overwrite }, type) {
    return {
      type: 'sink:file',
      options: { path, overwrite },
      functions: [],
      states: [],
      factory: (options: JsonObject): StreamOperator => {
        const format = valueFormatter(type.json)
        return new TransportSinkOperator({
          type: 'file',
          options,
          encode: (value, context, writer) => writeLine(textOf(format, value, context), writer),
        })
      },
    }
  },

  functionSink(fn, { inFlightMax }, _type) {
    return {
      type: 'sink:function',
      options: { inFlightMax },
      functions: methodsOf(fn, ['open', 'invoke', 'close']),
      states: statesOf({ invoke: fn }),
      factory: (options: JsonObject): StreamOperator => new SinkFunctionOperator(fn, { inFlightMax: Number(options['inFlightMax']) }),
      columnar: true,
      rowFunction: { fn, method: 'invoke', passesRows: false },
    }
  },
}

interface SourceParts {
  readonly type: string
  readonly options: JsonObject
  readonly functions?: OperatorDefinition['functions']
  readonly source: SourceDescription
  readonly watermarks: WatermarkStrategy<never> | undefined
  /** Once per subtask with the JobGraph's options, then for its context. */
  reader(options: JsonObject): (context: SourceReaderContext) => SourceReader
}

function source({ type, options, functions = [], source: description, watermarks, reader }: SourceParts): OperatorDefinition {
  const described = watermarks?.describe()
  return {
    type,
    options: described === undefined ? options : { ...options, watermarks: { kind: described.kind, boundMs: described.boundMs } },
    functions: [...functions, ...(described?.functions ?? [])],
    states: sourceStates,
    factory: (given: JsonObject): StreamOperator => new SourceOperator({ createReader: reader(given), watermarkStrategy: watermarks }),
    source: description,
  }
}

function encodeValues(values: readonly unknown[], type: TypeInformation): string {
  const writer = new ByteWriter()
  for (const [i, value] of values.entries()) {
    try {
      type.serializer.write(value, writer)
    } catch (error) {
      throw error instanceof FlinkError
        ? new FlinkError(error.code, `element ${i} of a collection source: ${error.message}`, error.detail, error)
        : error
    }
  }
  return Buffer.from(writer.subarray()).toString('base64')
}

function decodeValues(options: JsonObject, type: TypeInformation): unknown[] {
  const input = new ByteReader(Uint8Array.from(Buffer.from(String(options['values']), 'base64')))
  return Array.from({ length: Number(options['count']) }, () => type.serializer.read(input))
}

/** Sources of the functions a user wrote, for the graph hash. */
function methodsOf(object: object, names: readonly string[]): { role: string; source: string }[] {
  const methods = object as Readonly<Record<string, unknown>>
  return names.flatMap(name => (typeof methods[name] === 'function' ? [{ role: name, source: String(methods[name]) }] : []))
}

function guardedGenerator(generator: (index: number) => unknown): (index: number) => unknown {
  return index => {
    try {
      return generator(index)
    } catch (error) {
      throw userError('data generator', error)
    }
  }
}

/** A value's own `toString` is the user's code. */
function textOf(format: (value: unknown) => string, value: unknown, context: OperatorContext): string {
  try {
    return format(value)
  } catch (error) {
    throw userError(context.operatorName, error)
  }
}
