import { parseDuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { MIN_WATERMARK } from './watermark.ts'

export interface WatermarkOutput {
  /** Lower than or equal to the last one = ignored. */
  emitWatermark(timestamp: number): void
}

/** User's or built-in maker of watermarks; one per subtask of the operator that assigns timestamps. */
export interface WatermarkGenerator<T> {
  /** For every record; emitting here makes punctuated watermarks, which leave before the next record. */
  onEvent(event: T, timestamp: number, output: WatermarkOutput): void
  /** Every `pipeline.auto-watermark-interval`. */
  onPeriodicEmit(output: WatermarkOutput): void
}

/** `previous` is the timestamp that the record already has, NaN when it has none. */
export type TimestampAssigner<T> = (event: T, previous: number) => number

export type WatermarkStrategyKind = 'monotonous' | 'bounded' | 'generator' | 'none'

/** Immutable: `with…` answers a new one, so that a strategy can be shared between sources. */
export class WatermarkStrategy<T> {
  readonly kind: WatermarkStrategyKind
  /** Of `bounded`, ms; else 0. */
  readonly boundMs: number
  readonly supplier: (() => WatermarkGenerator<T>) | undefined
  readonly timestampAssigner: TimestampAssigner<T> | undefined

  private constructor(
    kind: WatermarkStrategyKind,
    boundMs: number,
    supplier: (() => WatermarkGenerator<T>) | undefined,
    timestampAssigner: TimestampAssigner<T> | undefined,
  ) {
    this.kind = kind
    this.boundMs = boundMs
    this.supplier = supplier
    this.timestampAssigner = timestampAssigner
  }

  static forMonotonousTimestamps<T>(): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>('monotonous', 0, undefined, undefined)
  }

  static forBoundedOutOfOrderness<T>(bound: string | number): WatermarkStrategy<T> {
    const boundMs = typeof bound === 'number' ? bound : parseDuration(bound)
    if (!(boundMs >= 0)) throw new FlinkError('INVALID_PROGRAM', `a watermark strategy's out-of-orderness must not be negative, got ${bound}`)
    return new WatermarkStrategy<T>('bounded', boundMs, undefined, undefined)
  }

  static forGenerator<T>(supplier: () => WatermarkGenerator<T>): WatermarkStrategy<T> {
    if (typeof supplier !== 'function')
      throw new FlinkError('INVALID_PROGRAM', 'WatermarkStrategy.forGenerator takes a function that makes a generator')
    return new WatermarkStrategy<T>('generator', 0, supplier, undefined)
  }

  static noWatermarks<T>(): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>('none', 0, undefined, undefined)
  }

  withTimestampAssigner<U extends T>(assigner: TimestampAssigner<U>): WatermarkStrategy<U> {
    if (typeof assigner !== 'function')
      throw new FlinkError('INVALID_PROGRAM', 'withTimestampAssigner takes a function of the record and its previous timestamp')
    // A generator of T also takes the narrower U; TypeScript cannot see that through the supplier.
    return new WatermarkStrategy<U>(this.kind, this.boundMs, this.supplier as (() => WatermarkGenerator<U>) | undefined, assigner)
  }

  withIdleness(_timeout: string | number): never {
    throw new FlinkError('UNSUPPORTED', 'WatermarkStrategy.withIdleness is not supported yet')
  }

  createGenerator(): WatermarkGenerator<T> {
    switch (this.kind) {
      case 'monotonous':
      case 'bounded':
        return new BoundedOutOfOrdernessWatermarks(this.boundMs)
      case 'none':
        return new NoWatermarks()
      case 'generator': {
        const generator = this.supplier?.()
        if (typeof generator?.onEvent !== 'function' || typeof generator.onPeriodicEmit !== 'function')
          throw new FlinkError('INVALID_PROGRAM', 'the watermark generator must be an object with onEvent and onPeriodicEmit')
        return generator
      }
    }
  }

  /** For plans and the graph hash. */
  describe(): {
    readonly kind: WatermarkStrategyKind
    readonly boundMs: number
    readonly functions: readonly { readonly role: string; readonly source: string }[]
  } {
    const functions = []
    if (this.supplier !== undefined) functions.push({ role: 'watermarkGenerator', source: this.supplier.toString() })
    if (this.timestampAssigner !== undefined) functions.push({ role: 'timestampAssigner', source: this.timestampAssigner.toString() })
    return { kind: this.kind, boundMs: this.boundMs, functions }
  }
}

/**
 * Watermark = largest timestamp - bound - 1: "no record with this timestamp or a lower one will come" must not exclude a record equal
 * to the largest. Ascending timestamps are the same with bound 0. Nothing before the first record.
 */
export class BoundedOutOfOrdernessWatermarks implements WatermarkGenerator<unknown> {
  private maxTimestamp = MIN_WATERMARK
  private readonly boundMs: number

  constructor(boundMs: number) {
    this.boundMs = boundMs
  }

  onEvent(_event: unknown, timestamp: number, _output: WatermarkOutput): void {
    if (timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
  }

  onPeriodicEmit(output: WatermarkOutput): void {
    output.emitWatermark(this.maxTimestamp - this.boundMs - 1)
  }
}

export class NoWatermarks implements WatermarkGenerator<unknown> {
  onEvent(): void {}
  onPeriodicEmit(): void {}
}
