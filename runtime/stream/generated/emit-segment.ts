import { type Code, code, FunctionEmitter, type FunctionOrigin, join } from '../../codegen/emit.ts'
import { ROWS_PER_FRAME_MAX } from '../../network/frame.ts'
import type { RowLayout } from '../../serde/row-layout.ts'
import { promiseRefused } from '../operators/user-code.ts'
import { defineColumns, defineStore, loadRow, newArray, type StoreNames, storeRow } from './emit-fields.ts'
import type { GeneratedStep } from './step.ts'

/**
 * One loop for several users' functions in a row, and for the columns before and behind them:
 *
 *   for (row of frame) { v = [columns…]; v = map(v); if (!filter(v)) continue; flatMap(v, { collect(v) { … } }) } -> columns, rows or sink
 *
 * Rows given to users are array and object literals inside the loop, so that V8 can keep them in registers. What comes behind a flatMap is
 * the body of its collector. `position` is where the loop is, for whoever catches what a function throws.
 */
export type SegmentSource =
  /** Columns that are `absent` have no values: nobody reads them. */
  { readonly kind: 'columns'; readonly layout: RowLayout; readonly absent: readonly number[] } | { readonly kind: 'rows' }

export type SegmentTarget =
  /** A frame of columns for `emit`: those of `fields`, undefined = all. */
  | { readonly kind: 'columns'; readonly layout: RowLayout; readonly fields: readonly number[] | undefined }
  /** Row by row to `collect`. */
  | { readonly kind: 'rows'; readonly collect: (value: unknown, timestamp: number) => void }
  /** The last step is a sink. */
  | { readonly kind: 'none' }

export interface SegmentSpec {
  readonly origin: FunctionOrigin
  readonly source: SegmentSource
  readonly steps: readonly { readonly step: GeneratedStep; readonly name: string }[]
  readonly target: SegmentTarget
  /** Whether rows have event times. */
  readonly timed: boolean
  /** Takes what has been stored: values and validity of each column, then the times. True = the arrays may be written to again. */
  readonly emit: (count: number, values: readonly unknown[], validity: readonly unknown[], timestamps: Float64Array | undefined) => boolean
  /** Asked behind every row for which `row & mask` is `mask`. */
  readonly shouldStop: () => boolean
  readonly stopMask: number
  /** Set by the steps while a row is worked: a full output, rows that a sink refuses. */
  readonly pressure: { now: boolean }
  readonly position: Position
}

/** `step` is the index of the function at work or, while a row is stored, of the last one; -1 = `emit` is at work. */
export interface Position {
  row: number
  step: number
  /** First row of those that the output's columns hold rows of. */
  firstStored: number
}

export interface SegmentCode {
  /** Works rows from `from`; answers the row where to go on. */
  readonly run: (input: readonly unknown[], timestamps: Float64Array | undefined, from: number, to: number) => number
  /** Rows that came to each step, since it was asked last; and, at the end, rows that came to the target. */
  readonly counts: (into: number[]) => void
  readonly source: string
}

export function emitSegment(spec: SegmentSpec): SegmentCode {
  return new SegmentEmitter(spec).emit()
}

class SegmentEmitter {
  private readonly spec: SegmentSpec
  private readonly emitter = new FunctionEmitter()
  private readonly position: Code
  /** Counters of rows that came to step i; steps that see every row of the step before share its counter. */
  private readonly counters: Code[] = []
  private readonly store: StoreNames | undefined
  private readonly storedTimes: Code
  private readonly storedCount: Code
  private readonly flush: Code
  /** Event time of the row at work. */
  private readonly time: Code
  /** What the sink at the end says of itself. */
  private readonly sinkState: { readonly accepting: Code; readonly context: Code }

  constructor(spec: SegmentSpec) {
    const { emitter } = this
    this.spec = spec
    this.position = emitter.constant(spec.position)
    this.time = spec.timed ? emitter.outerVariable(code`NaN`) : code`NaN`
    this.storedCount = emitter.outerVariable(code`0`)
    this.sinkState = { accepting: emitter.outerVariable(code`true`), context: emitter.outerVariable(code`undefined`) }
    const { target } = spec
    this.store = target.kind === 'columns' ? defineStore(emitter, target.layout, target.fields, ROWS_PER_FRAME_MAX) : undefined
    this.storedTimes = spec.timed && this.store !== undefined ? emitter.outerVariable(code`new Float64Array(${ROWS_PER_FRAME_MAX})`) : code`undefined`
    this.flush = this.emitFlush()
  }

  emit(): SegmentCode {
    const { emitter, spec, position } = this
    const { steps, source } = spec
    const [input, timestamps, from, to] = [emitter.fresh(), emitter.fresh(), emitter.fresh(), emitter.fresh()]
    this.counters.push(emitter.outerVariable(code`0`))
    const columns = source.kind === 'columns' ? defineColumns(emitter, source.layout, source.absent, input) : []
    const row = emitter.variable(from)
    for (const { step } of steps) {
      if (step.kind !== 'sink') continue
      const operator = emitter.constant(step.operator)
      emitter.line(code`${operator}.beginRows()`)
      // Nothing that happens outside this loop changes them while it runs: calls in flight settle between slices.
      emitter.line(code`${this.sinkState.accepting} = ${operator}.accepting`)
      emitter.line(code`${this.sinkState.context} = ${operator}.rowContext`)
    }
    if (this.store !== undefined) emitter.line(code`${position}.firstStored = ${from}`)
    emitter.open(code`while (${row} < ${to})`)
    emitter.line(code`${position}.row = ${row}`)
    if (spec.timed) emitter.line(code`${this.time} = ${timestamps} === undefined ? NaN : ${timestamps}[${row}]`)
    const value = emitter.define(source.kind === 'columns' ? loadRow(emitter, source.layout, columns, row) : code`${input}[${row}]`)
    emitter.line(code`${row}++`)
    emitter.line(code`${this.counters[0] as Code}++`)
    // A labelled block: a filter leaves the row, not the loop's end.
    emitter.open(code`row:`)
    this.emitSteps(0, value, code`break row`)
    emitter.close()
    const stop = emitter.constant(spec.shouldStop)
    const pressure = emitter.constant(spec.pressure)
    emitter.line(code`if (${pressure}.now || (${row} & ${spec.stopMask}) === ${spec.stopMask}) if (${stop}()) break`)
    emitter.close()
    if (this.store !== undefined) emitter.line(code`if (${this.storedCount} > 0) ${this.flush}()`)
    emitter.line(code`return ${row}`)
    const counts = this.emitCounts()
    const built = emitter.build<SegmentCode['run']>(spec.origin, [input, timestamps, from, to], [counts])
    return { run: built.run, counts: built.others[0] as SegmentCode['counts'], source: built.source }
  }

  /** Statements for step `index` and those behind it; `leave` ends the row. */
  private emitSteps(index: number, value: Code, leave: Code): void {
    const { emitter, spec, position } = this
    const one = spec.steps[index]
    if (one === undefined) {
      this.emitTarget(value)
      return
    }
    const { step, name } = one
    const fn = emitter.constant(step.fn)
    if (index > 0 || spec.steps.length > 1 || this.store !== undefined) emitter.line(code`${position}.step = ${index}`)
    switch (step.kind) {
      case 'map': {
        const result = emitter.define(code`${fn}.map(${value})`)
        this.refusePromise(result, name, 'map')
        this.counters.push(this.counters[index] as Code)
        this.emitSteps(index + 1, result, leave)
        return
      }
      case 'filter': {
        const passes = emitter.define(code`${fn}.filter(${value})`)
        this.refusePromise(passes, name, 'filter')
        emitter.line(code`if (!${passes}) ${leave}`)
        this.countInto(index + 1)
        this.emitSteps(index + 1, value, leave)
        return
      }
      case 'flatMap': {
        const collected = emitter.fresh()
        const collect = emitter.defineFunction([collected], () => {
          this.countInto(index + 1)
          this.emitSteps(index + 1, collected, code`{ ${position}.step = ${index}; return }`)
          if (spec.steps[index + 1] !== undefined) emitter.line(code`${position}.step = ${index}`)
        })
        const out = emitter.outerDefine(code`{ collect: ${collect} }`)
        const result = emitter.define(code`${fn}.flatMap(${value}, ${out})`)
        this.refusePromise(result, name, 'flatMap')
        return
      }
      case 'sink':
        this.emitSink(fn, emitter.constant(step.operator), value)
        this.counters.push(this.counters[index] as Code)
    }
  }

  private emitTarget(value: Code): void {
    const { emitter, spec, store, storedCount } = this
    const { target } = spec
    if (target.kind === 'rows') {
      emitter.line(code`${emitter.constant(target.collect)}(${value}, ${this.time})`)
      return
    }
    if (target.kind === 'none' || store === undefined) return
    storeRow(emitter, target.layout, store, value, storedCount, spec.steps.at(-1)?.name ?? '')
    if (spec.timed) emitter.line(code`${this.storedTimes}[${storedCount}] = ${this.time}`)
    emitter.line(code`if (++${storedCount} === ${ROWS_PER_FRAME_MAX}) ${this.flush}()`)
  }

  private emitSink(fn: Code, operator: Code, value: Code): void {
    const { emitter, spec } = this
    const { accepting, context } = this.sinkState
    emitter.open(code`if (${accepting})`)
    if (spec.timed) emitter.line(code`${context}.rowTimestamp = ${this.time}`)
    const result = emitter.define(code`${fn}.invoke(${value}, ${context})`)
    const pressure = emitter.constant(spec.pressure)
    emitter.open(code`if (${result} !== undefined)`)
    emitter.line(code`${operator}.invoked(${result})`)
    emitter.line(code`${accepting} = ${operator}.accepting`)
    emitter.line(code`${context} = ${operator}.rowContext`)
    emitter.line(code`${pressure}.now = true`)
    emitter.close()
    emitter.otherwise()
    emitter.line(code`${operator}.processElement(${value}, ${this.time})`)
    emitter.line(code`${pressure}.now = true`)
    emitter.close()
  }

  private refusePromise(result: Code, name: string, what: string): void {
    const refused = this.emitter.constant((promise: Promise<unknown>) => {
      throw promiseRefused(name, what, promise)
    })
    this.emitter.line(code`if (${result} instanceof Promise) ${refused}(${result})`)
  }

  private countInto(index: number): void {
    const counter = this.emitter.outerVariable(code`0`)
    this.counters[index] = counter
    this.emitter.line(code`${counter}++`)
  }

  /** Hands the columns over; the arrays stay when few of their places were used, or nobody reads them any more. */
  private emitFlush(): Code {
    const { emitter, store, storedCount, storedTimes, spec, position } = this
    const { target } = spec
    if (store === undefined || target.kind !== 'columns') return code`undefined`
    const { columns } = target.layout
    return emitter.defineFunction([], () => {
      const count = emitter.define(storedCount)
      const few = emitter.define(code`${count} < ${ROWS_PER_FRAME_MAX / 2}`)
      const whole = emitter.define(code`${count} === ${ROWS_PER_FRAME_MAX}`)
      const part = (array: Code) => code`${few} ? ${array}.slice(0, ${count}) : ${whole} ? ${array} : ${array}.subarray(0, ${count})`
      const taken = columns.map((column, i) => {
        const values = store.values[i]
        if (values === undefined) return code`undefined`
        return emitter.define(column.kind === 'bytes' ? code`${whole} ? ${values} : ${values}.slice(0, ${count})` : part(values))
      })
      const validity = store.validity.map(name => (name === undefined ? code`undefined` : emitter.define(name)))
      const times = spec.timed ? emitter.define(part(storedTimes)) : code`undefined`
      for (const bits of store.validity) if (bits !== undefined) emitter.line(code`${bits} = undefined`)
      emitter.line(code`${storedCount} = 0`)
      const step = emitter.define(code`${position}.step`)
      emitter.line(code`${position}.step = -1`)
      const done = emitter.define(code`${emitter.constant(spec.emit)}(${count}, [${join(taken, ', ')}], [${join(validity, ', ')}], ${times})`)
      emitter.line(code`${position}.step = ${step}`)
      emitter.open(code`if (!${few} && !${done})`)
      for (const [i, column] of columns.entries()) {
        const values = store.values[i]
        if (values !== undefined) emitter.line(code`${values} = ${newArray(column, code`${ROWS_PER_FRAME_MAX}`)}`)
      }
      if (spec.timed) emitter.line(code`${storedTimes} = new Float64Array(${ROWS_PER_FRAME_MAX})`)
      emitter.close()
      emitter.line(code`${position}.firstStored = ${position}.row`)
    })
  }

  private emitCounts(): Code {
    const { emitter, counters } = this
    const into = emitter.fresh()
    return emitter.defineFunction([into], () => {
      for (const [i, counter] of counters.entries()) emitter.line(code`${into}[${i}] = ${counter}`)
      for (const counter of new Set(counters)) emitter.line(code`${counter} = 0`)
    })
  }
}
