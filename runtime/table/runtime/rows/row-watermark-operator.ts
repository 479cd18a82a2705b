import type { Expression } from '../../plan/expression.ts'
import { nullRowtime } from '../slice-tables.ts'
import { TableWatermarkBase } from '../watermark-operator.ts'
import { RowExpressions } from './row-calc-operator.ts'

/** WATERMARK FOR of a table, a row at a time: the row, then the watermark when it is due. */
export class RowWatermarkOperator extends TableWatermarkBase {
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
    this.output.collect(row, row[this.rowtime] as number)
    if (this.context.batch) return
    const watermark = this.compiled?.evaluate(row, this.context.clock.nowMs(), 0)?.[0]
    if (typeof watermark === 'number') this.current = Math.max(this.current, watermark)
    if (!this.isDue) return
    this.last = this.current
    this.output.emitWatermark(this.last)
  }
}
