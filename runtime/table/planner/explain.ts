import { systemClock } from '../../common/clock.ts'
import { compileCalc } from '../functions/compile-calc.ts'
import type { PhysicalNode, SinkNode } from '../plan/physical.ts'
import type { LogicalSink } from './logical.ts'
import { executionPlanText, logicalPlanText, physicalPlanText } from './plan-text.ts'
import { type SharingSettings, shareSubplans } from './share-subplans.ts'

/** EXPLAIN in Flink's three sections. Every physical node runs as it stands; the execution plan shows which of them run once for several readers. */
export function explainText(
  plans: readonly { readonly logical: LogicalSink; readonly physical: SinkNode }[],
  settings: { readonly timeZone: string; readonly generatedSource: boolean; readonly sharing: SharingSettings },
): string {
  const logical = plans.map(plan => logicalPlanText(plan.logical)).join('\n\n')
  const physical = plans.map(plan => physicalPlanText(plan.physical)).join('\n\n')
  const execution = executionPlanText(
    shareSubplans(
      plans.map(plan => plan.physical),
      settings.sharing,
    ),
  )
  const sections = [
    '== Abstract Syntax Tree ==',
    logical,
    '',
    '== Optimized Physical Plan ==',
    physical,
    '',
    '== Optimized Execution Plan ==',
    execution,
  ]
  if (settings.generatedSource) sections.push('', '== Generated Source ==', ...plans.flatMap(plan => sourcesOf(plan.physical, settings.timeZone)))
  return sections.join('\n')
}

/** Of the calcs, from the sinks down. Windows and watermarks run loops that are written by hand. */
function sourcesOf(node: PhysicalNode, timeZone: string): string[] {
  const own = node.kind === 'calc' ? [calcSource(node, timeZone)] : []
  const inputs = node.kind === 'scan' ? [] : node.kind === 'union' ? node.inputs : [node.input]
  return [...own, ...inputs.flatMap(input => sourcesOf(input, timeZone))]
}

function calcSource(node: Extract<PhysicalNode, { kind: 'calc' }>, timeZone: string): string {
  const types = node.input.schema.map(({ type }) => type)
  const options = { origin: { job: 'explain', vertex: 'Calc' }, timeZone, clock: systemClock }
  // Without the running number of the function: every worker plans the script again, and must get the same text.
  return compileCalc(types, node.condition, node.projections, options).source.replaceAll(/^(\/\/# sourceURL=.*)\/\d+$/gm, '$1')
}
