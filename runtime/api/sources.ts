import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import type { WatermarkStrategy } from '../time/watermark-strategy.ts'
import type { Boundedness, SplitSource } from './built-in-connectors.ts'
import { builtInConnectors } from './built-in-connectors.ts'

/** What `fromSource` takes, besides a user's own `SplitSource`. `define` answers the operator that reads it. */
export interface Source<T> {
  readonly boundedness: Boundedness
  readonly producedType: TypeInformation<T>
  /** True where only one subtask can read. */
  readonly nonParallel?: boolean
  /** `configuration`: of the job, for what the source is not told itself. */
  define(watermarks: WatermarkStrategy<T> | undefined, configuration?: Configuration): OperatorDefinition
}

export class CollectionSource<T> implements Source<T> {
  readonly boundedness = 'BOUNDED'
  readonly nonParallel = true
  readonly producedType: TypeInformation<T>
  private readonly values: readonly T[]

  constructor(values: Iterable<T>, type?: TypeInformation<T>) {
    if (typeof values?.[Symbol.iterator] !== 'function' || typeof values === 'string')
      throw new FlinkError('INVALID_PROGRAM', 'fromCollection takes an array or another iterable of rows')
    this.values = [...values]
    this.producedType = type ?? (Types.GENERIC as TypeInformation<T>)
  }

  define(watermarks: WatermarkStrategy<T> | undefined): OperatorDefinition {
    return builtInConnectors().collection(this.values, this.producedType as TypeInformation, watermarks)
  }
}

/** from..to, both inclusive: numbers give rows of SAFE_LONG (number), bigints rows of LONG (bigint). */
export class NumberSequenceSource<T extends number | bigint> implements Source<T> {
  readonly boundedness = 'BOUNDED'
  readonly producedType: TypeInformation<T>
  private readonly from: T
  private readonly to: T

  constructor(from: T, to: T) {
    for (const end of [from, to])
      if (typeof end !== 'bigint' && !Number.isSafeInteger(end))
        throw new FlinkError('INVALID_PROGRAM', `fromSequence takes whole numbers up to 2^53-1, or bigints, got ${end}`)
    if (typeof from !== typeof to) throw new FlinkError('INVALID_PROGRAM', 'fromSequence takes two numbers or two bigints')
    this.from = from
    this.to = to
    this.producedType = (typeof from === 'bigint' ? Types.LONG : Types.SAFE_LONG) as unknown as TypeInformation<T>
  }

  define(watermarks: WatermarkStrategy<T> | undefined): OperatorDefinition {
    return builtInConnectors().sequence(String(this.from), String(this.to), this.producedType as TypeInformation, watermarks)
  }
}

/** Lines of a file, or of every file in a folder. `loop` reads them again and again at `linesPerSecond`. */
export class TextFileSource implements Source<string> {
  readonly boundedness: Boundedness
  readonly producedType = Types.STRING as TypeInformation<string>
  private readonly path: string
  private readonly loop: boolean
  private readonly linesPerSecond: number | undefined

  constructor(path: string, options: { readonly loop?: boolean; readonly linesPerSecond?: number } = {}) {
    if (typeof path !== 'string' || path === '') throw new FlinkError('INVALID_PROGRAM', 'readTextFile takes a path that is not empty')
    this.path = path
    this.loop = options.loop ?? false
    this.linesPerSecond = positive('linesPerSecond', options.linesPerSecond)
    this.boundedness = this.loop ? 'CONTINUOUS_UNBOUNDED' : 'BOUNDED'
  }

  define(watermarks: WatermarkStrategy<string> | undefined): OperatorDefinition {
    return builtInConnectors().textFile(this.path, { loop: this.loop, linesPerSecond: this.linesPerSecond }, watermarks)
  }
}

export class SocketSource implements Source<string> {
  readonly boundedness = 'CONTINUOUS_UNBOUNDED'
  readonly nonParallel = true
  readonly producedType = Types.STRING as TypeInformation<string>
  private readonly options: { readonly host: string; readonly port: number; readonly delimiter: string; readonly retriesMax: number }

  constructor(host: string, port: number, delimiter: string, retriesMax: number) {
    if (typeof host !== 'string' || host === '') throw new FlinkError('INVALID_PROGRAM', 'socketTextStream takes a host name')
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new FlinkError('INVALID_PROGRAM', `socketTextStream: a port is a whole number from 1 to 65535, got ${port}`)
    if (typeof delimiter !== 'string' || delimiter === '')
      throw new FlinkError('INVALID_PROGRAM', 'socketTextStream: the delimiter is a text that is not empty')
    if (!Number.isInteger(retriesMax) || retriesMax < -1)
      throw new FlinkError('INVALID_PROGRAM', `socketTextStream: maxRetry is a whole number from 0, or -1 for ever, got ${retriesMax}`)
    this.options = { host, port, delimiter, retriesMax }
  }

  define(watermarks: WatermarkStrategy<string> | undefined): OperatorDefinition {
    return builtInConnectors().socket(this.options, watermarks)
  }
}

export interface DataGeneratorOptions<T> {
  /** How many rows in all; left out = for ever. */
  readonly count?: number
  /** Rows a second over all subtasks; left out = as fast as they are taken. */
  readonly rowsPerSecond?: number
  readonly type?: TypeInformation<T>
}

/** Rows made by a function of their index. */
export class DataGeneratorSource<T> implements Source<T> {
  readonly boundedness: Boundedness
  readonly producedType: TypeInformation<T>
  private readonly generator: (index: number) => T
  private readonly count: number | undefined
  private readonly rowsPerSecond: number | undefined

  constructor(generator: (index: number) => T, options: DataGeneratorOptions<T> = {}) {
    if (typeof generator !== 'function')
      throw new FlinkError('INVALID_PROGRAM', 'DataGeneratorSource takes a function that makes the row of an index')
    const { count } = options
    if (count !== undefined && (!Number.isSafeInteger(count) || count < 0))
      throw new FlinkError('INVALID_PROGRAM', `DataGeneratorSource: count is a whole number from 0, got ${count}`)
    this.generator = generator
    this.count = count
    this.rowsPerSecond = positive('rowsPerSecond', options.rowsPerSecond)
    this.boundedness = count === undefined ? 'CONTINUOUS_UNBOUNDED' : 'BOUNDED'
    this.producedType = options.type ?? (Types.GENERIC as TypeInformation<T>)
  }

  define(watermarks: WatermarkStrategy<T> | undefined): OperatorDefinition {
    return builtInConnectors().datagen(
      this.generator,
      { count: this.count, rowsPerSecond: this.rowsPerSecond },
      this.producedType as TypeInformation,
      watermarks,
    )
  }
}

/** Own source made of splits: they are made once, where the graph is built, and handed out by the JobManager, which runs no user code. */
export function splitSourceDefinition<T>(source: SplitSource<T>, watermarks: WatermarkStrategy<T> | undefined): OperatorDefinition {
  const splits = source.createSplits()
  if (!Array.isArray(splits)) throw new FlinkError('INVALID_PROGRAM', 'own source: createSplits must answer an array of splits')
  const ids = new Set<string>()
  for (const split of splits) {
    const id: unknown = split?.splitId
    if (typeof id !== 'string' || id === '') throw new FlinkError('INVALID_PROGRAM', 'own source: every split is plain JSON with a splitId')
    if (ids.has(id)) throw new FlinkError('INVALID_PROGRAM', `own source: two splits have the splitId '${id}'`)
    ids.add(id)
  }
  return builtInConnectors().splitSource(source, splits, watermarks)
}

function positive(name: string, value: number | undefined): number | undefined {
  if (value !== undefined && !(value > 0 && Number.isFinite(value)))
    throw new FlinkError('INVALID_PROGRAM', `${name} is a number above 0, got ${value}`)
  return value
}
