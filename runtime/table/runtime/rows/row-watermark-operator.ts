import type { Expression } from '../../plan/expression.ts'
import { TableWatermarkBase } from '../watermark-operator.ts'
import { nullRowtime } from '../window-aggregate-operator.ts'
import { RowExpressions } from './row-calc-operator.ts'

/** WATERMARK FOR of a table, a row at a time: the row, then the watermark when it is due. */
export class RowWatermarkOperator extends TableWatermarkBase<readonly unknown[]> {
  private readonly rowtime: number
  private readonly expressions: () => RowExpressions
  private compiled: RowExpressions | undefined

  constructor(rowtime: number, inputTypes: readonly string[], expression: Expression, settings: { readonly timeZone: string }) {
    super()
    this.rowtime = rowtime
    this.expressions = () => new RowExpressions(inputTypes, [expression], settings)
  }

  override open(): void {
    super.open()
    this.compiled = this.expressions()
  }

  processElement(value: unknown): void {
    const row = value as readonly unknown[]
    if (typeof row[this.rowtime] !== 'number') throw nullRowtime()
    if (this.context.batch) this.output.collect(row, row[this.rowtime] as number)
    else this.take(row)
  }

  protected kept(row: readonly unknown[]): readonly unknown[] {
    return row
  }

  protected pass(row: readonly unknown[]): boolean {
    const watermark = this.compiled?.evaluate(row, this.context.clock.nowMs(), 0)?.[0]
    if (typeof watermark === 'number') this.current = Math.max(this.current, watermark)
    // Looked at when the row came.
    this.output.collect(row, row[this.rowtime] as number)
    if (this.isDue) this.emit()
    return true
  }
}
