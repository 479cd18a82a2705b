import { BaseOperator } from '../../../stream/operators/base-operator.ts'
import { environmentOf } from '../../functions/compile-calc.ts'
import { fromRowForm, toRowForm } from '../../functions/frame-values.ts'
import { type Environment, rowError } from '../../functions/function.ts'
import { type Evaluator, interpretExpression } from '../../functions/interpret.ts'
import { parseValueType, type Value, type ValueType } from '../../functions/value-type.ts'
import type { Expression } from '../../plan/expression.ts'

/**
 * Operators of SQL over rows as objects (`table.exec.columnar: false`): no frame of columns, no generated loop, no slices. Small and slow on
 * purpose: they say what the columnar operators beside must give, and the differential tests hold the two together. A row is an array in the
 * row form of runtime/serde/columns-type.ts.
 */

/** Evaluates expressions over one row; each row counts as a frame of its own. */
export class RowExpressions {
  private readonly types: readonly ValueType[]
  private readonly environment: Environment
  private readonly evaluators: readonly { readonly type: ValueType; readonly run: Evaluator }[]

  constructor(inputTypes: readonly string[], expressions: readonly Expression[], settings: { readonly timeZone: string }) {
    this.types = inputTypes.map(parseValueType)
    this.environment = environmentOf(settings)
    this.evaluators = expressions.map(expression => ({
      type: parseValueType(expression.type),
      run: interpretExpression(expression, this.environment),
    }))
  }

  /** Values of the expressions at `row` in row form, in order; undefined as soon as one of the first `conditions` is not TRUE. */
  evaluate(row: readonly unknown[], nowMs: number, conditions: number): unknown[] | undefined {
    this.environment.frameTimeMs = nowMs
    // The edge's type says that these are values of the columns' types.
    const values = this.types.map((type, i) => fromRowForm(type, row[i] as Value))
    const results: unknown[] = []
    try {
      for (const [i, { type, run }] of this.evaluators.entries()) {
        const value = run(values)
        if (i >= conditions) results.push(toRowForm(type, value))
        else if (value !== true) return undefined
      }
    } catch (error) {
      throw rowError(error, 0)
    }
    return results
  }
}

/** Filter and projection, a row at a time. */
export class RowCalcOperator extends BaseOperator {
  private readonly conditions: number
  private readonly expressions: () => RowExpressions
  private compiled: RowExpressions | undefined

  constructor(
    inputTypes: readonly string[],
    condition: Expression | null,
    projections: readonly Expression[],
    settings: { readonly timeZone: string },
  ) {
    super()
    this.conditions = condition === null ? 0 : 1
    this.expressions = () => new RowExpressions(inputTypes, condition === null ? projections : [condition, ...projections], settings)
  }

  override open(): void {
    this.compiled = this.expressions()
  }

  processElement(value: unknown, timestamp: number): void {
    const row = this.compiled?.evaluate(value as readonly unknown[], this.context.clock.nowMs(), this.conditions)
    if (row !== undefined) this.output.collect(row, timestamp)
  }
}
