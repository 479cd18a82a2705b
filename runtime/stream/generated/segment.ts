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
  /** What worked the frame before: nearly always right for all frames of an input. */
  private current: FrameCode | undefined = undefined
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
    const code = this.codeFor(frame)
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

  private codeFor(frame: ObjectFrame | LocalFrame): SegmentCode {
    const columns = frame.kind === 'columnar' ? frame.columns : undefined
    const timed = frame.timestamps !== undefined
    if (this.current === undefined || !suits(this.current, columns, timed)) {
      const absent = columns?.map(({ kind }) => kind === 'absent')
      const key = `${timed} ${absent}`
      const code = this.compiled.get(key) ?? this.compile(absent, timed)
      this.compiled.set(key, code)
      this.current = { absent, timed, code }
    }
    return this.current.code
  }

  private compile(absent: readonly boolean[] | undefined, timed: boolean): SegmentCode {
    const { links, input, jobName } = this.options
    assert(absent === undefined || input !== undefined, 'columnar frames come on edges whose type has a columnar form')
    const steps = links.map(({ link, step }) => ({ step, name: link.name ?? '' }))
    return emitSegment({
      origin: { job: jobName, vertex: steps.map(({ name }) => name).join('-') },
      source: absent === undefined || input === undefined ? { kind: 'rows' } : { kind: 'columns', layout: input, absent: indicesOf(absent) },
      steps,
      target: this.target(),
      timed,
      emit: this.emit,
      shouldStop: this.shouldStop,
      stopMask: this.host.clockMask,
      pressure: this.pressure,
      position: this.position,
    })
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

/** The code for frames of one form. */
interface FrameCode {
  /** By column; undefined = rows as objects. */
  readonly absent: readonly boolean[] | undefined
  readonly timed: boolean
  readonly code: SegmentCode
}

/** Asked for each visit of a frame: nothing is made. */
function suits({ absent, timed }: FrameCode, columns: readonly LocalColumn[] | undefined, isTimed: boolean): boolean {
  if (timed !== isTimed) return false
  if (absent === undefined || columns === undefined) return absent === undefined && columns === undefined
  for (let i = 0; i < absent.length; i++) if ((columns[i]!.kind === 'absent') !== absent[i]) return false
  return true
}

function indicesOf(flags: readonly boolean[]): readonly number[] {
  return flags.flatMap((flag, i) => (flag ? [i] : []))
}
