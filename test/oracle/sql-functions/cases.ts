import { parseDate, parseTimestamp } from '../../../runtime/common/civil.ts'
import { resolveCall, resolveCast } from '../../../runtime/table/functions/resolve-call.ts'
import type { Expression } from '../../../runtime/table/plan/expression.ts'

/**
 * SQL expressions, each with the tree that the planner would make of it: `write-cases.ts` prints their SQL for the oracle, and
 * runtime/table/functions/flink.test.ts compares our types and values with what Flink answered (expected.json).
 * Left out is what Flink folds to something else than it computes (NaN = NaN of one column, casts of literals), and times of day before 1970,
 * where Flink's EXTRACT is negative.
 */
export interface Term {
  readonly sql: string
  readonly tree: Expression
}

export interface SqlCase {
  readonly zone: string
  readonly sql: string
  readonly tree: Expression
}

/** Table t of the oracle: its one row stands in row.csv. */
export const columns: readonly (readonly [name: string, type: string])[] = [
  ['i', 'INT'],
  ['zi', 'INT'],
  ['ni', 'INT'],
  ['b', 'BIGINT'],
  ['zb', 'BIGINT'],
  ['d', 'DOUBLE'],
  ['zd', 'DOUBLE'],
  ['nand', 'DOUBLE'],
  ['f', 'FLOAT'],
  ['s', 'STRING'],
  ['e', 'STRING'],
  ['ns', 'STRING'],
  ['de', 'DECIMAL(10, 2)'],
  ['zde', 'DECIMAL(10, 2)'],
  ['ts', 'TIMESTAMP(3)'],
  ['da', 'DATE'],
  ['ti', 'TIME(0)'],
  ['bo', 'BOOLEAN'],
  ['nb', 'BOOLEAN'],
  ['ms', 'BIGINT'],
  ['lt', 'TIMESTAMP_LTZ(3)'],
]

const literal = (sql: string, value: string | number | boolean | null, type: string): Term => ({ sql, tree: { kind: 'literal', value, type } })
const c = (name: string): Term => {
  const index = columns.findIndex(([column]) => column === name)
  return { sql: name, tree: { kind: 'column', index, type: columns[index]?.[1] ?? '' } }
}
const n = (value: number): Term => literal(String(value), value, 'INT NOT NULL')
const big = (text: string): Term => literal(text, text, 'BIGINT NOT NULL')
const dec = (text: string): Term =>
  literal(text, text, `DECIMAL(${text.replace(/[-.]|^0(?=\.)/g, '').length}, ${text.split('.')[1]?.length ?? 0}) NOT NULL`)
const str = (text: string): Term =>
  literal(`'${text.replaceAll("'", "''")}'`, text, text === '' ? 'VARCHAR(1) NOT NULL' : `CHAR(${[...text].length}) NOT NULL`)
const ts = (text: string): Term => literal(`TIMESTAMP '${text}'`, parseTimestamp(text) ?? 0, `TIMESTAMP(${text.includes('.') ? 3 : 0}) NOT NULL`)
const date = (text: string): Term => literal(`DATE '${text}'`, parseDate(text) ?? 0, 'DATE NOT NULL')
const span = (text: string, ms: number): Term => literal(`INTERVAL ${text}`, ms, 'INTERVAL DAY TO SECOND(3) NOT NULL')
const months = (text: string, count: number): Term => literal(`INTERVAL ${text}`, count, 'INTERVAL YEAR TO MONTH NOT NULL')
const unit = (name: string): Term => literal(name, name, 'STRING NOT NULL')

const infix = ['AND', 'OR', '=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '/', '%', '||', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM', 'LIKE']

function sqlOf(name: string, args: readonly string[]): string {
  const [a, b, x, y] = args
  if (infix.includes(name) && args.length === 2) return `(${a} ${name} ${b})`
  if (name === 'LIKE') return `(${a} LIKE ${b} ESCAPE ${x})`
  if (name === '-') return `(-${a})`
  if (name === 'NOT') return `(NOT ${a})`
  if (name.startsWith('IS ')) return `(${a} ${name})`
  if (name === 'IN') return `(${a} IN (${args.slice(1).join(', ')}))`
  if (name === 'CASE') {
    const branches = Array.from({ length: (args.length - 1) / 2 }, (_, i) => `WHEN ${args[i * 2]} THEN ${args[i * 2 + 1]}`)
    return `CASE ${branches.join(' ')} ELSE ${args.at(-1)} END`
  }
  if (name === 'EXTRACT') return `EXTRACT(${a} FROM ${b})`
  if ((name === 'FLOOR' || name === 'CEIL') && args.length === 2) return `${name}(${a} TO ${b})`
  if (name === 'POSITION') return `POSITION(${a} IN ${b})`
  if (name === 'TRIM' && args.length === 3) return `TRIM(${a} ${b} FROM ${x})`
  if (name === 'OVERLAY') return `OVERLAY(${a} PLACING ${b} FROM ${x}${y === undefined ? '' : ` FOR ${y}`})`
  return `${name}(${args.join(', ')})`
}

function call(name: string, ...args: readonly Term[]): Term {
  const tree = resolveCall(
    name,
    args.map(arg => arg.tree),
    '1:1',
  )
  const sql = sqlOf(
    name,
    args.map(arg => arg.sql),
  )
  if (tree === undefined) throw new Error(`no such function: ${sql}`)
  return { sql, tree }
}

function castTo(arg: Term, type: string, name: 'CAST' | 'TRY_CAST' = 'CAST'): Term {
  const tree = resolveCast(arg.tree, type, '1:1', name === 'TRY_CAST')
  if (tree === undefined) throw new Error(`no such cast: ${arg.sql} AS ${type}`)
  return { sql: `${name}(${arg.sql} AS ${type})`, tree }
}

const nul = (type: string): Term => ({ sql: `CAST(NULL AS ${type})`, tree: { kind: 'literal', value: null, type } })
const i = c('i')
const zi = c('zi')
const ni = c('ni')
const b = c('b')
const zb = c('zb')
const d = c('d')
const zd = c('zd')
const nand = c('nand')
const f = c('f')
const s = c('s')
const e = c('e')
const ns = c('ns')
const de = c('de')
const zde = c('zde')
const t = c('ts')
const da = c('da')
const ti = c('ti')
const bo = c('bo')
const nb = c('nb')
const lt = c('lt')

const dateUnits = ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'DOY', 'DOW', 'ISODOW', 'ISOYEAR', 'DECADE', 'CENTURY', 'MILLENNIUM', 'EPOCH']
const clockUnits = ['HOUR', 'MINUTE', 'SECOND', 'MILLISECOND', 'MICROSECOND']
const roundUnits = ['DECADE', 'YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND']
const awkward = ts('2021-01-01 00:00:00.001')
const tiny = (value: number) => castTo(n(value), 'TINYINT')

const everywhere: Term[] = [
  // Logic.
  ...[bo, nb].flatMap(x => [bo, nb].flatMap(y => [call('AND', x, y), call('OR', x, y)])),
  call('AND', nb, call('=', zi, i)),
  call('OR', nb, call('=', i, i)),
  call('NOT', bo),
  call('NOT', nb),
  ...['IS TRUE', 'IS NOT TRUE', 'IS FALSE', 'IS NOT FALSE', 'IS NULL', 'IS NOT NULL'].flatMap(name => [
    call(name, bo),
    call(name, nb),
    call(name, call('=', i, zi)),
  ]),
  // Comparison.
  ...['=', '<>', '<', '<=', '>', '>='].flatMap(name => [
    call(name, i, n(7)),
    call(name, b, d),
    call(name, i, de),
    call(name, ni, i),
    call(name, s, str('hé')),
    call(name, nand, d),
  ]),
  call('=', f, dec('0.1')),
  call('=', b, big('9007199254740993')),
  call('=', b, d),
  call('=', da, str('2020-02-29')),
  call('>', t, str('2020-02-29 00:00:00')),
  call('=', e, str('')),
  call('>', lt, t),
  call('<', s, str('h\uffff')),
  call('=', de, dec('123.450')),
  call('IS DISTINCT FROM', ni, i),
  call('IS NOT DISTINCT FROM', ni, ni),
  call('IS DISTINCT FROM', i, n(7)),
  call('IN', i, n(1), n(7)),
  call('IN', i, n(1), n(2)),
  call('IN', ni, n(1)),
  call('IN', s, str('a'), str('b')),
  call('IN', i, n(1), ni),
  // Conditionals.
  call('CASE', bo, i, call('/', i, zi)),
  call('CASE', nb, n(1), dec('2.5')),
  call('CASE', call('>', i, n(10)), str('a'), bo, str('bcd'), str('e')),
  call('IF', bo, i, b),
  call('IF', nb, n(1), n(2)),
  call('COALESCE', ni, i, call('/', i, zi)),
  call('COALESCE', ni, nul('INT')),
  call('COALESCE', ns, s),
  call('IFNULL', ni, n(2)),
  call('NULLIF', i, n(7)),
  call('NULLIF', i, n(8)),
  call('NULLIF', ni, i),
  call('GREATEST', i, b),
  call('LEAST', i, zi),
  call('GREATEST', i, ni),
  call('GREATEST', s, str('z')),
  call('LEAST', de, i),
  // Arithmetic.
  call('+', i, n(1)),
  call('+', n(2147483647), i),
  call('-', n(-2147483647), i),
  call('*', i, n(2147483647)),
  call('/', n(-7), n(2)),
  call('%', n(-7), n(3)),
  call('+', tiny(127), tiny(1)),
  call('*', tiny(100), tiny(3)),
  call('-', tiny(-128)),
  call('+', tiny(1), i),
  call('+', b, i),
  call('*', b, b),
  call('-', big('-9223372036854775807'), b),
  call('/', b, i),
  call('%', b, i),
  call('MOD', i, b),
  call('MOD', b, i),
  call('MOD', n(-7), n(3)),
  call('-', b),
  call('-', i),
  call('-', de),
  call('-', d),
  call('+', ni, i),
  call('+', d, i),
  call('*', d, f),
  call('+', f, f),
  call('+', f, i),
  call('+', f, b),
  call('/', d, zd),
  call('/', zd, zd),
  call('/', i, zd),
  call('-', de, d),
  call('*', de, f),
  call('+', de, i),
  call('-', de, dec('0.005')),
  call('*', de, dec('2.5')),
  call('/', de, n(7)),
  call('/', de, dec('0.3')),
  call('%', de, dec('7.5')),
  call('/', n(1), dec('3.0')),
  call('*', de, b),
  call('/', castTo(de, 'DECIMAL(38, 10)'), castTo(n(3), 'DECIMAL(38, 20)')),
  call('+', castTo(de, 'DECIMAL(38, 10)'), castTo(n(3), 'DECIMAL(38, 20)')),
  call('*', castTo(de, 'DECIMAL(38, 10)'), castTo(n(3), 'DECIMAL(38, 20)')),
  call('*', castTo(de, 'DECIMAL(38, 0)'), castTo(castTo(str('99999999999999999999999999999999999999'), 'DECIMAL(38, 0)'), 'DECIMAL(38, 0)')),
  call('/', i, zi),
  call('%', i, zi),
  call('/', de, zde),
  call('MOD', b, zb),
  // Mathematics.
  call('ABS', n(-5)),
  call('ABS', call('-', d)),
  call('ABS', call('-', de)),
  call('ABS', b),
  call('SIGN', call('-', de)),
  call('SIGN', i),
  call('SIGN', d),
  call('SIGN', zb),
  call('POWER', n(2), n(10)),
  call('POWER', d, de),
  call('SQRT', d),
  call('EXP', n(1)),
  call('LN', d),
  call('LN', zd),
  call('LOG10', i),
  call('LOG2', n(8)),
  call('LOG', n(2), n(8)),
  call('LOG', d),
  call('SIN', d),
  call('COS', d),
  call('TAN', d),
  call('ASIN', dec('0.5')),
  call('ACOS', dec('0.5')),
  call('ATAN', d),
  call('ATAN2', d, i),
  call('DEGREES', d),
  call('RADIANS', i),
  call('PI'),
  call('E'),
  call('ROUND', de, n(1)),
  call('ROUND', d),
  call('ROUND', call('-', d)),
  call('ROUND', de),
  call('ROUND', n(125), n(-1)),
  call('ROUND', castTo(dec('1.255'), 'DOUBLE'), n(2)),
  call('ROUND', b, n(-3)),
  call('ROUND', de, n(-1)),
  call('TRUNCATE', de, n(1)),
  call('TRUNCATE', d, n(0)),
  call('TRUNCATE', n(1259), n(-2)),
  call('CEIL', de),
  call('FLOOR', call('-', de)),
  call('CEIL', d),
  call('FLOOR', call('-', d)),
  call('FLOOR', i),
  call('CEIL', b),
  // Strings.
  call('||', s, str('x')),
  call('||', str('a'), str('b')),
  call('||', s, ns),
  call('CONCAT', s, e, str('y')),
  call('CONCAT', s, ns),
  call('CONCAT_WS', str('-'), s, ns, str('b')),
  call('CONCAT_WS', ns, s, s),
  call('CHAR_LENGTH', s),
  call('CHAR_LENGTH', e),
  call('CHARACTER_LENGTH', str('sensor_1')),
  call('UPPER', s),
  call('LOWER', call('UPPER', s)),
  call('UPPER', str('abc')),
  call('INITCAP', str('hello wORLD foo_bar')),
  call('INITCAP', s),
  call('TRIM', str('  a ')),
  call('TRIM', unit('LEADING'), str('x'), str('xxaxx')),
  call('TRIM', unit('TRAILING'), str('x'), str('xxaxx')),
  call('TRIM', unit('BOTH'), str('xy'), str('xyaxy')),
  call('LTRIM', str('  a ')),
  call('RTRIM', str(' a  ')),
  call('LTRIM', str('xxa'), str('x')),
  call('RTRIM', str('axx'), str('x')),
  call('BTRIM', str('xax'), str('x')),
  call('BTRIM', str(' a ')),
  ...[[2], [0], [-2], [10], [-10], [2, 2], [0, 2], [-3, 2], [-10, 3], [3, -1], [-6, 3], [5, 9]].map(at => call('SUBSTRING', s, ...at.map(n))),
  call('SUBSTR', s, n(2)),
  call('SUBSTRING', str('hello'), n(2), n(3)),
  call('LEFT', s, n(3)),
  call('LEFT', s, n(-1)),
  call('RIGHT', s, n(3)),
  call('RIGHT', s, n(99)),
  call('RIGHT', s, n(0)),
  call('POSITION', str('l'), s),
  call('POSITION', str('zz'), s),
  call('POSITION', e, s),
  call('LOCATE', str('l'), str('hello'), n(4)),
  call('LOCATE', str('l'), str('hello'), n(0)),
  call('LOCATE', str('o'), s),
  call('INSTR', s, str('o')),
  call('REPLACE', s, str('l'), str('$1')),
  call('REPLACE', str('aaa'), str('aa'), str('b')),
  call('REPLACE', str('hi'), e, str('-')),
  call('LPAD', s, n(8), str('xy')),
  call('LPAD', s, n(2), str('x')),
  call('RPAD', str('hi'), n(5), str('ab')),
  call('RPAD', s, n(-1), str('x')),
  call('LPAD', s, n(9), e),
  call('REPEAT', s, n(2)),
  call('REPEAT', s, n(0)),
  call('REVERSE', s),
  ...[0, 1, 2, 5, -1].map(at => call('SPLIT_INDEX', str('a/b/'), str('/'), n(at))),
  call('SPLIT_INDEX', s, str('l'), n(1)),
  call('SPLIT_INDEX', e, str('/'), n(0)),
  call('SPLIT_INDEX', str('a--b--c'), str('--'), n(2)),
  call('SPLIT_INDEX', str('a b'), e, n(1)),
  call('ASCII', s),
  call('ASCII', e),
  call('CHR', n(65)),
  call('CHR', n(321)),
  call('STARTSWITH', s, str('h')),
  call('ENDSWITH', s, str('lo')),
  call('STARTSWITH', s, e),
  call('OVERLAY', str('hello'), str('XX'), n(2), n(3)),
  call('OVERLAY', str('hello'), str('XX'), n(2)),
  call('OVERLAY', str('hello'), str('XX'), n(9)),
  ...['%', 'h%', '%lo', '%é%l%', 'h_%', 'h_😀__', 'h', '', '%%', '_____', 'H%'].map(pattern => call('LIKE', s, str(pattern))),
  call('LIKE', str('a%c'), str('ax%c'), str('x')),
  call('LIKE', str('abc'), str('ax%c'), str('x')),
  call('LIKE', ns, str('%')),
  // Casts.
  ...['TINYINT', 'SMALLINT', 'INT', 'BIGINT', 'FLOAT', 'DOUBLE', 'DECIMAL(20, 1)', 'STRING', 'BOOLEAN', 'VARCHAR(3)'].flatMap(type => [
    castTo(b, type),
    castTo(d, type),
    castTo(de, type),
    castTo(i, type),
    castTo(nand, type === 'DECIMAL(20, 1)' ? 'STRING' : type),
  ]),
  ...['-1.9e0', '1e20', '-1e20', '300e0'].flatMap(text =>
    ['TINYINT', 'INT', 'BIGINT'].map(type =>
      castTo(call('*', castTo(literal(text, Number(text), 'DOUBLE NOT NULL'), 'DOUBLE'), castTo(call('/', i, n(7)), 'DOUBLE')), type),
    ),
  ),
  castTo(bo, 'INT'),
  castTo(bo, 'STRING'),
  castTo(bo, 'DOUBLE'),
  castTo(bo, 'DECIMAL(3, 1)'),
  castTo(nb, 'INT'),
  castTo(f, 'STRING'),
  castTo(f, 'DOUBLE'),
  castTo(f, 'DECIMAL(10, 5)'),
  castTo(de, 'DECIMAL(4, 1)'),
  castTo(de, 'DECIMAL(3, 1)'),
  castTo(de, 'CHAR(4)'),
  ...['12', ' 12 ', '1.9', '-7', '+5', '12345678901'].map(text => castTo(str(text), 'BIGINT')),
  ...['1.5', ' 1e3 ', '-.5', 'NaN', 'Infinity'].map(text => castTo(castTo(str(text), 'DOUBLE'), 'STRING')),
  ...['1.25', '1e2', '-0.05', ' 7 '].map(text => castTo(str(text), 'DECIMAL(5, 1)')),
  ...['true', 'T', 'yes', '1', 'n', 'FALSE', '0'].map(text => castTo(str(text), 'BOOLEAN')),
  ...['abc', '', '1e3', '99999999999'].map(text => castTo(str(text), 'INT', 'TRY_CAST')),
  ...['on', 'x'].map(text => castTo(str(text), 'BOOLEAN', 'TRY_CAST')),
  castTo(str('12345.67'), 'DECIMAL(4, 1)', 'TRY_CAST'),
  castTo(s, 'DOUBLE', 'TRY_CAST'),
  ...['2020-01-02', '2020-1-2', '2020', '2020-01-02 10:00:00', '2020-13-02', '2020-02-30', 'x', '2020-01'].map(text =>
    castTo(str(text), 'DATE', 'TRY_CAST'),
  ),
  ...['10:11:12', '10:11', '10', '10:11:12.5', '25:00:00', 'x'].map(text => castTo(str(text), 'TIME(0)', 'TRY_CAST')),
  ...['2020-01-02 03:04:05', '2020-01-02 03:04:05.6789', '2020-01-02', '2020-01-02T03:04:05', '2020-01-02 03:04', 'x'].map(text =>
    castTo(str(text), 'TIMESTAMP(3)', 'TRY_CAST'),
  ),
  castTo(da, 'STRING'),
  castTo(ti, 'STRING'),
  castTo(t, 'STRING'),
  castTo(da, 'TIMESTAMP(3)'),
  castTo(t, 'DATE'),
  castTo(t, 'TIME(0)'),
  castTo(s, 'CHAR(3)'),
  castTo(s, 'CHAR(8)'),
  castTo(s, 'VARCHAR(2)'),
  castTo(s, 'BYTES'),
  castTo(castTo(s, 'BYTES'), 'STRING'),
  castTo(span("'10' DAY", 864_000_000), 'STRING'),
  castTo(span("'10:30' HOUR TO MINUTE", 37_800_000), 'STRING'),
  castTo(months("'1-2' YEAR TO MONTH", 14), 'STRING'),
  castTo(str('abc'), 'INT'),
  castTo(s, 'DATE'),
  // Times.
  ...[...dateUnits, ...clockUnits].flatMap(name => [call('EXTRACT', unit(name), t), call('EXTRACT', unit(name), awkward)]),
  ...dateUnits.map(name => call('EXTRACT', unit(name), da)),
  ...clockUnits.slice(0, 3).map(name => call('EXTRACT', unit(name), ti)),
  ...['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAYOFYEAR', 'DAYOFMONTH', 'DAYOFWEEK'].map(name => call(name, da)),
  ...['HOUR', 'MINUTE', 'SECOND'].map(name => call(name, t)),
  ...roundUnits.flatMap(name => [call('FLOOR', t, unit(name)), call('CEIL', t, unit(name))]),
  ...roundUnits.slice(0, 6).map(name => call('FLOOR', da, unit(name))),
  call('CEIL', da, unit('MONTH')),
  ...['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND'].flatMap(name => [
    call('TIMESTAMPADD', unit(name), n(3), t),
    call('TIMESTAMPDIFF', unit(name), t, awkward),
    call('TIMESTAMPDIFF', unit(name), awkward, t),
  ]),
  call('TIMESTAMPADD', unit('MONTH'), n(-3), da),
  call('TIMESTAMPDIFF', unit('DAY'), da, awkward),
  call('TIMESTAMPDIFF', unit('MONTH'), date('2020-01-31'), da),
  call('TIMESTAMPDIFF', unit('MILLISECOND'), t, awkward),
  call('+', t, span("'1' DAY", 86_400_000)),
  call('-', t, span("'1:30' MINUTE TO SECOND", 90_000)),
  call('+', t, months("'1' MONTH", 1)),
  call('+', da, months("'1' YEAR", 12)),
  call('+', date('2020-01-31'), months("'1' MONTH", 1)),
  call('+', ti, span("'12' HOUR", 43_200_000)),
  call('-', t, months("'1-1' YEAR TO MONTH", 13)),
  call('+', span("'1' DAY", 86_400_000), t),
  call('*', span("'1' DAY", 86_400_000), n(3)),
  call('+', span("'1' DAY", 86_400_000), span("'1' HOUR", 3_600_000)),
  call('+', da, span("'30' HOUR", 108_000_000)),
  call('TO_TIMESTAMP', str('2020-01-02 03:04:05')),
  call('TO_TIMESTAMP', str('2020-01-02')),
  call('TO_TIMESTAMP', str('02/01/2020 03'), str('dd/MM/yyyy HH')),
  call('TO_TIMESTAMP', s),
  call('TO_TIMESTAMP', str('2020-01-02 03:04:05.123456')),
  call('TO_TIMESTAMP', str('20200102030405'), str('yyyyMMddHHmmss')),
  call('TO_DATE', str('2020-01-02')),
  call('TO_DATE', str('02.01.2020'), str('dd.MM.yyyy')),
  call('TO_DATE', s),
  call('TO_TIMESTAMP_LTZ', b, n(3)),
  call('TO_TIMESTAMP_LTZ', n(1583000000), n(0)),
  call('TO_TIMESTAMP_LTZ', i),
  call('TO_TIMESTAMP_LTZ', str('2020-01-02 03:04:05')),
  ...['yyyy-MM-dd HH:mm:ss.SSS', 'yyyyMMdd', 'EEE, d MMM yy h:mm a', "yyyy'T'HH", 'EEEE MMMM D k K Q', 'HH:mm'].map(format =>
    call('DATE_FORMAT', t, str(format)),
  ),
  call('DATE_FORMAT', str('2020-01-02 03:04:05'), str('dd.MM.yyyy')),
  call('CONVERT_TZ', str('1970-01-01 00:00:00'), str('UTC'), str('America/Los_Angeles')),
  call('CONVERT_TZ', str('2020-07-01 12:00:00'), str('America/New_York'), str('Asia/Tokyo')),
]

const zoned: Term[] = [
  call('TO_TIMESTAMP', call('FROM_UNIXTIME', castTo(n(1547718199), 'BIGINT'))),
  call('FROM_UNIXTIME', zb),
  call('FROM_UNIXTIME', zb, str('yyyy/MM/dd HH')),
  call('UNIX_TIMESTAMP', str('2020-01-02 03:04:05')),
  call('UNIX_TIMESTAMP', str('2020/07/02'), str('yyyy/MM/dd')),
  call('UNIX_TIMESTAMP', s),
  castTo(lt, 'STRING'),
  castTo(lt, 'TIMESTAMP(3)'),
  castTo(lt, 'DATE'),
  castTo(lt, 'TIME(0)'),
  castTo(t, 'TIMESTAMP_LTZ(3)'),
  castTo(da, 'TIMESTAMP_LTZ(3)'),
  castTo(ts('2020-03-08 02:30:00'), 'TIMESTAMP_LTZ(3)'),
  castTo(ts('2020-11-01 01:30:00'), 'TIMESTAMP_LTZ(3)'),
  castTo(str('2020-03-08 02:30:00'), 'TIMESTAMP_LTZ(3)'),
  ...[...dateUnits, ...clockUnits.slice(0, 4)].map(name => call('EXTRACT', unit(name), lt)),
  call('HOUR', lt),
  call('DAYOFMONTH', lt),
  ...roundUnits.map(name => call('FLOOR', lt, unit(name))),
  ...roundUnits.slice(3).map(name => call('CEIL', lt, unit(name))),
  call('DATE_FORMAT', lt, str('yyyy-MM-dd HH:mm')),
  call('=', lt, t),
  call('<', lt, castTo(t, 'TIMESTAMP_LTZ(3)')),
  call('TIMESTAMPDIFF', unit('HOUR'), lt, call('TO_TIMESTAMP_LTZ', n(1593000000), n(0))),
  call('TIMESTAMPDIFF', unit('MONTH'), lt, call('TO_TIMESTAMP_LTZ', n(1593000000), n(0))),
  call('+', lt, span("'10' DAY", 864_000_000)),
  call('+', lt, span("'1' HOUR", 3_600_000)),
  call('TIMESTAMPADD', unit('DAY'), n(10), lt),
  call('TO_TIMESTAMP_LTZ', str('2020-01-02 03:04:05')),
]

export const sqlCases: readonly SqlCase[] = [
  ...everywhere.map(term => ({ zone: 'UTC', ...term })),
  ...['UTC', 'America/New_York'].flatMap(zone => zoned.map(term => ({ zone, ...term }))),
].filter((one, at, all) => all.findIndex(other => other.zone === one.zone && other.sql === one.sql) === at)
