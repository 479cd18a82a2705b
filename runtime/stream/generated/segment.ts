import { assert } from '../../common/assert.ts'
import { absentColumn, type LocalColumn, type LocalFrame } from '../../network/columns.ts'
import { texts } from '../../network/columns-text.ts'
import type { ObjectFrame } from '../../network/frame.ts'
import type { RowLayout } from '../../serde/row-layout.ts'
import type { ChainLink } from '../chain-link.ts'
import type { FrameRunner, RunnerHost } from '../frame-runner.ts'
import type { OperatorOutput } from '../operator.ts'
import { userError } from '../operators/user-code.ts'
import { emitSegment, type Position, type SegmentCode, type SegmentTarget } from './emit-segment.ts'
import type { GeneratedStep } from './step.ts'

/** One operator of a segment. */
export interface SegmentLink {
  readonly link: ChainLink
  readonly step: GeneratedStep
}

export interface SegmentOptions {
  readonly jobName: string
  readonly links: readonly SegmentLink[]
  /** The link whose output the first operator reads; -1 = the gate. */
  readonly parent: number
  /** Of rows that come in columnar frames; undefined where none can come. */
  readonly input: RowLayout | undefined
  /** The last operator's; undefined behind a sink. */
  readonly output: OperatorOutput | undefined
  /** Set where the last operator's output takes columns. */
  readonly outputLayout: RowLayout | undefined
  /** Of its columns, those that anybody reads; undefined = all. */
  readonly outputFields: readonly number[] | undefined
}

/**
 * Neighbouring operators that are users' functions only, as one generated loop (emit-segment.ts), compiled when the first rows come: one
 * function for columnar and one for object frames, with and without event times. The operators themselves stay in the chain: they open and
 * close the functions, and rows that come one by one are theirs.
 */
export class GeneratedSegment implements FrameRunner {
  private readonly host: RunnerHost
  private readonly options: SegmentOptions
  private readonly compiled = new Map<string, SegmentCode>()
  private readonly position: Position = { row: 0, step: 0, firstStored: 0 }
  private readonly pressure = { now: false }
  private readonly counts: number[] = []
  private visits = 0
  private textsOf: { readonly frame: LocalFrame; readonly columns: readonly LocalColumn[] } | undefined = undefined

  constructor(host: RunnerHost, options: SegmentOptions) {
    this.host = host
    this.options = options
  }

  run(frame: ObjectFrame | LocalFrame, from: number): number {
    const { host, pressure } = this
    const { timestamps } = frame
    const columnar = frame.kind === 'columnar'
    const length = columnar ? frame.length : frame.rows.length
    this.visits = host.visitCount()
    pressure.now = false
    const code = this.codeFor(columnar, timestamps !== undefined, columnar ? absentColumnsOf(frame) : '')
    let next = from
    try {
      next = code.run(columnar ? this.columnsOf(frame) : frame.rows, timestamps, from, length)
      return next
    } catch (error) {
      throw this.located(error, length)
    } finally {
      this.count(code, columnar)
      if (next === length) this.textsOf = undefined
    }
  }

  private readonly shouldStop = (): boolean => {
    const { host, pressure } = this
    pressure.now = false
    return host.isFull() || host.visitCount() > this.visits || host.budgetSpent()
  }

  private codeFor(columnar: boolean, timed: boolean, absent: string): SegmentCode {
    const key = `${columnar} ${timed} ${absent}`
    const known = this.compiled.get(key)
    if (known !== undefined) return known
    const { links, input, jobName } = this.options
    assert(!columnar || input !== undefined, 'columnar frames come on edges whose type has a columnar form')
    const steps = links.map(({ link, step }) => ({ step, name: link.name ?? '' }))
    const code = emitSegment({
      origin: { job: jobName, vertex: steps.map(({ name }) => name).join('-') },
      source: columnar && input !== undefined ? { kind: 'columns', layout: input, absent: indicesOf(absent) } : { kind: 'rows' },
      steps,
      target: this.target(),
      timed,
      emit: this.emit,
      shouldStop: this.shouldStop,
      stopMask: this.host.clockMask,
      pressure: this.pressure,
      position: this.position,
    })
    this.compiled.set(key, code)
    return code
  }

  private target(): SegmentTarget {
    const { output, outputLayout, outputFields } = this.options
    if (output === undefined) return { kind: 'none' }
    if (outputLayout !== undefined) return { kind: 'columns', layout: outputLayout, fields: outputFields }
    const { host, pressure } = this
    const collect = (value: unknown, timestamp: number) => {
      output.collect(value, timestamp)
      if (host.isFull()) pressure.now = true
    }
    return { kind: 'rows', collect }
  }

  private readonly emit = (
    count: number,
    values: readonly unknown[],
    validity: readonly unknown[],
    timestamps: Float64Array | undefined,
  ): boolean => {
    const { output, outputLayout } = this.options
    assert(output !== undefined && outputLayout !== undefined, 'columns are stored for an output that takes them')
    const columns = outputLayout.columns.map(({ kind }, i) =>
      // The generated code has made each array for the column's kind, and none where nobody reads it.
      values[i] === undefined ? absentColumn : ({ kind: kind === 'bytes' ? 'text' : kind, values: values[i], validity: validity[i] } as LocalColumn),
    )
    this.pressure.now = true
    return output.collectFrame({ kind: 'columnar', length: count, columns, timestamps, rowKinds: undefined })
  }

  /** Strings of bytes are made once a frame, however often its rows are interrupted. */
  private columnsOf(frame: LocalFrame): readonly LocalColumn[] {
    if (this.textsOf?.frame !== frame)
      this.textsOf = { frame, columns: frame.columns.map(column => (column.kind === 'bytes' ? texts(column, frame.length) : column)) }
    return this.textsOf.columns
  }

  private located(error: unknown, length: number): unknown {
    const { position, options, host } = this
    host.failedAt(options.parent, position.step === -1 ? position.firstStored : position.row, position.row, length)
    const name = options.links[position.step]?.link.name
    return name === undefined ? error : userError(name, error)
  }

  /** Rows of each operator since the last time. */
  private count(code: SegmentCode, columnar: boolean): void {
    const { counts, options } = this
    code.counts(counts)
    for (const [i, { link }] of options.links.entries()) {
      const { counters } = link
      counters.recordsIn += counts[i]!
      counters.rowsGenerated += counts[i]!
      if (columnar && i === 0) counters.rowsColumnar += counts[i]!
      // The last one's output counts by itself.
      if (i < options.links.length - 1) counters.recordsOut += counts[i + 1]!
    }
  }
}

/** `1,3`: nearly always the same of all frames of an input. */
function absentColumnsOf({ columns }: LocalFrame): string {
  let absent = ''
  for (let i = 0; i < columns.length; i++) if (columns[i]!.kind === 'absent') absent += absent === '' ? i : `,${i}`
  return absent
}

function indicesOf(list: string): readonly number[] {
  return list === '' ? [] : list.split(',').map(Number)
}
