import type { Expression } from '../../plan/expression.ts'
import { TableWatermarkBase } from '../watermark-operator.ts'
import { nullRowtime } from '../window-aggregate-operator.ts'
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
    const time = row[this.rowtime]
    if (typeof time !== 'number') throw nullRowtime()
    if (this.context.batch) {
      this.output.collect(row, time)
      return
    }
    const watermark = this.compiled?.evaluate(row, this.context.clock.nowMs(), 0)?.[0]
    if (typeof watermark === 'number') this.current = Math.max(this.current, watermark)
    this.output.collect(row, time)
    if (this.isDue) this.emit()
  }
}
