import { unreachable } from '../../common/assert.ts'
import type { Expression, Schema } from '../plan/expression.ts'
import type { AggregateCall, PhysicalNode, WindowSpec } from '../plan/physical.ts'
import { inputsOf, type LogicalNode, schemaOf } from './logical.ts'
import { physicalInputs } from './share-subplans.ts'

/** Plans as text, for EXPLAIN and for tests of the rules: a node a line, inputs below and indented. */
export function logicalPlanText(node: LogicalNode, depth = 0): string {
  const input = node.kind === 'scan' || node.kind === 'union' ? [] : schemaOf(node.input)
  const line = `${'   '.repeat(Math.max(0, depth - 1))}${depth === 0 ? '' : '+- '}${logicalLine(node, input)}`
  return [line, ...inputsOf(node).map(each => logicalPlanText(each, depth + 1))].join('\n')
}

function logicalLine(node: LogicalNode, input: Schema): string {
  switch (node.kind) {
    case 'scan':
      return `LogicalTableScan(table=[${node.table}], fields=[${namesOf(schemaOf(node))}])`
    case 'filter':
      return `LogicalFilter(condition=[${expressionText(node.condition, input)}])`
    case 'project':
      return `LogicalProject(${node.projections.map((projection, i) => `${node.names[i]}=[${expressionText(projection, input)}]`).join(', ')})`
    case 'watermark':
      return `LogicalWatermarkAssigner(rowtime=[${input[node.rowtime]!.name}], watermark=[${expressionText(node.expression, input)}])`
    case 'window-table':
      return `LogicalTableFunctionScan(window=[${windowText(node.window, input[node.rowtime]!.name)}])`
    case 'aggregate':
      return `LogicalAggregate(group=[${node.keys.map(key => input[key]!.name).join(', ')}], ${node.window === undefined ? '' : `window=[${windowText(node.window.spec, input[node.window.rowtime]!.name)}], `}select=[${node.aggregates.map(call => aggregateText(call, input)).join(', ')}])`
    case 'union':
      return 'LogicalUnion(all=[true])'
    case 'sink':
      return `LogicalSink(table=[${node.table}], fields=[${namesOf(node.schema)}])`
    default:
      return unreachable(node)
  }
}

export function physicalPlanText(node: PhysicalNode): string {
  return treeText(node, 0, unmarked)
}

/** As Flink: what runs once for several readers comes first, `…(reuse_id=[1])`, and is `Reused(reference_id=[1])` where it is read. */
export function executionPlanText(sinks: readonly PhysicalNode[]): string {
  const readers = new Map<PhysicalNode, number>()
  const count = (node: PhysicalNode): void => {
    readers.set(node, (readers.get(node) ?? 0) + 1)
    if (readers.get(node) === 1) for (const input of physicalInputs(node)) count(input)
  }
  for (const sink of sinks) count(sink)
  const shared = [...readers].filter(([, times]) => times > 1).map(([node]) => node)
  const reused = (node: PhysicalNode) => {
    const id = shared.indexOf(node) + 1
    return id === 0 ? undefined : id
  }
  return [...shared, ...sinks].map(node => treeText(node, 0, reused)).join('\n\n')
}

const unmarked = (_node: PhysicalNode): undefined => undefined

function treeText(node: PhysicalNode, depth: number, idOf: (node: PhysicalNode) => number | undefined): string {
  const indent = (n: number) => `${'   '.repeat(Math.max(0, n - 1))}${n === 0 ? '' : '+- '}`
  const id = idOf(node)
  if (id !== undefined && depth > 0) return `${indent(depth)}Reused(reference_id=[${id}])`
  const lines = [`${indent(depth)}${physicalLine(node)}${id === undefined ? '' : `(reuse_id=[${id}])`}`]
  let below = depth + 1
  if (node.kind === 'window-aggregate') {
    const keys = node.keys.map(key => node.input.schema[key]!.name).join(', ')
    lines.push(`${indent(below)}Exchange(distribution=[${keys === '' ? 'single' : `hash[${keys}]`}])`)
    below++
  }
  return [...lines, ...physicalInputs(node).map(input => treeText(input, below, idOf))].join('\n')
}

function physicalLine(node: PhysicalNode): string {
  const select = `select=[${namesOf(node.schema)}]`
  switch (node.kind) {
    case 'scan':
      return `TableSourceScan(table=[[${node.table}]], connector=[${node.connector}], fields=[${namesOf(node.schema)}])`
    case 'calc': {
      const input = node.input.schema
      const fields = node.projections.map((projection, i) => {
        const text = expressionText(projection, input)
        return text === node.schema[i]!.name ? text : `${text} AS ${node.schema[i]!.name}`
      })
      return `Calc(select=[${fields.join(', ')}]${node.condition === null ? '' : `, where=[${expressionText(node.condition, input)}]`})`
    }
    case 'watermark':
      return `WatermarkAssigner(rowtime=[${node.schema[node.rowtime]!.name}], watermark=[${expressionText(node.expression, node.input.schema)}])`
    case 'local-window-aggregate':
      return `LocalWindowAggregate(${aggregationText(node, node.input.schema, node.rowtime)})`
    case 'window-aggregate':
      return node.merges
        ? `GlobalWindowAggregate(${select})`
        : `WindowAggregate(${aggregationText(node, node.input.schema, node.rowtime)}, ${select})`
    case 'union':
      return `Union(all=[true], ${select})`
    case 'sink':
      return `Sink(table=[${node.table}], fields=[${namesOf(node.schema)}])`
    default:
      return unreachable(node)
  }
}

function aggregationText(
  node: Extract<PhysicalNode, { kind: 'local-window-aggregate' | 'window-aggregate' }>,
  input: Schema,
  rowtime: number,
): string {
  const group = node.keys.map(key => input[key]!.name).join(', ')
  return `groupBy=[${group}], window=[${windowText(node.window, input[rowtime]!.name)}], select=[${node.aggregates.map(call => aggregateText(call, input)).join(', ')}]`
}

function aggregateText({ name, argument, filter }: AggregateCall, input: Schema): string {
  return `${name}(${argument < 0 ? '*' : input[argument]!.name})${filter < 0 ? '' : ` FILTER ${input[filter]!.name}`}`
}

function windowText(window: WindowSpec, time: string): string {
  const offset = window.offset === 0 ? '' : `, offset=[${durationText(window.offset)}]`
  const size = `size=[${durationText(window.size)}]`
  if (window.kind === 'TUMBLE') return `TUMBLE(time_col=[${time}], ${size}${offset})`
  if (window.kind === 'HOP') return `HOP(time_col=[${time}], ${size}, slide=[${durationText(window.slide)}]${offset})`
  return `CUMULATE(time_col=[${time}], max_${size}, step=[${durationText(window.step)}]${offset})`
}

function durationText(ms: number): string {
  for (const [unit, size] of [
    ['day', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const)
    if (ms % size === 0) return `${ms / size} ${unit}`
  return `${ms} ms`
}

function namesOf(schema: Schema): string {
  return schema.map(({ name }) => name).join(', ')
}

const infix = new Set(['=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '/', '%', '||', 'AND', 'OR', 'LIKE'])

/** With the names of the input's columns. */
export function expressionText(expression: Expression, input: Schema): string {
  if (expression.kind === 'column') return input[expression.index]?.name ?? `$${expression.index}`
  if (expression.kind === 'literal') return literalText(expression.value, expression.type)
  const args = expression.arguments.map(argument => expressionText(argument, input))
  const { name } = expression
  if (name === 'CAST' || name === 'TRY_CAST') return `${name}(${args[0]} AS ${expression.type.replace(' NOT NULL', '')})`
  if (infix.has(name) && args.length > 1) return `(${args.join(` ${name} `)})`
  if (name.startsWith('IS ')) return args.length === 1 ? `${args[0]} ${name}` : `(${args[0]} ${name} ${args[1]})`
  return args.length === 0 ? `${name}()` : `${name}(${args.join(', ')})`
}

function literalText(value: string | number | boolean | null, type: string): string {
  if (value === null) return 'null'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string' && /^(CHAR|VARCHAR|STRING)/.test(type)) return `'${value.replaceAll("'", "''")}'`
  if (/^(TIMESTAMP|DATE|TIME|INTERVAL)/.test(type)) return `${value}:${type.replace(' NOT NULL', '')}`
  return String(value)
}
