import type { WindowSpec } from '../plan/physical.ts'
import { SLICES_PER_WINDOW_MAX } from '../runtime/slices.ts'
import type { Call, Expression, Path } from '../sql/ast-expression.ts'
import type { Query } from '../sql/ast-query.ts'
import { bindInterval } from './bind-literal.ts'
import { schemaOf, windowColumns, windowColumnType } from './logical.ts'
import { candidatesText, notSupportedYet, planError, type SqlPosition } from './plan-error.ts'
import { findColumn, type Relation, type ScopeColumn } from './scope.ts'

const functions = { TUMBLE: ['SIZE'], HOP: ['SLIDE', 'SIZE'], CUMULATE: ['STEP', 'SIZE'] } as const
type WindowFunction = keyof typeof functions

/** TUMBLE, HOP and CUMULATE in FROM: the table's columns and those of the window. */
export function bindWindowTable(call: Call, bindTable: (table: Path | Query) => Relation): Relation {
  const name = call.path
    .map(({ text }) => text)
    .join('.')
    .toUpperCase()
  if (name === 'SESSION') throw notSupportedYet(call.pos, 'window function SESSION')
  if (!Object.hasOwn(functions, name)) throw planError(call.pos, `table function ${name} is not known${candidatesText(name, Object.keys(functions))}`)
  const kind = name as WindowFunction
  const names = ['DATA', 'TIMECOL', ...functions[kind], 'OFFSET']
  const args = new Map<string, Expression>()
  for (const [i, arg] of call.args.entries()) {
    if (arg.kind !== 'named') {
      if (names[i] === undefined) throw planError(arg.pos, `${name} takes ${names.length} arguments: ${names.join(', ')}`)
      args.set(names[i], arg)
    } else {
      const key = arg.name.text.toUpperCase()
      if (!names.includes(key)) throw planError(arg.name.pos, `${name} has no argument ${arg.name.text}${candidatesText(key, names)}`)
      args.set(key, arg.value)
    }
  }
  for (const required of names.slice(0, -1))
    if (!args.has(required)) throw planError(call.pos, `${name} requires the argument ${required}: ${name}(${names.join(', ')})`)
  const data = args.get('DATA')!
  if (data.kind !== 'table') throw planError(data.pos, `the first argument of ${name} is a table: TABLE t or a query in parentheses`)
  if (data.partitionBy[0] !== undefined) throw notSupportedYet(data.partitionBy[0].pos, `PARTITION BY in ${name}`)
  const relation = bindTable(data.table)
  const descriptor = args.get('TIMECOL')!
  if (descriptor.kind !== 'descriptor' || descriptor.columns.length !== 1)
    throw planError(descriptor.pos, `${name} takes DESCRIPTOR(column) as its second argument`)
  const column = rowtimeColumn([descriptor.columns[0]!], relation.columns, name)
  const window = windowSpec(kind, key => (args.has(key) ? interval(args.get(key)!, key) : undefined), call.pos)
  const node = { kind: 'window-table', input: relation.node, window, rowtime: column.index, position: call.pos } as const
  const width = schemaOf(relation.node).length
  const added = windowColumns.map(
    (windowColumn, i): ScopeColumn => ({
      qualifier: [],
      name: windowColumn,
      index: width + i,
      type: windowColumnType(windowColumn, column.type),
      rowtime: windowColumn === 'window_time',
      fields: undefined,
    }),
  )
  return { node, columns: [...relation.columns, ...added] }
}

/** A group window of GROUP BY: HOP names the slide before the size. */
export function groupWindow(call: Call, columns: readonly ScopeColumn[]): { readonly spec: WindowSpec; readonly column: ScopeColumn } {
  const name = call.path[0]!.text.toUpperCase()
  if (name === 'SESSION') throw notSupportedYet(call.pos, 'group window SESSION')
  const [time, ...sizes] = call.args
  const count = name === 'HOP' ? 2 : 1
  if (time?.kind !== 'column' || sizes.length !== count)
    throw planError(call.pos, `${name} takes ${name === 'HOP' ? '(row time, slide, size)' : '(row time, size)'}`)
  const column = rowtimeColumn(time.path, columns, name)
  const [first, second] = sizes.map(size => interval(size, 'SIZE'))
  return {
    spec: windowSpec(name as WindowFunction, key => (key === 'OFFSET' ? undefined : key === 'SIZE' && count === 2 ? second : first), call.pos),
    column,
  }
}

function rowtimeColumn(path: Path, columns: readonly ScopeColumn[], what: string): ScopeColumn {
  const column = findColumn(path, columns)
  if (!column.rowtime)
    throw planError(
      path[0]!.pos,
      `${what} takes a time attribute, but column '${column.name}' is a plain ${column.type}; declare WATERMARK FOR it where its table is created`,
    )
  return column
}

function interval(expression: Expression, name: string): number {
  if (expression.kind !== 'interval') throw planError(expression.pos, `${name} of a window is an INTERVAL literal`)
  const { value, type } = bindInterval(expression)
  if (!type.startsWith('INTERVAL DAY')) throw planError(expression.pos, `${name} of a window is an INTERVAL of days and times, not of months`)
  return Number(value)
}

function windowSpec(kind: WindowFunction, argument: (name: string) => number | undefined, pos: SqlPosition): WindowSpec {
  const size = argument('SIZE')!
  const offset = argument('OFFSET') ?? 0
  if (size <= 0) throw planError(pos, `${kind}: the size of a window is positive`)
  if (kind === 'TUMBLE') return { kind, size, offset }
  const step = argument(kind === 'HOP' ? 'SLIDE' : 'STEP')!
  if (step <= 0) throw planError(pos, `${kind}: the ${kind === 'HOP' ? 'slide' : 'step'} of a window is positive`)
  if (size % step !== 0)
    throw planError(pos, `${kind}: the size of a window (${size} ms) is a multiple of its ${kind === 'HOP' ? 'slide' : 'step'} (${step} ms)`)
  if (size / step > SLICES_PER_WINDOW_MAX) throw notSupportedYet(pos, `${kind} of more than ${SLICES_PER_WINDOW_MAX} steps a window`)
  return kind === 'HOP' ? { kind, size, slide: step, offset } : { kind, size, step, offset }
}
