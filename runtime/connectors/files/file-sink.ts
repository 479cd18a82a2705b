import { refuseByName } from '../../api/refusals.ts'
import type { Sink } from '../../api/sinks.ts'
import { refuseAsync, sourcesOf } from '../../api/user-functions.ts'
import { parseDuration } from '../../common/config.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { OperatorDefinition } from '../../graph/stream-graph.ts'
import type { TypeInformation } from '../../serde/type-information.ts'
import type { StreamOperator } from '../../stream/operator.ts'
import { FileSinkOperator, type FileSinkSpec, fileSinkStates } from '../../stream/operators/file-sink-operator.ts'
import type { RollingPolicySettings } from '../../stream/operators/part-buckets.ts'
import { writeLine } from '../text-lines.ts'
import { valueFormatter } from '../value-text.ts'
import { BasePathBucketAssigner, type BucketAssigner, DateTimeBucketAssigner } from './bucket-assigners.ts'
import { ByteWriterStream, type Encoder, SimpleStringEncoder } from './encoders.ts'
import { DefaultRollingPolicy, OnCheckpointRollingPolicy, type RollingPolicy } from './rolling-policies.ts'

/**
 * The transactional file sink, in Flink's words:
 * `stream.sinkTo(FileSink.forRowFormat('/out', new SimpleStringEncoder()).withRollingPolicy(…).build())`.
 *
 * Its parts: `FileSinkOperator` (slot: rows to parts, two phases of commit), `file-sink-transport.ts` (I/O worker: the files), and a
 * `RecoverableWriter` for each kind of file system. What is data travels in the options of the JobGraph; an own encoder and an own bucket assigner are
 * taken from the program that the worker runs again.
 */
export class FileSink<T> implements Sink<T> {
  readonly name = 'Writer'
  private readonly spec: RowFormatSpec<T>

  /** Made by `FileSink.forRowFormat(…).build()`. */
  constructor(spec: RowFormatSpec<T>) {
    this.spec = spec
  }

  static forRowFormat<T>(basePath: string, encoder: Encoder<T> | Encoder<T>['encode']): RowFormatBuilder<T> {
    return new RowFormatBuilder<T>(basePath, encoder)
  }

  define(type: TypeInformation<T>): OperatorDefinition {
    const { path, encoder, bucketAssigner, rollingPolicy, outputFile, bucketCheckIntervalMs } = this.spec
    const options: FileSinkOptions = {
      path,
      prefix: outputFile.partPrefix,
      suffix: outputFile.partSuffix,
      rollingPolicy: rollingPolicy.settings,
      bucketCheckIntervalMs,
      bucketAssigner: describeAssigner(bucketAssigner),
    }
    return {
      type: 'sink:file-sink',
      options: { ...options },
      functions: sourcesOf({ encoder, bucketAssigner }),
      states: fileSinkStates,
      factory: (given: JsonObject): StreamOperator => new FileSinkOperator(operatorSpec(given as unknown as FileSinkOptions, this.spec, type)),
    }
  }
}

export interface RowFormatSpec<T> {
  readonly path: string
  readonly encoder: Encoder<T>
  readonly bucketAssigner: BucketAssigner<T>
  readonly rollingPolicy: RollingPolicy
  readonly outputFile: OutputFileConfig
  readonly bucketCheckIntervalMs: number
}

export class RowFormatBuilder<T> {
  private spec: RowFormatSpec<T>

  constructor(path: string, encoder: Encoder<T> | Encoder<T>['encode']) {
    if (typeof path !== 'string' || path === '') throw new FlinkError('INVALID_PROGRAM', 'forRowFormat takes a path that is not empty')
    const object = typeof encoder === 'function' ? { encode: encoder } : encoder
    if (typeof object?.encode !== 'function')
      throw new FlinkError('INVALID_PROGRAM', 'forRowFormat takes an encoder: a function (element, stream), or an object with encode')
    refuseAsync('forRowFormat', encoder)
    this.spec = {
      path,
      encoder: object,
      bucketAssigner: new DateTimeBucketAssigner(),
      rollingPolicy: DefaultRollingPolicy.builder().build(),
      outputFile: OutputFileConfig.builder().build(),
      bucketCheckIntervalMs: 60_000,
    }
  }

  withBucketAssigner(assigner: BucketAssigner<T> | BucketAssigner<T>['getBucketId']): this {
    const bucketAssigner = typeof assigner === 'function' ? { getBucketId: assigner } : assigner
    if (typeof bucketAssigner?.getBucketId !== 'function')
      throw new FlinkError('INVALID_PROGRAM', 'withBucketAssigner takes a function (element, context), or an object with getBucketId')
    refuseAsync('withBucketAssigner', assigner)
    this.spec = { ...this.spec, bucketAssigner }
    return this
  }

  withRollingPolicy(rollingPolicy: RollingPolicy): this {
    if (!(rollingPolicy instanceof DefaultRollingPolicy || rollingPolicy instanceof OnCheckpointRollingPolicy))
      throw new FlinkError(
        'UNSUPPORTED',
        'withRollingPolicy takes a DefaultRollingPolicy or an OnCheckpointRollingPolicy; own policies are not supported yet',
      )
    this.spec = { ...this.spec, rollingPolicy }
    return this
  }

  withOutputFileConfig(outputFile: OutputFileConfig): this {
    if (!(outputFile instanceof OutputFileConfig)) throw new FlinkError('INVALID_PROGRAM', 'withOutputFileConfig takes an OutputFileConfig')
    this.spec = { ...this.spec, outputFile }
    return this
  }

  /** How often parts are looked at for their age and inactivity; `1 min`, or milliseconds. */
  withBucketCheckInterval(interval: string | number): this {
    const bucketCheckIntervalMs = parseDuration(interval)
    if (bucketCheckIntervalMs <= 0) throw new FlinkError('INVALID_PROGRAM', 'withBucketCheckInterval takes more than zero')
    this.spec = { ...this.spec, bucketCheckIntervalMs }
    return this
  }

  build(): FileSink<T> {
    return new FileSink(this.spec)
  }
}

refuseByName(FileSink, 'FileSink', { forBulkFormat: 'bulk formats are not supported yet; use forRowFormat' })
refuseByName(RowFormatBuilder.prototype, 'FileSink', {
  enableCompact: 'compaction is not supported yet; let parts grow with withRollingPolicy',
  disableCompact: 'compaction is not supported yet, so there is none',
})

/** `<prefix>-<uid>-<count><suffix>`. */
export class OutputFileConfig {
  readonly partPrefix: string
  readonly partSuffix: string

  constructor(partPrefix: string, partSuffix: string) {
    this.partPrefix = partPrefix
    this.partSuffix = partSuffix
  }

  static builder(): OutputFileConfigBuilder {
    return new OutputFileConfigBuilder()
  }
}

export class OutputFileConfigBuilder {
  private prefix = 'part'
  private suffix = ''

  withPartPrefix(prefix: string): this {
    this.prefix = namePart('withPartPrefix', prefix)
    if (/^[._]/.test(prefix))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `withPartPrefix: ${JSON.stringify(prefix)} would hide the files from readers, which leave out what begins with . or _`,
      )
    return this
  }

  withPartSuffix(suffix: string): this {
    this.suffix = namePart('withPartSuffix', suffix)
    return this
  }

  build(): OutputFileConfig {
    return new OutputFileConfig(this.prefix, this.suffix)
  }
}

/** A name of 255 bytes also holds who writes it, while it is not committed. */
const NAME_PART_BYTES_MAX = 40

function namePart(what: string, text: string): string {
  if (typeof text !== 'string' || /[/\0]/.test(text) || Buffer.byteLength(text) > NAME_PART_BYTES_MAX)
    throw new FlinkError('INVALID_PROGRAM', `${what} takes a text without '/' of up to ${NAME_PART_BYTES_MAX} bytes, got ${JSON.stringify(text)}`)
  return text
}

type FileSinkOptions = {
  readonly path: string
  readonly prefix: string
  readonly suffix: string
  readonly rollingPolicy: RollingPolicySettings
  readonly bucketCheckIntervalMs: number
  readonly bucketAssigner: AssignerJson
}

type AssignerJson = { readonly kind: 'function' | 'basePath' } | { readonly kind: 'dateTime'; readonly format: string; readonly zone: string | null }

function describeAssigner(assigner: BucketAssigner<never>): AssignerJson {
  if (assigner instanceof DateTimeBucketAssigner) return { kind: 'dateTime', format: assigner.formatString, zone: assigner.zoneId ?? null }
  return { kind: assigner instanceof BasePathBucketAssigner ? 'basePath' : 'function' }
}

function operatorSpec<T>(options: FileSinkOptions, { encoder, bucketAssigner }: RowFormatSpec<T>, type: TypeInformation<T>): FileSinkSpec {
  const { path, prefix, suffix, rollingPolicy, bucketCheckIntervalMs, bucketAssigner: described } = options
  const assigner =
    described.kind === 'dateTime'
      ? new DateTimeBucketAssigner(described.format, described.zone ?? undefined)
      : described.kind === 'basePath'
        ? new BasePathBucketAssigner()
        : bucketAssigner
  return {
    options: { path, prefix, suffix },
    rollingPolicy,
    bucketCheckIntervalMs,
    bucketOf: (value, context) => assigner.getBucketId(value as T, context),
    encode: encoder instanceof SimpleStringEncoder ? encodeLines(type) : encodeBy(encoder),
  }
}

/** A declared type knows better than the value how Flink would print it. */
function encodeLines<T>(type: TypeInformation<T>): FileSinkSpec['encode'] {
  const format = valueFormatter(type.json)
  return (value, _context, writer) => writeLine(format(value), writer)
}

function encodeBy<T>(encoder: Encoder<T>): FileSinkSpec['encode'] {
  const stream = new ByteWriterStream()
  return (value, _context, writer) => {
    stream.writer = writer
    encoder.encode(value as T, stream)
    stream.writer = undefined
  }
}
