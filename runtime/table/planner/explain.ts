import type { SinkNode } from '../plan/physical.ts'
import type { LogicalSink } from './logical.ts'
import { logicalPlanText, physicalPlanText } from './plan-text.ts'

/** EXPLAIN in Flink's three sections. Physical and execution plan are one here: every physical node runs as it stands. */
export function explainText(plans: readonly { readonly logical: LogicalSink; readonly physical: SinkNode }[]): string {
  const logical = plans.map(plan => logicalPlanText(plan.logical)).join('\n\n')
  const physical = plans.map(plan => physicalPlanText(plan.physical)).join('\n\n')
  return ['== Abstract Syntax Tree ==', logical, '', '== Optimized Physical Plan ==', physical, '', '== Optimized Execution Plan ==', physical].join(
    '\n',
  )
}
