import type { LogicalNode } from './logical.ts'
import { foldConstants } from './rules/fold-constants.ts'
import { mergeCalcs } from './rules/merge-calc.ts'
import { pruneColumns } from './rules/prune-columns.ts'
import { recogniseWindowAggregates } from './rules/window-aggregate.ts'

/** The rules in their order; each keeps the rows of the plan as they are. */
export function optimise<N extends LogicalNode>(root: N, settings: { readonly timeZone: string }): N {
  const rules: readonly ((node: LogicalNode) => LogicalNode)[] = [
    node => foldConstants(node, settings.timeZone),
    mergeCalcs,
    recogniseWindowAggregates,
    mergeCalcs,
    pruneColumns,
    mergeCalcs,
  ]
  // No rule changes what the root is: a sink stays one.
  return rules.reduce<LogicalNode>((node, rule) => rule(node), root) as N
}
