import type { OperatorDefinition } from '../../../runtime/graph/stream-graph.ts'
import type { ColumnarFrame } from '../../../runtime/network/columns.ts'
import { frameOf, rowsOf } from '../../../runtime/network/columns-rows.ts'
import { columnLayout } from '../../../runtime/serde/columns-type.ts'
import { BaseOperator } from '../../../runtime/stream/operators/base-operator.ts'
import { SourceOperator } from '../../../runtime/stream/operators/source-operator.ts'
import type { SourceOutput, SourceReader, SourceSplit } from '../../../runtime/stream/spi/source.ts'
import type { Schema } from '../../../runtime/table/plan/expression.ts'
import { shownRow } from './model.ts'
import type { TestTable } from './random-plan.ts'

/** Tables in memory: read as frames of columns or as rows, written as lines of text that show every difference. */
export type SourceForm = 'frames' | 'rows'

interface ScanOptions {
  readonly form: SourceForm
  readonly rowsPerFrame: number
  readonly parallelism: number
}

/** Row i is read by subtask i modulo parallelism. */
export function testScan(table: TestTable, projected: readonly number[], options: ScanOptions): OperatorDefinition {
  const splits = Array.from({ length: options.parallelism }, (_, index) => ({ splitId: `part ${index}`, index }))
  return {
    type: 'source:test',
    options: {},
    functions: [],
    states: [],
    factory: () => new SourceOperator({ createReader: () => new TestReader(table, projected, options) }),
    source: { enumerator: 'static', options: { splits }, bounded: true },
  }
}

class TestReader implements SourceReader {
  private readonly table: TestTable
  private readonly projected: readonly number[]
  private readonly options: ScanOptions
  private readonly pending: number[] = []
  private allAssigned = false

  constructor(table: TestTable, projected: readonly number[], options: ScanOptions) {
    this.table = table
    this.projected = projected
    this.options = options
  }

  addSplits(splits: readonly SourceSplit[]): void {
    for (const { index } of splits)
      for (let row = Number(index); row < this.table.rows.length; row += this.options.parallelism) this.pending.push(row)
  }

  noMoreSplits(): void {
    this.allAssigned = true
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    if (this.pending.length === 0) return this.allAssigned ? 'end' : 'nothing'
    const { table, projected, options } = this
    const picked = this.pending.splice(0, options.form === 'rows' ? 1 : options.rowsPerFrame)
    const rows = picked.map(row => projected.map(column => table.rows[row]![column]))
    const times = table.times === undefined ? undefined : Float64Array.from(picked, row => table.times![row]!)
    const kinds = table.kinds === undefined ? undefined : Uint8Array.from(picked, row => table.kinds![row]!)
    if (options.form === 'rows') output.collect(rows[0], times?.[0] ?? Number.NaN)
    else
      output.collectFrame(
        frameOf(
          rows,
          projected.map(column => columnLayout(table.schema[column]!.type)),
          times,
          kinds,
        ),
      )
    return 'more'
  }

  snapshotSplits(): readonly SourceSplit[] {
    return []
  }

  describePosition(): string {
    return `table ${this.table.name}`
  }

  close(): void {}
}

/** Rows as objects have no kind beside them: where the source gave rows, the column that repeats it is believed. */
export function testSink(schema: Schema, columnar: boolean, source: SourceForm, lines: string[]): OperatorDefinition {
  return {
    type: 'sink:test',
    options: {},
    functions: [],
    states: [],
    factory: () => (columnar ? new FrameSink(schema, source, lines) : new RowSink(schema, lines)),
  }
}

class RowSink extends BaseOperator {
  protected readonly schema: Schema
  protected readonly lines: string[]

  constructor(schema: Schema, lines: string[]) {
    super()
    this.schema = schema
    this.lines = lines
  }

  processElement(value: unknown, timestamp: number): void {
    this.lines.push(shownRow(this.schema, value as readonly unknown[], timestamp))
  }
}

/** The kinds are those of the frames, which the columns that repeat them must agree with. */
class FrameSink extends RowSink {
  private readonly source: SourceForm

  constructor(schema: Schema, source: SourceForm, lines: string[]) {
    super(schema, lines)
    this.source = source
  }

  processFrame(frame: ColumnarFrame): void {
    const rows = rowsOf(
      frame,
      this.schema.map(({ type }) => columnLayout(type)),
    )
    for (const [i, row] of rows.entries())
      this.lines.push(
        shownRow(this.schema, row, frame.timestamps?.[i] ?? Number.NaN, this.source === 'rows' ? undefined : (frame.rowKinds?.[i] ?? 0)),
      )
  }
}
