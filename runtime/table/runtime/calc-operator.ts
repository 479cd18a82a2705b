import { FlinkError } from '../../common/errors.ts'
import type { ColumnarFrame, Float64Column } from '../../network/columns.ts'
import type { OperatorContext, OperatorOutput } from '../../stream/operator.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import { type Calc, compileCalc, interpretCalc } from '../functions/compile-calc.ts'
import type { Expression } from '../plan/expression.ts'
import { SqlWatermarkOperator } from './watermark-operator.ts'

export interface CalcSettings {
  readonly timeZone: string
  /** `table.exec.codegen`. */
  readonly codegen: boolean
}

/** Filter and projection, a frame at a time; counts which path its rows took. */
export class CalcOperator extends BaseOperator {
  readonly frameUse = 'passed'
  private readonly inputTypes: readonly string[]
  private readonly condition: Expression | null
  private readonly projections: readonly Expression[]
  private readonly settings: CalcSettings
  private calc: Calc | undefined
  private generated: { inc(count?: number): void } = noCounter
  private interpreted: { inc(count?: number): void } = noCounter

  constructor(inputTypes: readonly string[], condition: Expression | null, projections: readonly Expression[], settings: CalcSettings) {
    super()
    this.inputTypes = inputTypes
    this.condition = condition
    this.projections = projections
    this.settings = settings
  }

  override open(): void {
    const reuse = this.output.framesAreDone?.() ?? false
    this.calc = makeCalc(this.inputTypes, this.condition, this.projections, this.settings, this.context, reuse)
    const counter = this.context.metrics.counter(this.calc.interpretedCount === 0 ? 'rowsGenerated' : 'rowsInterpreted')
    if (this.calc.interpretedCount === 0) this.generated = counter
    else this.interpreted = counter
  }

  processElement(): void {
    throw new FlinkError('INTERNAL', 'a calc takes columnar frames only')
  }

  processFrame(frame: ColumnarFrame): void {
    const result = this.calc?.run(frame)
    this.generated.inc(frame.length)
    this.interpreted.inc(frame.length)
    if (result !== undefined) this.output.collectFrame(result)
  }
}

/** SqlWatermarkOperator with its expression compiled. */
export class TableWatermarkOperator extends SqlWatermarkOperator {
  private readonly compile: (context: OperatorContext) => void

  constructor(rowtime: number, inputTypes: readonly string[], expression: Expression, settings: CalcSettings) {
    let calc: Calc | undefined
    // Without a condition every row has a value, and the expression is a timestamp.
    super(rowtime, frame => calc?.run(frame)?.columns[0] as Float64Column)
    this.compile = context => {
      // Its one column is read before the next frame comes.
      calc = makeCalc(inputTypes, null, [expression], settings, context, true)
    }
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.compile(context)
  }
}

const noCounter = { inc: () => {} }

function makeCalc(
  inputTypes: readonly string[],
  condition: Expression | null,
  projections: readonly Expression[],
  { timeZone, codegen }: CalcSettings,
  context: OperatorContext,
  reuse: boolean,
): Calc {
  const options = { origin: { job: context.jobName, vertex: context.operatorName }, timeZone, clock: context.clock, reuse }
  return codegen ? compileCalc(inputTypes, condition, projections, options) : interpretCalc(inputTypes, condition, projections, options)
}
