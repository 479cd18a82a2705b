import { fromRowForm, toRowForm } from '../../../runtime/table/functions/frame-values.ts'
import { parseValueType, type Value } from '../../../runtime/table/functions/value-type.ts'
import type { Expression } from '../../../runtime/table/plan/expression.ts'
import type { AggregateCall, WindowSpec } from '../../../runtime/table/plan/physical.ts'
import { inputsOf, type LogicalAggregate, type LogicalNode, schemaOf } from '../../../runtime/table/planner/logical.ts'
import type { Outcome } from './differential.ts'
import { functionNames } from './expressions.ts'
import { ModelFailure, modelledFunctions, modelValue, order, Unmodelled } from './model-expression.ts'
import { KIND, type TestTable } from './random-plan.ts'
import { shownValue } from './values.ts'

/** What a plan must answer, over plain arrays: no frames, no order, no watermarks; for plans of which no row is late. */
interface ModelRow {
  readonly values: readonly Value[]
  /** Event time; NaN = none. */
  readonly time: number
}

/** Names of the functions in a plan. */
export function functionsOf(node: LogicalNode, into: Set<string> = new Set()): Set<string> {
  const expressions = node.kind === 'filter' ? [node.condition] : node.kind === 'project' ? node.projections : []
  for (const expression of expressions) functionNames(expression, into)
  for (const input of inputsOf(node)) functionsOf(input, into)
  return into
}

/** undefined: something in the plan is not in the model. */
export function modelOutcome(root: LogicalNode, tables: readonly TestTable[]): Outcome | undefined {
  const failures = new Set<string>()
  /** A row that fails leaves; the others tell what else may fail first. */
  const guarded = <T>(run: () => T[]): T[] => {
    try {
      return run()
    } catch (error) {
      if (!(error instanceof ModelFailure)) throw error
      failures.add(error.message)
      return []
    }
  }
  const rowsOf = (node: LogicalNode): ModelRow[] => {
    switch (node.kind) {
      case 'scan': {
        const table = tables.find(({ name }) => name === node.table)!
        return table.rows.map((row, i) => ({
          values: node.projected.map(column => fromRowForm(parseValueType(table.schema[column]!.type), row[column] as Value)),
          time: table.times?.[i] ?? Number.NaN,
        }))
      }
      case 'filter':
        return rowsOf(node.input).filter(row => guarded(() => [modelValue(node.condition, row.values)])[0] === true)
      case 'project':
        return rowsOf(node.input).flatMap(row =>
          guarded(() => [{ ...row, values: node.projections.map((projection: Expression) => modelValue(projection, row.values)) }]),
        )
      case 'watermark':
        return rowsOf(node.input).flatMap(row =>
          guarded(() => {
            const time = row.values[node.rowtime]
            if (typeof time !== 'number')
              throw new ModelFailure('the row time column is NULL in a row, expected a time; filter such rows before the watermark')
            return [{ ...row, time }]
          }),
        )
      case 'union':
        return node.inputs.flatMap(rowsOf)
      case 'aggregate':
        return aggregated(node, rowsOf(node.input))
      case 'sink':
        return rowsOf(node.input)
      case 'window-table':
        throw new Unmodelled()
    }
  }
  // Also where no row gets to it: some functions look at their literals when the job starts.
  if ([...functionsOf(root)].some(name => !modelledFunctions.has(name))) return undefined
  try {
    const rows = rowsOf(root)
    if (failures.size > 0) return { errors: [...failures] }
    const schema = schemaOf(root)
    return {
      rows: rows
        .map(row =>
          shownRow(
            schema,
            row.values.map((value, i) => toRowForm(parseValueType(schema[i]!.type), value)),
            row.time,
          ),
        )
        .sort(),
    }
  } catch (error) {
    if (error instanceof Unmodelled) return undefined
    throw error
  }
}

/** One line a row: kind, values, event time. The kind stands in a column where it has one. */
export function shownRow(schema: readonly { readonly name: string }[], row: readonly unknown[], time: number, rowKind?: number): string {
  const column = schema.findIndex(({ name }) => name === KIND)
  const kind = rowKind ?? (column < 0 ? 0 : Number(row[column]))
  return `${['+I', '-U', '+U', '-D'][kind]}[${row.map(shownValue).join(', ')}] at ${shownValue(time)}`
}

function aggregated(node: LogicalAggregate, rows: readonly ModelRow[]): ModelRow[] {
  const { keys, aggregates, window } = node
  const groups = new Map<string, { readonly key: readonly Value[]; readonly window: readonly [number, number]; readonly rows: ModelRow[] }>()
  for (const row of rows) {
    const time = row.values[window!.rowtime]
    if (typeof time !== 'number') throw new Unmodelled()
    for (const [start, end] of windowsOf(window!.spec, time)) {
      const key = keys.map(index => row.values[index]!)
      const id = `${key.map(shownValue).join()} ${start} ${end}`
      const group = groups.get(id) ?? { key, window: [start, end], rows: [] }
      groups.set(id, group)
      group.rows.push(row)
    }
  }
  return [...groups.values()].map(({ key, window: [start, end], rows: members }) => {
    const times = { window_start: start, window_end: end, window_time: end - 1 }
    const results = aggregates.map(call => aggregateOf(call, members))
    return { values: [...key, ...results, ...window!.columns.map(column => times[column])], time: end - 1 }
  })
}

function windowsOf(window: WindowSpec, time: number): [number, number][] {
  const found: [number, number][] = []
  const floor = (step: number) => Math.floor((time - window.offset) / step) * step + window.offset
  if (window.kind === 'CUMULATE') {
    const start = floor(window.size)
    for (let end = start + window.step; end <= start + window.size; end += window.step) if (end > time) found.push([start, end])
    return found
  }
  const slide = window.kind === 'HOP' ? window.slide : window.size
  for (let start = floor(slide); start + window.size > time; start -= slide) found.push([start, start + window.size])
  return found
}

function aggregateOf(call: AggregateCall, rows: readonly ModelRow[]): Value {
  const counted = call.filter < 0 ? rows : rows.filter(({ values }) => values[call.filter] === true)
  if (call.argument < 0) return BigInt(counted.length)
  const values = counted.flatMap(row => (row.values[call.argument] === null ? [] : [row.values[call.argument]!]))
  if (call.name === 'COUNT') return BigInt(values.length)
  if (values.length === 0) return null
  if (call.name === 'MIN' || call.name === 'MAX') {
    const wanted = call.name === 'MIN' ? -1 : 1
    return values.reduce((best, value) => (order(value, best) === wanted ? value : best))
  }
  const { root } = parseValueType(call.type)
  const isSum = call.name === 'SUM'
  if (root === 'DOUBLE' || root === 'FLOAT') {
    const sum = values.reduce<number>((total, value) => total + (value as number), 0)
    const value = isSum ? sum : sum / values.length
    return root === 'FLOAT' ? Math.fround(value) : value
  }
  const bits = { TINYINT: 8, SMALLINT: 16, INT: 32, BIGINT: 64 }[root as string]
  if (bits === undefined) throw new Unmodelled()
  const sum = values.reduce<bigint>((total, value) => total + BigInt(value as number | bigint), 0n)
  // The sum of an average is a BIGINT.
  const exact = BigInt.asIntN(bits, isSum ? sum : BigInt.asIntN(64, sum) / BigInt(values.length))
  return root === 'BIGINT' ? exact : Number(exact)
}
