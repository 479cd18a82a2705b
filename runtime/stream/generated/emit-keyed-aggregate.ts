import { type Code, code, FunctionEmitter, type FunctionOrigin, join } from '../../codegen/emit.ts'
import { ownText } from '../../network/columns-text.ts'
import type { FieldLayout } from '../../serde/row-layout.ts'
import { newArray } from './emit-fields.ts'
import { FIBONACCI, type KeyedTable } from './keyed-table.ts'

/**
 * The loop of a typed aggregate over a frame without nulls: find or make the key's entry, bring its field up to date, put the entry's fields into
 * the output. The same in words: `KeyedAggregateOperator.interpret`.
 */
export interface KeyedAggregateCode {
  /** Answers the output's columns but for those of the key, in order of the columns; none when only the end wants results. */
  readonly run: (inputs: readonly unknown[], length: number) => readonly unknown[]
  readonly source: string
}

export type AggregateKind = 'sum' | 'min' | 'max' | 'minBy' | 'maxBy'

export interface KeyedAggregateEmission {
  readonly origin: FunctionOrigin
  readonly table: KeyedTable
  readonly kind: AggregateKind
  /** Index of the aggregated field. */
  readonly field: number
  readonly emitsRows: boolean
  /** True when the second value is to replace the first; only called for DOUBLE and FLOAT. */
  readonly isBetter: (current: unknown, candidate: unknown) => boolean
  readonly safeSum: (a: number, b: number) => number
}

export function emitKeyedAggregate(spec: KeyedAggregateEmission): KeyedAggregateCode {
  const { table, kind, field, emitsRows } = spec
  const { columns } = table.layout
  const emitter = new FunctionEmitter()
  const [inputs, length] = [emitter.fresh(), emitter.fresh()]
  const held = emitter.constant(table)
  const input = columns.map((_, i) => emitter.define(code`${inputs}[${i}]`))
  emitter.line(code`${held}.reserve(${length})`)
  const stored = columns.map((_, i) => emitter.define(code`${held}.columns[${i}]`))
  const [slots, hashes] = [emitter.define(code`${held}.slots`), emitter.define(code`${held}.hashes`)]
  const mask = emitter.define(code`${slots}.length - 1`)
  const shift = emitter.define(code`${held}.shift`)
  const count = emitter.variable(code`${held}.count`)
  const marks = table.tracks ? defineMarks(emitter, held) : undefined
  const outputs = columns.map((column, i) => (emitsRows && !table.keyColumns.includes(i) ? emitter.define(newArray(column, length)) : undefined))
  const words = new Map<number, { readonly of: Code; readonly stored: Code }>()
  for (const column of table.keyColumns) {
    if (columns[column]?.kind !== 'i64') continue
    const view = (array: Code) => emitter.define(code`new Int32Array(${array}.buffer, ${array}.byteOffset, ${array}.length * 2)`)
    words.set(column, { of: view(input[column] as Code), stored: view(stored[column] as Code) })
  }

  const recent = table.hasTextKey ? defineRecent(emitter, held) : undefined
  const row = emitter.fresh()
  emitter.open(code`for (let ${row} = 0; ${row} < ${length}; ${row}++)`)
  const values = columns.map((column, i) =>
    words.has(i) && table.keyColumns.includes(i) && column.kind === 'i64' ? code`0` : emitter.define(code`${input[i] as Code}[${row}]`),
  )
  const hash = emitter.variable(code`0`)
  const slot = emitter.variable(code`0`)
  const entry = emitter.variable(code`-1`)
  const near = recent === undefined ? undefined : emitRecentLookup(emitter, recent, table, stored, values, entry)
  if (near !== undefined) emitter.open(code`if (${entry} < 0)`)
  for (const column of table.keyColumns)
    emitHash(emitter, columns[column] as FieldLayout, table.seed, hash, values[column] as Code, words.get(column)?.of, row)
  emitter.line(code`${slot} = Math.imul(${hash}, ${FIBONACCI}) >>> ${shift}`)
  emitter.open(code`for (;; ${slot} = (${slot} + 1) & ${mask})`)
  emitter.line(code`${entry} = ${slots}[${slot}] - 1`)
  const sameKey = table.keyColumns.map(column => {
    const view = words.get(column)
    if (view === undefined) return code`${stored[column] as Code}[${entry}] === ${values[column] as Code}`
    return code`${view.stored}[2 * ${entry}] === ${view.of}[2 * ${row}] && ${view.stored}[2 * ${entry} + 1] === ${view.of}[2 * ${row} + 1]`
  })
  // One small integer is its own hash.
  const [only] = table.keyColumns
  const isOwnHash = table.keyColumns.length === 1 && columns[only as number]?.kind === 'i32'
  emitter.line(code`if (${entry} < 0 || (${join(isOwnHash ? sameKey : [code`${hashes}[${entry}] === ${hash}`, ...sameKey], ' && ')})) break`)
  emitter.close()
  if (near !== undefined && recent !== undefined) {
    emitter.line(code`if (${recent.used}) ${recent.entries}[${near}] = ${entry} < 0 ? ${count} : ${entry}`)
    emitter.close()
  }

  emitter.open(code`if (${entry} < 0)`)
  emitter.line(code`${entry} = ${count}++`)
  emitter.line(code`${slots}[${slot}] = ${entry} + 1`)
  emitter.line(code`${hashes}[${entry}] = ${hash}`)
  for (const [i, column] of columns.entries())
    emitStore(emitter, column, stored[i] as Code, entry, words.get(i) === undefined ? (values[i] as Code) : code`${input[i] as Code}[${row}]`)
  emitMark(emitter, marks, entry)
  emitter.otherwise()
  const current = emitter.define(code`${stored[field] as Code}[${entry}]`)
  const candidate = values[field] as Code
  const target = code`${stored[field] as Code}[${entry}]`
  const layout = columns[field] as FieldLayout
  if (kind === 'sum') {
    emitter.line(code`${target} = ${sum(emitter, layout, current, candidate, spec)}`)
    emitMark(emitter, marks, entry)
  } else {
    emitter.open(code`if (${better(emitter, layout, kind, current, candidate, spec)})`)
    for (const [i, column] of columns.entries()) {
      if (i !== field && (kind === 'min' || kind === 'max' || table.keyColumns.includes(i))) continue
      emitStore(emitter, column, stored[i] as Code, entry, values[i] as Code)
    }
    emitMark(emitter, marks, entry)
    emitter.close()
  }
  emitter.close()
  for (const [i, output] of outputs.entries()) {
    if (output === undefined) continue
    emitter.line(code`${output}[${row}] = ${stored[i] as Code}[${entry}]`)
  }
  emitter.close()
  emitter.line(code`${held}.count = ${count}`)
  if (marks !== undefined) emitter.line(code`${held}.changes.isAny = true`)
  if (recent !== undefined)
    emitter.line(
      code`if (${recent.used} && ${length} >= ${PAUSE_ROWS_MIN} && ${recent.found} < ${length} >> 2) ${held}.recentPause = ${RECENT_PAUSE}`,
    )
  emitter.line(
    code`return [${join(
      outputs.filter(output => output !== undefined),
      ', ',
    )}]`,
  )
  const built = emitter.build<KeyedAggregateCode['run']>(spec.origin, [inputs, length])
  return { run: built.run, source: built.source }
}

/** Frames that go without `recent` once it found less than a quarter of a frame's keys. */
const RECENT_PAUSE = 64
/** Frames of fewer rows say nothing about how often keys come. */
const PAUSE_ROWS_MIN = 64

interface MarkNames {
  readonly flags: Code
}

function defineMarks(emitter: FunctionEmitter, table: Code): MarkNames {
  return {
    flags: emitter.define(code`${table}.changes.flags`),
  }
}

/** As `ChangedRows.mark`. */
function emitMark(emitter: FunctionEmitter, marks: MarkNames | undefined, entry: Code): void {
  if (marks === undefined) return
  emitter.line(code`${marks.flags}[${entry}] = 1`)
}

interface RecentNames {
  readonly entries: Code
  readonly shift: Code
  readonly used: Code
  readonly found: Code
}

function defineRecent(emitter: FunctionEmitter, table: Code): RecentNames {
  const entries = emitter.define(code`${table}.recent`)
  const shift = emitter.define(code`32 - Math.log2(${entries}.length)`)
  const used = emitter.define(code`${table}.recentPause === 0`)
  emitter.line(code`if (${table}.recentPause > 0) ${table}.recentPause--`)
  return { entries, shift, used, found: emitter.variable(code`0`) }
}

/** Sets `entry` when the text is one that came a short while ago; answers where its number is to stand when it is found otherwise. */
function emitRecentLookup(
  emitter: FunctionEmitter,
  { entries, shift, used, found }: RecentNames,
  { keyColumns, seed }: KeyedTable,
  stored: readonly Code[],
  values: readonly Code[],
  entry: Code,
): Code {
  const column = keyColumns[0] as number
  const text = values[column] as Code
  const near = emitter.variable(code`0`)
  emitter.open(code`if (${used})`)
  const length = emitter.define(code`${text}.length`)
  // NaN of the empty text is 0 here.
  const ends = code`Math.imul(${text}.charCodeAt(0) + (${length} << 16), ${seed}) + ${text}.charCodeAt(${length} >> 1)`
  emitter.line(code`${near} = Math.imul(Math.imul(${ends}, ${FIBONACCI}) + ${text}.charCodeAt(${length} - 1), ${seed}) >>> ${shift}`)
  const candidate = emitter.define(code`${entries}[${near}]`)
  emitter.open(code`if (${stored[column] as Code}[${candidate}] === ${text})`)
  emitter.line(code`${entry} = ${candidate}`)
  emitter.line(code`${found}++`)
  emitter.close()
  emitter.close()
  return near
}

function emitHash(emitter: FunctionEmitter, { kind }: FieldLayout, seed: number, hash: Code, value: Code, words: Code | undefined, row: Code): void {
  const next = (one: Code) => emitter.line(code`${hash} = (Math.imul(${hash}, ${seed}) + (${one})) | 0`)
  if (kind === 'bytes') {
    const text = emitter.variable(code`0`)
    const i = emitter.fresh()
    emitter.line(code`for (let ${i} = 0; ${i} < ${value}.length; ${i}++) ${text} = (Math.imul(${text}, ${seed}) + ${value}.charCodeAt(${i})) | 0`)
    next(text)
  } else if (words !== undefined) next(code`${words}[2 * ${row}] ^ Math.imul(${words}[2 * ${row} + 1], ${seed})`)
  else if (kind === 'f64') next(code`(${value} | 0) ^ Math.imul(Math.floor(${value} / ${2 ** 32}), ${seed})`)
  // The high word of a small integer is its sign.
  else next(code`${value} ^ Math.imul(${value} >> 31, ${seed})`)
}

function emitStore(emitter: FunctionEmitter, { kind }: FieldLayout, column: Code, entry: Code, value: Code): void {
  if (kind === 'bytes') emitter.line(code`${column}[${entry}] = ${emitter.constant(ownText)}(${value})`)
  else emitter.line(code`${column}[${entry}] = ${value}`)
}

function sum(emitter: FunctionEmitter, { held }: FieldLayout, a: Code, b: Code, spec: KeyedAggregateEmission): Code {
  switch (held) {
    case 'BYTE':
      return code`((${a} + ${b}) << 24) >> 24`
    case 'SHORT':
      return code`((${a} + ${b}) << 16) >> 16`
    case 'INT':
      return code`(${a} + ${b}) | 0`
    case 'SAFE_LONG': {
      const total = emitter.define(code`${a} + ${b}`)
      return code`${total} <= ${Number.MAX_SAFE_INTEGER} && ${total} >= ${Number.MIN_SAFE_INTEGER} ? ${total} : ${emitter.constant(spec.safeSum)}(${a}, ${b})`
    }
    case 'FLOAT':
      return code`Math.fround(${a} + ${b})`
    case 'LONG':
      return code`BigInt.asIntN(64, ${a} + ${b})`
    default:
      return code`${a} + ${b}`
  }
}

function better(
  emitter: FunctionEmitter,
  { held }: FieldLayout,
  kind: AggregateKind,
  current: Code,
  candidate: Code,
  spec: KeyedAggregateEmission,
): Code {
  // NaN and the two zeros have an order of Java's.
  if (held === 'DOUBLE' || held === 'FLOAT') return code`${emitter.constant(spec.isBetter)}(${current}, ${candidate})`
  return kind === 'min' || kind === 'minBy' ? code`${candidate} < ${current}` : code`${candidate} > ${current}`
}
