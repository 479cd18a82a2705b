import { FlinkError } from '../../../runtime/common/errors.ts'
import type { Random } from '../../../runtime/common/random.ts'
import { resolveCall } from '../../../runtime/table/functions/resolve-call.ts'
import { parseValueType, typeText } from '../../../runtime/table/functions/value-type.ts'
import type { Expression } from '../../../runtime/table/plan/expression.ts'
import type { AggregateCall, WindowSpec } from '../../../runtime/table/plan/physical.ts'
import { columnReference, isNotNull } from '../../../runtime/table/planner/expressions.ts'
import { type LogicalNode, type LogicalSink, schemaOf, windowColumns } from '../../../runtime/table/planner/logical.ts'
import { functionOf } from '../../../runtime/table/runtime/aggregate-program.ts'
import { rowAggregate } from '../../../runtime/table/runtime/rows/row-aggregates.ts'
import { type ExpressionOptions, randomColumnExpression } from './expressions.ts'
import { modelledFunctions } from './model-expression.ts'
import { columnRoots, oneIn, pick, randomType, randomValue, tameValue } from './values.ts'

/** A table of a case: rows in row form, dealt to the subtasks of its scan one by one. */
export interface TestTable {
  readonly name: string
  readonly schema: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly unknown[])[]
  /** Event times that its frames carry from the start. */
  readonly times: readonly number[] | undefined
  /** Row kinds, which the last column repeats. */
  readonly kinds: readonly number[] | undefined
}

export interface RandomPlan {
  readonly tables: readonly TestTable[]
  readonly sink: LogicalSink
  /** Rows may be late: what is dropped depends on the order of rows, so there must be one. */
  readonly late: boolean
}

/** Column of the row kind in cases that have one; every projection passes it on. */
export const KIND = '$kind'
export const ROWTIME = 'rt'

const hostileNames = ['a b', '"', "'", '`', '*/', '${x}', '__proto__', 'constructor', '\u2028', 'new\nline', '\\', 'k0', 'v1', '//', 'é😀', '']

interface Column {
  readonly name: string
  readonly type: string
  /** Its values add up to the same in any order, and have one order. */
  readonly tame: boolean
}

/** A node with what is known of its columns. */
interface Built {
  readonly node: LogicalNode
  readonly columns: readonly Column[]
}

interface Wishes {
  readonly aggregates: boolean
  readonly kinds: boolean
  readonly hostile: boolean
  readonly late: boolean
  /** Fails for some rows. */
  readonly throwing: boolean
  /** Only what model.ts evaluates. */
  readonly modelled: boolean
}

export function randomPlan(random: Random, rowsMax: number): RandomPlan {
  const aggregates = oneIn(random, 2)
  const wishes: Wishes = {
    aggregates,
    kinds: !aggregates && oneIn(random, 3),
    hostile: oneIn(random, 2),
    late: aggregates && oneIn(random, 4),
    throwing: oneIn(random, 5),
    modelled: !oneIn(random, 3),
  }
  const branchCount = wishes.late || !oneIn(random, 3) ? 1 : 2
  const rowtimeType = oneIn(random, 4) ? 'TIMESTAMP_LTZ(3)' : 'TIMESTAMP(3)'
  const tables = Array.from({ length: branchCount }, (_, i) => randomTable(random, `t${i}`, rowsMax, rowtimeType, wishes))
  const branches = tables.map(table => calcs(random, scanOf(random, table, wishes), wishes))
  let built = branches.length === 1 ? branches[0]! : union(random, branches, wishes)
  if (aggregates) {
    built = calcs(random, aggregate(random, built, rowtimeType, wishes), wishes)
    const time = built.columns.findIndex(({ name }) => name === 'window_time')
    if (time >= 0 && oneIn(random, 4)) built = aggregate(random, built, built.columns[time]!.type, wishes, time)
  }
  const schema = schemaOf(built.node)
  return { tables, sink: { kind: 'sink', input: built.node, table: 'sink', connector: 'test', options: {}, schema }, late: wishes.late }
}

function randomTable(random: Random, name: string, rowsMax: number, rowtimeType: string, wishes: Wishes): TestTable {
  const width = 1 + random.nextInt(8)
  const schema = Array.from({ length: width }, (_, i) => ({
    name: wishes.hostile && oneIn(random, 2) ? `${pick(random, hostileNames)}${i}` : `c${i}`,
    type: randomType(random, pick(random, columnRoots)),
  }))
  if (wishes.aggregates)
    schema.push(
      { name: ROWTIME, type: oneIn(random, 2) ? `${rowtimeType} NOT NULL` : rowtimeType },
      { name: 'tame', type: pick(random, ['DOUBLE', 'FLOAT']) },
    )
  if (wishes.kinds) schema.push({ name: KIND, type: 'INT NOT NULL' })
  const count = oneIn(random, 15) ? 0 : 1 + random.nextInt(rowsMax)
  const nullTime = oneIn(random, 20) ? random.nextInt(rowsMax) : -1
  const kinds = wishes.kinds && !oneIn(random, 4) ? Array.from({ length: count }, () => random.nextInt(4)) : undefined
  const rows = Array.from({ length: count }, (_, row) =>
    schema.map(column => {
      if (column.name === KIND) return kinds?.[row] ?? 0
      if (column.name === 'tame') return oneIn(random, 6) ? null : tameValue(random)
      if (column.name !== ROWTIME) return randomValue(random, column.type)
      if (row === nullTime && !isNotNull(column.type)) return null
      return row * STEP_MS + random.nextInt(JITTER_MS) - 5_000
    }),
  )
  const times = !wishes.aggregates && oneIn(random, 3) ? rows.map(() => pick(random, [0, -5, 1_600_000_000_000, random.nextInt(10_000)])) : undefined
  return { name, schema, rows, times, kinds }
}

/** Rows come at most this much out of order. */
const JITTER_MS = 1_500
const STEP_MS = 400

function scanOf(random: Random, table: TestTable, wishes: Wishes): Built {
  const scan: LogicalNode = {
    kind: 'scan',
    table: table.name,
    connector: 'test',
    options: {},
    physical: table.schema,
    paths: table.schema.map(({ name }) => [name]),
    projected: table.schema.map((_, i) => i),
    rows: undefined,
  }
  const columns = table.schema.map(column => ({ ...column, tame: column.name === 'tame' }))
  const rowtime = columns.findIndex(({ name }) => name === ROWTIME)
  if (!wishes.aggregates) return { node: scan, columns }
  const delay = wishes.late ? pick(random, [0, 300]) : JITTER_MS + 1
  const interval: Expression = { kind: 'literal', value: delay, type: 'INTERVAL DAY TO SECOND(3) NOT NULL' }
  const expression = resolveCall('-', [columnReference(rowtime, columns[rowtime]!.type), interval], '1:1')!
  return { node: { kind: 'watermark', input: scan, rowtime, expression }, columns }
}

/** Up to three filters and projections. */
function calcs(random: Random, from: Built, wishes: Wishes): Built {
  let built = from
  for (let i = random.nextInt(4); i > 0; i--) built = oneIn(random, 3) ? filter(random, built, wishes) : project(random, built, wishes)
  return built
}

function optionsOf({ columns }: Built, wishes: Wishes): ExpressionOptions {
  return {
    schema: columns.map(({ name, type }) => ({ name, type })),
    throwing: wishes.throwing,
    names: wishes.modelled ? modelledFunctions : undefined,
  }
}

function filter(random: Random, built: Built, wishes: Wishes): Built {
  const test = randomColumnExpression(random, 'BOOLEAN', 1 + random.nextInt(3), optionsOf(built, wishes))
  // Most conditions are NULL or FALSE for most rows, and what is gone tests nothing behind.
  const name = pick(random, ['IS TRUE', 'IS NOT TRUE', 'IS NOT FALSE', 'NOT', undefined])
  const condition = name === undefined ? test : resolveCall(name, [test], '1:1')!
  return { node: { kind: 'filter', input: built.node, condition }, columns: built.columns }
}

function project(random: Random, built: Built, wishes: Wishes): Built {
  const outputs: { readonly column: Column; readonly expression: Expression }[] = []
  const options = optionsOf(built, wishes)
  const roots = wishes.modelled ? modelledRoots : columnRoots
  for (let i = 1 + random.nextInt(4); i > 0; i--) {
    const expression = randomColumnExpression(random, pick(random, roots), random.nextInt(4), options)
    const name = wishes.hostile && oneIn(random, 2) ? `${pick(random, hostileNames)}p${i}` : `p${i}`
    outputs.push({ column: { name, type: expression.type, tame: false }, expression })
  }
  for (const [index, column] of built.columns.entries()) {
    const kept = [ROWTIME, KIND, 'window_time'].includes(column.name) || (column.tame && !oneIn(random, 5)) || oneIn(random, 3)
    if (kept) outputs.push({ column, expression: columnReference(index, column.type) })
  }
  return {
    node: {
      kind: 'project',
      input: built.node,
      projections: outputs.map(({ expression }) => expression),
      names: outputs.map(({ column }) => column.name),
    },
    columns: outputs.map(({ column }) => column),
  }
}

const modelledRoots = ['BOOLEAN', 'TINYINT', 'SMALLINT', 'INT', 'BIGINT', 'DOUBLE', 'DECIMAL', 'VARCHAR'] as const

/** All branches projected to the same types. */
function union(random: Random, branches: readonly Built[], wishes: Wishes): Built {
  const roots = Array.from({ length: 1 + random.nextInt(3) }, () => pick(random, wishes.modelled ? modelledRoots : columnRoots))
  const types = roots.map(root => nullable(randomType(random, root)))
  const extra = branches[0]!.columns.filter(({ name }) => [ROWTIME, KIND, 'tame'].includes(name))
  const inputs = branches.map((branch): LogicalNode => {
    const options = optionsOf(branch, wishes)
    const made = roots.map((root, i) => retyped(randomColumnExpression(random, root, random.nextInt(3), options), types[i]!))
    const passed = extra.map(({ name, type }) => {
      const index = branch.columns.findIndex(column => column.name === name)
      return index < 0
        ? ({ kind: 'literal', value: null, type: nullable(type) } as const)
        : retyped(columnReference(index, branch.columns[index]!.type), nullable(type))
    })
    return {
      kind: 'project',
      input: branch.node,
      projections: [...made, ...passed],
      names: [...roots.map((_, i) => `u${i}`), ...extra.map(({ name }) => name)],
    }
  })
  const columns = [
    ...types.map((type, i) => ({ name: `u${i}`, type, tame: false })),
    ...extra.map(column => ({ ...column, type: nullable(column.type) })),
  ]
  return { node: { kind: 'union', inputs }, columns }
}

/** The same values under another type: what a cast to it answers. */
function retyped(expression: Expression, type: string): Expression {
  return expression.type === type ? expression : { kind: 'call', name: 'CAST', arguments: [expression], type, position: '1:1' }
}

function aggregate(random: Random, input: Built, rowtimeType: string, wishes: Wishes, time?: number): Built {
  // A filter of an aggregate and its argument are columns: a projection in front gives them something to be.
  const built = time === undefined && oneIn(random, 2) ? project(random, input, wishes) : input
  const rowtime = time ?? built.columns.findIndex(({ name, type }) => name === ROWTIME && type.startsWith(rowtimeType))
  const keys = Array.from({ length: random.nextInt(3) }, () => random.nextInt(built.columns.length)).filter(
    (key, i, all) => key !== rowtime && all.indexOf(key) === i,
  )
  const aggregates: AggregateCall[] = []
  for (let i = 1 + random.nextInt(3); i > 0; i--) {
    const call = randomAggregate(random, built.columns)
    if (call !== undefined) aggregates.push(call)
  }
  const spec = randomWindow(random)
  const columns = windowColumns.filter(name => name === 'window_time' || oneIn(random, 2))
  const names = [...keys.map((_, i) => `k${i}`), ...aggregates.map((_, i) => `a${i}`), ...columns]
  const node: LogicalNode = {
    kind: 'aggregate',
    input: built.node,
    keys,
    aggregates,
    names,
    window: { spec, rowtime, columns },
    position: { line: 1, column: 1 },
  }
  const exact = [
    ...keys.map(key => built.columns[key]!.tame),
    ...aggregates.map(({ name, argument }) => name !== 'AVG' && built.columns[argument]?.tame === true),
    ...columns.map(() => false),
  ]
  return { node, columns: schemaOf(node).map((column, i) => ({ ...column, tame: exact[i]! })) }
}

function randomAggregate(random: Random, columns: readonly Column[]): AggregateCall | undefined {
  const filters = columns.flatMap(({ type }, i) => (parseValueType(type).root === 'BOOLEAN' ? [i] : []))
  const filter = filters.length > 0 && oneIn(random, 3) ? pick(random, filters) : -1
  const count = { name: 'COUNT', distinct: false, filter, type: 'BIGINT NOT NULL' }
  if (oneIn(random, 5)) return { ...count, argument: -1, inputType: 'BIGINT NOT NULL' }
  const argument = random.nextInt(columns.length)
  const { type: inputType, tame } = columns[argument]!
  const name = pick(random, ['COUNT', 'SUM', 'MIN', 'MAX', 'AVG'])
  if (name === 'COUNT') return { ...count, argument, inputType }
  const { root, precision } = parseValueType(inputType)
  const adds = name === 'SUM' || name === 'AVG'
  // Sums of any doubles depend on the order, and so do extremes where NaN or -0 is among them: that order is free between subtasks.
  if ((root === 'FLOAT' || root === 'DOUBLE') && !tame) return undefined
  // A sum of decimals that has no room on its way, though the whole has, is NULL or not by the order: of so few rows, not below 37 digits.
  if (adds && root === 'DECIMAL' && precision > 36) return undefined
  if (adds && !/^(TINYINT|SMALLINT|INT|BIGINT|FLOAT|DOUBLE|DECIMAL)\b/.test(inputType)) return undefined
  const call: AggregateCall = { name, argument, distinct: false, filter, inputType, type: inputType }
  try {
    rowAggregate(call)
    const type = typeText(functionOf(call).type)
    return { ...call, type: isNotNull(inputType) && filter < 0 ? type : nullable(type) }
  } catch (error) {
    if (error instanceof FlinkError) return undefined
    throw error
  }
}

function randomWindow(random: Random): WindowSpec {
  const offset = oneIn(random, 3) ? pick(random, [100, -700, 4_000]) : 0
  return pick<WindowSpec>(random, [
    { kind: 'TUMBLE', size: 1_000, offset },
    { kind: 'TUMBLE', size: 5_000, offset },
    { kind: 'HOP', size: 4_000, slide: 2_000, offset },
    { kind: 'HOP', size: 5_000, slide: 2_000, offset },
    { kind: 'HOP', size: 2_000, slide: 3_000, offset },
    { kind: 'CUMULATE', size: 6_000, step: 2_000, offset },
  ])
}

function nullable(type: string): string {
  return type.replace(/ NOT NULL$/, '')
}
