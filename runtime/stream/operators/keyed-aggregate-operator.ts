import { FlinkError } from '../../common/errors.ts'
import type { LocalColumn, LocalFrame } from '../../network/columns.ts'
import { columnarFrameOf, rowsOf } from '../../network/columns-rows.ts'
import { texts } from '../../network/columns-text.ts'
import { ROWS_PER_FRAME_MAX } from '../../network/frame.ts'
import type { RowLayout } from '../../serde/row-layout.ts'
import type { TypeInformation } from '../../serde/type-information.ts'
import { KeyedSnapshots } from '../../state/keyed-snapshots.ts'
import type { RestoredSnapshot } from '../../state/snapshot.ts'
import type { KeySpec, ReduceFunction } from '../functions.ts'
import { emitKeyedAggregate, type KeyedAggregateCode } from '../generated/emit-keyed-aggregate.ts'
import { KeyedTable } from '../generated/keyed-table.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { type AggregationKind, aggregationFunction } from './aggregations.ts'
import { BaseOperator } from './base-operator.ts'
import { userError } from './user-code.ts'

export interface KeyedAggregateSpec {
  readonly kind: AggregationKind
  /** Index of the aggregated field; none of the key's. */
  readonly field: number
  readonly key: KeySpec
  readonly keyColumns: readonly number[]
  readonly type: TypeInformation
  readonly layout: RowLayout
}

export interface KeyedAggregateOptions {
  /** Batch mode: nothing per row, one row a key when the input ends. */
  readonly finalOnly: boolean
  /** Default true; false = the interpreter works every row. */
  readonly generated?: boolean
}

/** Types whose values are equal exactly when JS says so: others are keys of the interpreter's `ReduceOperator`. */
const keyTypes: ReadonlySet<string> = new Set(['BOOLEAN', 'BYTE', 'SHORT', 'INT', 'LONG', 'SAFE_LONG', 'STRING'])

export function isTypedKey({ columns }: RowLayout, keyColumns: readonly number[]): boolean {
  return keyColumns.every(column => keyTypes.has(columns[column]?.held ?? ''))
}

/**
 * sum, min, max, minBy, maxBy of a keyed stream whose rows have a columnar form: a frame in, a frame of the same rows out, the keys' rows in a
 * typed table. Gives what `ReduceOperator` gives, restores what it has saved, and is restored by it.
 *
 * Frames with nulls, and tables that hold some, are worked by `interpret`.
 */
export class KeyedAggregateOperator extends BaseOperator {
  private readonly spec: KeyedAggregateSpec
  private readonly options: KeyedAggregateOptions
  private readonly fn: ReduceFunction<unknown>
  private table!: KeyedTable
  private code: KeyedAggregateCode | undefined = undefined
  /** Batch mode: the next key to be emitted. */
  private flushed = 0

  constructor(spec: KeyedAggregateSpec, options: KeyedAggregateOptions) {
    super()
    this.spec = spec
    this.options = options
    const { shape } = spec.layout
    this.fn = aggregationFunction(spec.kind, shape.kind === 'object' ? shape.names[spec.field] : spec.field, spec.type)
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    const { key, keyColumns, type, layout } = this.spec
    // The factor of its hashes: odd, and large enough to reach the high bits.
    const seed = context.random.nextInt(2 ** 32) | 0x40000001
    this.table = new KeyedTable('_reduce', type, layout, keyColumns, key, seed)
    this.snapshots = new KeyedSnapshots({
      owner: context.operatorName,
      keyType: key.type,
      maxParallelism: context.maxParallelism,
      limits: context.options.snapshotLimits,
    })
    this.snapshots.register(this.table)
  }

  restore(state: RestoredSnapshot): void {
    if (state.keyed !== undefined) this.snapshots?.restore(state.keyed)
  }

  stateEntries(): number {
    return this.table.count
  }

  processElement(value: unknown, timestamp: number): void {
    const timestamps = Number.isNaN(timestamp) ? undefined : Float64Array.of(timestamp)
    this.processFrame(columnarFrameOf({ kind: 'object', rows: [value], timestamps, rowKinds: undefined }, this.spec.layout))
  }

  processFrame(frame: LocalFrame): void {
    const columns = frame.columns.map(column => (column.kind === 'bytes' ? texts(column, frame.length) : column))
    const plain = this.options.generated !== false && !this.table.hasNulls && columns.every(({ validity }) => validity === undefined)
    const result = plain ? this.generate(columns, frame.length) : this.interpret({ ...frame, columns })
    if (!this.options.finalOnly) this.output.collectFrame({ ...frame, columns: result })
  }

  override endInput(_input: number): boolean {
    if (!this.options.finalOnly) return true
    const { table } = this
    while (this.flushed < table.count) {
      if (this.context.shouldYield()) return false
      const end = Math.min(table.count, this.flushed + ROWS_PER_FRAME_MAX)
      const rows = Array.from({ length: end - this.flushed }, (_, i) => table.row(this.flushed + i))
      this.output.collectFrame(columnarFrameOf({ kind: 'object', rows, timestamps: undefined, rowKinds: undefined }, this.spec.layout))
      this.flushed = end
    }
    return true
  }

  private generate(columns: readonly LocalColumn[], length: number): LocalColumn[] {
    this.code ??= this.compile()
    let results: readonly unknown[]
    try {
      results = this.code.run(
        columns.map(column => (column.kind === 'bytes' ? column.data : column.values)),
        length,
      )
    } catch (error) {
      throw userError(this.context.operatorName, error)
    }
    const { keyColumns, layout } = this.spec
    let next = 0
    return columns.map((column, i) => {
      // The key of the output is the key of the input.
      if (keyColumns.includes(i) || this.options.finalOnly) return column
      const { kind } = layout.columns[i]!
      // Made by the generated code for the column's kind.
      return { kind: kind === 'bytes' ? 'text' : kind, values: results[next++], validity: undefined } as LocalColumn
    })
  }

  private compile(): KeyedAggregateCode {
    const { kind, field } = this.spec
    const pair = (value: unknown) => this.rowWith(value)
    return emitKeyedAggregate({
      origin: { job: this.context.jobName, vertex: this.context.operatorName },
      table: this.table,
      kind,
      field,
      emitsRows: !this.options.finalOnly,
      isBetter: (current, candidate) => {
        const first = pair(current)
        return this.fn.reduce(first, pair(candidate)) !== first
      },
      // Throws: it is called where the sum has left the range.
      safeSum: (a, b) => this.fieldOf(this.fn.reduce(pair(a), pair(b))) as number,
    })
  }

  /** Row by row through the reduce function. */
  private interpret(frame: LocalFrame): readonly LocalColumn[] {
    const { table, spec } = this
    const results: unknown[] = []
    for (const fields of rowsOf(frame, spec.layout.columns)) {
      for (const column of spec.keyColumns) {
        if (fields[column] !== null) continue
        throw new FlinkError('USER_FUNCTION', `operator ${this.context.operatorName}: the key of a record is null; a key must not be null`)
      }
      const hash = table.hash(fields)
      let entry = table.find(fields, hash)
      if (entry < 0) entry = table.insert(fields, hash)
      else this.reduceInto(entry, fields)
      results.push(table.row(entry))
    }
    return columnarFrameOf({ kind: 'object', rows: results, timestamps: undefined, rowKinds: undefined }, spec.layout).columns
  }

  private reduceInto(entry: number, fields: readonly unknown[]): void {
    const { shape } = this.spec.layout
    const row = shape.kind === 'object' ? Object.fromEntries(shape.names.map((name, i) => [name, fields[i]])) : fields
    let reduced: unknown
    try {
      reduced = this.fn.reduce(this.table.row(entry), row)
    } catch (error) {
      throw userError(this.context.operatorName, error)
    }
    for (const [i] of fields.entries()) {
      const name = shape.kind === 'object' ? shape.names[i]! : i
      this.table.set(entry, i, (reduced as Record<string | number, unknown>)[name])
    }
    this.table.mark(entry)
  }

  /** A row that has nothing but the aggregated field. */
  private rowWith(value: unknown): unknown {
    const { field, layout } = this.spec
    if (layout.shape.kind === 'object') return { [layout.shape.names[field]!]: value }
    const row: unknown[] = []
    row[field] = value
    return row
  }

  private fieldOf(row: unknown): unknown {
    const { field, layout } = this.spec
    return (row as Record<string | number, unknown>)[layout.shape.kind === 'object' ? layout.shape.names[field]! : field]
  }
}
