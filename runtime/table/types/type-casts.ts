import type { LogicalType, TypeKind } from './logical-type.ts'
import { integerKinds } from './type-families.ts'

/**
 * What Flink casts by itself (implicit: no value is lost but digits after the point and characters beyond a length) and what only CAST does
 * (explicit). Undefined: CAST is refused when the query is planned.
 */
export function castOf(from: LogicalType, to: LogicalType): 'implicit' | 'explicit' | undefined {
  if (from.kind === 'NULL') return to.nullable ? 'implicit' : undefined
  const cast = castOfKinds(from, to)
  return cast === 'implicit' && from.nullable && !to.nullable ? 'explicit' : cast
}

const integers: readonly TypeKind[] = integerKinds
const exact: readonly TypeKind[] = [...integers, 'DECIMAL']
const numbers: readonly TypeKind[] = [...exact, 'FLOAT', 'DOUBLE']
const characters: readonly TypeKind[] = ['CHAR', 'VARCHAR']
const binaries: readonly TypeKind[] = ['BINARY', 'VARBINARY']
const timestamps: readonly TypeKind[] = ['TIMESTAMP', 'TIMESTAMP_LTZ']
const intervals: readonly TypeKind[] = ['INTERVAL_YEAR_MONTH', 'INTERVAL_DAY_TIME']

const above = (kind: TypeKind): readonly TypeKind[] => [...integers.slice(integers.indexOf(kind)), 'DECIMAL', 'FLOAT', 'DOUBLE']

/** Of each kind: what it becomes by itself, and what by CAST besides text, which everything does. */
const casts: Readonly<Partial<Record<TypeKind, { readonly implicit: readonly TypeKind[]; readonly explicit: readonly TypeKind[] }>>> = {
  BOOLEAN: { implicit: ['BOOLEAN'], explicit: numbers },
  TINYINT: { implicit: above('TINYINT'), explicit: ['BOOLEAN', ...numbers, ...timestamps] },
  SMALLINT: { implicit: above('SMALLINT'), explicit: ['BOOLEAN', ...numbers, ...timestamps] },
  INT: { implicit: above('INT'), explicit: ['BOOLEAN', ...numbers, ...timestamps] },
  BIGINT: { implicit: above('BIGINT'), explicit: ['BOOLEAN', ...numbers, ...timestamps] },
  DECIMAL: { implicit: ['DECIMAL', 'FLOAT', 'DOUBLE'], explicit: [...numbers, ...timestamps] },
  FLOAT: { implicit: ['DECIMAL', 'FLOAT', 'DOUBLE'], explicit: [...numbers, ...timestamps] },
  DOUBLE: { implicit: ['DECIMAL', 'DOUBLE'], explicit: [...numbers, ...timestamps] },
  CHAR: { implicit: characters, explicit: ['BOOLEAN', ...numbers, ...binaries, 'DATE', 'TIME', ...timestamps, ...intervals] },
  VARCHAR: { implicit: ['VARCHAR'], explicit: ['BOOLEAN', ...numbers, ...binaries, 'DATE', 'TIME', ...timestamps, ...intervals] },
  BINARY: { implicit: binaries, explicit: [] },
  VARBINARY: { implicit: ['VARBINARY'], explicit: ['BINARY'] },
  DATE: { implicit: ['DATE'], explicit: timestamps },
  TIME: { implicit: ['TIME'], explicit: timestamps },
  TIMESTAMP: { implicit: ['DATE', 'TIME', ...timestamps], explicit: numbers },
  TIMESTAMP_LTZ: { implicit: timestamps, explicit: ['DATE', 'TIME', ...numbers] },
  INTERVAL_YEAR_MONTH: { implicit: ['INTERVAL_YEAR_MONTH'], explicit: [] },
  INTERVAL_DAY_TIME: { implicit: ['INTERVAL_DAY_TIME'], explicit: [] },
}

function castOfKinds(from: LogicalType, to: LogicalType): 'implicit' | 'explicit' | undefined {
  // An interval of one unit is its amount, and the other way round.
  if ((isOneUnit(from) && exact.includes(to.kind)) || (isOneUnit(to) && exact.includes(from.kind))) return 'implicit'
  const known = casts[from.kind]
  if (known?.implicit.includes(to.kind)) return 'implicit'
  if (known?.explicit.includes(to.kind) || characters.includes(to.kind)) return 'explicit'
  return castOfComposites(from, to)
}

function isOneUnit(type: LogicalType): boolean {
  return (type.kind === 'INTERVAL_YEAR_MONTH' || type.kind === 'INTERVAL_DAY_TIME') && !type.resolution.includes(' TO ')
}

/** Elements and fields one by one; the weakest decides. */
function castOfComposites(from: LogicalType, to: LogicalType): 'implicit' | 'explicit' | undefined {
  let parts: readonly (readonly [LogicalType, LogicalType])[] | undefined
  if ((from.kind === 'ARRAY' && to.kind === 'ARRAY') || (from.kind === 'MULTISET' && to.kind === 'MULTISET')) parts = [[from.element, to.element]]
  else if (from.kind === 'MAP' && to.kind === 'MAP')
    parts = [
      [from.key, to.key],
      [from.value, to.value],
    ]
  else if (from.kind === 'ROW' && to.kind === 'ROW' && from.fields.length === to.fields.length)
    parts = from.fields.flatMap((field, i) => (to.fields[i] === undefined ? [] : [[field.type, to.fields[i].type] as const]))
  if (parts === undefined) return undefined
  const results = parts.map(([a, b]) => castOf(a, b))
  if (results.includes(undefined)) return undefined
  return results.includes('explicit') ? 'explicit' : 'implicit'
}
