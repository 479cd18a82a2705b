import { inputsOf, type LogicalNode } from '../../../runtime/table/planner/logical.ts'
import { functionsOf } from './model.ts'
import type { SqlCase } from './sql-case.ts'

/** What stands in the plans and tables of some cases: a generator that leaves something out tests nothing there, and nobody sees it. */
export interface Coverage {
  readonly functions: Set<string>
  readonly columnTypes: Set<string>
  readonly aggregates: Set<string>
  readonly windows: Set<string>
  readonly nodes: Set<string>
}

export function coverageOf(cases: Iterable<SqlCase>): Coverage {
  const coverage: Coverage = { functions: new Set(), columnTypes: new Set(), aggregates: new Set(), windows: new Set(), nodes: new Set() }
  const visit = (node: LogicalNode): void => {
    coverage.nodes.add(node.kind)
    if (node.kind === 'aggregate') {
      for (const { name, inputType } of node.aggregates) coverage.aggregates.add(`${name} ${inputType.split(/[ (]/)[0]}`)
      coverage.windows.add(node.window!.spec.kind)
    }
    for (const input of inputsOf(node)) visit(input)
  }
  for (const { plan } of cases) {
    visit(plan.sink)
    functionsOf(plan.sink, coverage.functions)
    for (const { schema } of plan.tables) for (const { type } of schema) coverage.columnTypes.add(type)
  }
  return coverage
}
