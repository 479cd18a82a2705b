import { FlinkError } from '../../common/errors.ts'
import { type DeclaredState, timerStates } from '../../graph/declared-state.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import type { TypeInformation } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import { declaredStates, ListStateDescriptor, type StateDescriptor, ValueStateDescriptor } from '../../state/descriptors.ts'
import type { HeapState } from '../../state/heap-state.ts'
import { type KeyedStateBackend, schemaOf } from '../../state/keyed-state-backend.ts'
import type { OperatorListSnapshot, RestoredSnapshot } from '../../state/snapshot.ts'
import type { Timer } from '../../time/timer-queue.ts'
import { MIN_WATERMARK } from '../../time/watermark.ts'
import { TimeWindow, type TumblingWindowAssigner, windowStart } from '../../time/windows.ts'
import type { AggregateFunction, KeySpec, ProcessWindowFunction, ReduceFunction, TimeDomain } from '../functions.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { TimedOperator } from './timed-operator.ts'
import { OperatorWindowContext } from './window-context.ts'
import { progressLists, progressState, restoredProgress } from './window-progress.ts'

/** A window is its start. */
const windowNamespace = Types.SAFE_LONG as TypeInformation

export type WindowFunctionSpec =
  | { readonly reduce: ReduceFunction<unknown> }
  | { readonly aggregate: AggregateFunction<unknown, unknown, unknown> }
  /** Keeps every row for `processWindow`. */
  | { readonly elements: true }

export interface WindowOperatorOptions {
  readonly key: KeySpec
  readonly assigner: TumblingWindowAssigner
  readonly function: WindowFunctionSpec
  readonly processWindow?: ProcessWindowFunction<unknown, unknown, unknown> | undefined
  /** Of the rows that come in. */
  readonly valueType: TypeInformation
  /** Of the accumulator; needed with `aggregate`. */
  readonly accumulatorType?: TypeInformation | undefined
}

/**
 * Tumbling windows on the general path: contents per (key, window) in keyed state, one timer a key and window at the window's last
 * timestamp. A window fires once, when watermark (or clock) reaches that timestamp, and is then freed. A row whose window has already
 * fired is late: dropped and counted. A row is judged against the watermark before it, and behind a restore against the one of the snapshot as long as
 * the sources' new ones are behind that.
 */
export class WindowOperator extends TimedOperator {
  private readonly sizeMs: number
  private readonly offsetMs: number
  private readonly eventTime: boolean
  private readonly contents: WindowContents
  private readonly processWindow: ProcessWindowFunction<unknown, unknown, unknown> | undefined
  private readonly windowContext: OperatorWindowContext
  /** Windows up to here have fired, maybe before a restore. */
  private firedWatermark = MIN_WATERMARK
  // Both are set by `setup`.
  private state!: HeapState
  private lateCounter!: { inc(count?: number): void }

  constructor(options: WindowOperatorOptions) {
    const { reduce, aggregate } = options.function as { reduce?: ReduceFunction<unknown>; aggregate?: AggregateFunction<unknown, unknown, unknown> }
    super(
      [reduce, aggregate, options.processWindow].filter(fn => fn !== undefined),
      [options.key],
      1,
      windowNamespace,
    )
    this.sizeMs = options.assigner.sizeMs
    this.offsetMs = options.assigner.offsetMs
    this.eventTime = options.assigner.timeDomain === 'EVENT_TIME'
    this.contents = windowContents(options)
    this.processWindow = options.processWindow as ProcessWindowFunction<unknown, unknown, unknown> | undefined
    this.windowContext = new OperatorWindowContext(this)
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.lateCounter = context.metrics.counter('numLateRecordsDropped')
  }

  processElement(value: unknown, timestamp: number): void {
    this.setKeyOf(value, 0)
    const time = this.eventTime ? timestamp : this.context.clock.nowMs()
    if (Number.isNaN(time))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.context.operatorName}: a record has no timestamp; call assignTimestampsAndWatermarks before the window, or use processing time`,
      )
    const start = windowStart(time, this.offsetMs, this.sizeMs)
    const maxTimestamp = start + this.sizeMs - 1
    if (this.eventTime && maxTimestamp <= this.firedWatermark) {
      this.lateCounter.inc()
      return
    }
    const state = this.state
    state.setNamespace(start)
    const before = state.read()
    if (before === undefined) {
      if (this.eventTime) this.registerEventTimer(maxTimestamp, start)
      else this.registerProcessingTimer(maxTimestamp, start)
    }
    let after: unknown
    try {
      after = this.contents.add(before, value)
    } catch (error) {
      throw this.userError(error)
    }
    if (after instanceof Promise) throw this.promiseRefused(this.contents.name, after)
    if (after === before) state.changedInPlace()
    else state.write(after)
  }

  override restore(state: RestoredSnapshot): void {
    super.restore(state)
    if (this.eventTime) this.firedWatermark = restoredProgress(state)
  }

  protected override operatorState(barrier: CheckpointBarrier): readonly OperatorListSnapshot[] {
    const lists = super.operatorState(barrier)
    return this.eventTime ? [...lists, ...progressLists(this.firedWatermark)] : lists
  }

  protected override advanceEventTime(watermark: number): boolean {
    if (!super.advanceEventTime(watermark)) return false
    this.firedWatermark = Math.max(this.firedWatermark, watermark)
    return true
  }

  protected override registerStates(backend: KeyedStateBackend): void {
    this.state = backend.register(this.contents.descriptor, windowNamespace)
    super.registerStates(backend)
    const windowStates = declaredStates(this.processWindow).map(descriptor => backend.register(descriptor, windowNamespace))
    this.windowContext.connect(backend, windowStates)
  }

  /** The only timers are ends of windows. */
  protected onTimer(timer: Timer, _domain: TimeDomain): void {
    const start = timer.namespace as number
    this.state.setNamespace(start)
    const contents = this.state.read()
    if (contents === undefined) return
    const maxTimestamp = start + this.sizeMs - 1
    this.collector.timestamp = maxTimestamp
    if (this.processWindow === undefined) this.emitResult(contents)
    else this.runProcessWindow(this.processWindow, contents, start, maxTimestamp)
    this.state.setNamespace(start)
    this.state.clear()
  }

  private emitResult(contents: unknown): void {
    let result: unknown
    try {
      result = this.contents.result(contents)
    } catch (error) {
      throw this.userError(error)
    }
    this.collector.collect(result)
  }

  private runProcessWindow(fn: ProcessWindowFunction<unknown, unknown, unknown>, contents: unknown, start: number, maxTimestamp: number): void {
    const context = this.windowContext
    context.enter(new TimeWindow(start, start + this.sizeMs), maxTimestamp)
    let result: unknown
    try {
      const elements = this.contents.isList ? (contents as Iterable<unknown>) : [this.contents.result(contents)]
      result = fn.process(this.key(), context, elements, this.collector)
      // No lateness is allowed, so that the window expires as it fires.
      fn.clear?.(context)
    } catch (error) {
      throw this.userError(error)
    }
    if (result instanceof Promise) throw this.promiseRefused('process', result)
  }
}

/** What it keeps beside what its functions declare for the key: also for the graph, which knows states without running. */
export function windowStates(options: WindowOperatorOptions): readonly DeclaredState[] {
  const ofWindow = [windowContents(options).descriptor as StateDescriptor, ...declaredStates(options.processWindow)]
  return [
    ...ofWindow.map(descriptor => ({ ...schemaOf(descriptor, windowNamespace), builtIn: true as const })),
    ...timerStates(windowNamespace.json),
    ...(options.assigner.timeDomain === 'EVENT_TIME' ? [progressState] : []),
  ]
}

/** What a window holds and how a row is added to it. */
interface WindowContents {
  readonly name: string
  readonly isList: boolean
  readonly descriptor: ValueStateDescriptor<unknown> | ListStateDescriptor<unknown>
  /** `before` undefined = first row of the window. */
  add(before: unknown, value: unknown): unknown
  result(contents: unknown): unknown
}

const stateName = '_window-contents'

function windowContents(options: WindowOperatorOptions): WindowContents {
  const spec = options.function
  if ('reduce' in spec) {
    const fn = spec.reduce as unknown as ReduceFunction<unknown>
    return {
      name: 'reduce',
      isList: false,
      descriptor: new ValueStateDescriptor(stateName, options.valueType),
      add: (before, value) => (before === undefined ? value : fn.reduce(before, value)),
      result: contents => contents,
    }
  }
  if ('aggregate' in spec) {
    const fn = spec.aggregate as unknown as AggregateFunction<unknown, unknown, unknown>
    if (options.accumulatorType === undefined)
      throw new FlinkError('INVALID_PROGRAM', 'a window with an aggregate function needs the type of its accumulator')
    return {
      name: 'aggregate',
      isList: false,
      descriptor: new ValueStateDescriptor(stateName, options.accumulatorType),
      add: (before, value) => {
        const after = fn.add(value, before === undefined ? fn.createAccumulator() : before)
        if (after === undefined) throw new Error('add of the aggregate function returned undefined instead of the accumulator')
        return after
      },
      result: contents => fn.getResult(contents),
    }
  }
  if (options.processWindow === undefined) throw new FlinkError('INVALID_PROGRAM', 'a window that keeps its elements needs a process window function')
  return {
    name: 'window',
    isList: true,
    descriptor: new ListStateDescriptor(stateName, options.valueType),
    add: (before, value) => {
      if (before === undefined) return [value]
      const list = before as unknown[]
      list.push(value)
      return list
    },
    result: contents => contents,
  }
}
