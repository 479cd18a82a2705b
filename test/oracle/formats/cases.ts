/**
 * What the oracle reads: one line of input per case, with its format, columns and options. `node cases.ts` prints them as JSON for
 * FormatOracle.java; the answers are expected.json. `text` is UTF-8, `hex` the bytes where they are no UTF-8.
 */
export interface FormatCase {
  readonly format: 'json' | 'csv' | 'raw'
  readonly schema: string
  readonly options: Readonly<Record<string, string>>
  readonly text?: string
  readonly hex?: string
}

const cases: FormatCase[] = []
const add = (format: FormatCase['format'], schema: string, texts: readonly string[], options: Record<string, string> = {}) => {
  for (const text of texts) cases.push({ format, schema, options, text })
}
const addHex = (format: FormatCase['format'], schema: string, hexes: readonly string[]) => {
  for (const hex of hexes) cases.push({ format, schema, options: {}, hex })
}
const values = (texts: readonly string[]) => texts.map(text => `{"a":${text}}`)

for (const [type, max] of [
  ['TINYINT', '127'],
  ['SMALLINT', '32767'],
  ['INT', '2147483647'],
  ['BIGINT', '9223372036854775807'],
] as const)
  add(
    'json',
    `a ${type}`,
    values(['1', `${max}`, `-${max}`, `${BigInt(max) + 1n}`, '"12"', '" 7 "', '""', '1.5', '1.0', '1e1', 'true', 'null', '"abc"', '{}', '[]']),
  )
add('json', 'a BIGINT', values(['9007199254740993', '-9223372036854775808', '-0', '01', '+1', '.5', '1.', '"+5"']))
for (const type of ['DOUBLE', 'FLOAT'])
  add(
    'json',
    `a ${type}`,
    values([
      '1',
      '1.5',
      '-0.0',
      '1e5',
      '1E-3',
      '0.1',
      '123456789.123456789',
      '1e400',
      '"2.5"',
      '" 2.5 "',
      '"NaN"',
      '"Infinity"',
      'NaN',
      'true',
      '""',
      '"x"',
      '"0x1p3"',
      '"1d"',
    ]),
  )
add('json', 'a BOOLEAN', values(['true', 'false', '"true"', '"TRUE"', '" true "', '"false"', '"yes"', '1', '0', '""', 'null', 'True', '{}']))
add(
  'json',
  'a STRING',
  values([
    '"x"',
    '""',
    '1',
    '1.50',
    '1e5',
    'true',
    'null',
    '{"b": 1, "c" : [1, 2.50]}',
    '[1, "x"]',
    '{}',
    '"\\n\\t\\"\\\\\\/\\b\\f\\r"',
    '"\\u00e9\\ud83d\\ude00"',
    '"\\ud83d"',
    '"é😀"',
    '"\\x"',
    '"\\u12"',
    '"a\tb"',
    "'x'",
    'x',
    '12345678901234567890',
    '1.0E+2',
  ]),
)
add('json', 'a VARCHAR(3)', values(['"abc"', '"abcdef"']))
add('json', 'a CHAR(3)', values(['"a"', '"abcdef"']))
add('json', 'a BYTES', values(['"AQID"', '"AQI="', '"AQI"', '"!!"', '""', '12', 'null']))
add(
  'json',
  'a DECIMAL(10, 2)',
  values([
    '1',
    '1.5',
    '1.555',
    '-1.545',
    '1e2',
    '"12.34"',
    '" 12.34 "',
    '12345678.99',
    '123456789.99',
    '99999999.999',
    '""',
    '"x"',
    'true',
    '0.1',
    '1e-5',
    '12345678901234567890',
  ]),
)
add('json', 'a DECIMAL(30, 10)', values(['12345678901234567890.0123456789', '0.1', '1e10', '"3.3"', '-5']))
add(
  'json',
  'a DATE',
  values(['"2020-02-29"', '"2019-02-29"', '"2020-2-9"', '"2020-02-29 10:00:00"', '18321', '""', 'null', '"0001-01-01"', '" 2020-02-29"']),
)
add('json', 'a TIME', values(['"10:11:12"', '"10:11"', '"10:11:12.5"', '"10:11:12Z"', '"24:00:00"', '"1:2:3"']))
const timestamps = [
  '"2020-02-29 10:11:12"',
  '"2020-02-29 10:11:12.5"',
  '"2020-02-29 10:11:12.123456"',
  '"2020-02-29T10:11:12"',
  '"2020-02-29T10:11:12.123Z"',
  '"2020-02-29 10:11:12Z"',
  '"2020-02-29 10:11:12.123Z"',
  '"2020-02-29 10:11"',
  '"2020-02-29"',
  '"2020-02-29 24:00:00"',
  '"2019-02-29 00:00:00"',
  '"2020-02-29T10:11:12+02:00"',
  '"2020-02-29T10:11"',
  '1582970000000',
  '""',
  '" 2020-02-29 10:11:12"',
  '"2020-02-29 10:11:12."',
  '"2020-02-30 10:11:12"',
]
for (const type of ['TIMESTAMP(3)', 'TIMESTAMP_LTZ(3)'])
  for (const standard of ['SQL', 'ISO-8601']) add('json', `a ${type}`, values(timestamps), { 'json.timestamp-format.standard': standard })
const whole = [
  '',
  ' ',
  '{}',
  'null',
  '[]',
  '[{"a":1}]',
  '1',
  '"x"',
  '{"a":1',
  '{"a":1}}',
  '{"a":1} x',
  '{"a":1}{"a":2}',
  ' {"a" : 1 , "b" : "x"} ',
  '{"a":1,}',
  '{,"a":1}',
  '{"a" 1}',
  '{a:1}',
  '{"A":1}',
  '{"a":1,"a":2}',
  '{"a":1,"a":null}',
  '{"a":"x","a":2}',
  '{"b":"y","a":3}',
  '{"c":{"d":[1,{}]},"a":3}',
  '{"c":tru,"a":3}',
  '{"a":3,"c":tru}',
  '{"a":3,"c":"\\x"}',
  '{"\\u0061":5}',
  '{"a":1 /* c */}',
  '\ufeff{"a":1}',
  '{"a":1,"c":[1,]}',
  '{"a":1,"c":01}',
  '{"a":1,"c":1.}',
  '{"a":1,"c":-}',
  '{"a":1,"c":"\u0001"}',
  `{"a":1,"c":${'['.repeat(999)}${']'.repeat(999)}}`,
  `{"a":1,"c":${'['.repeat(1000)}${']'.repeat(1000)}}`,
  '{"a":1,"":2}',
  '{"__proto__":1,"a":2}',
  '{"a":1}\r',
]
add('json', 'a INT, b STRING', whole)
add('json', 'a INT, b STRING', ['{"a":1}', '{"a":1,"b":null}', '{}'], { 'json.fail-on-missing-field': 'true' })
add('json', 'a INT, b STRING', ['{"a":"x","b":"y"}', '{"a":1,"b', '{"b":"y","a":{}}', '', '{"a":1,"b":"y"}'], { 'json.ignore-parse-errors': 'true' })
addHex('json', 'a STRING', [
  '7b2261223a22ff227d',
  '7b2261223a22c3a9227d',
  '7b2261223a22c3227d',
  '7b2261223a22eda080227d',
  '7b2261223a22c080227d',
  '7b2261223a22f4908080227d',
  '7b2261223a22e28082227d',
])
addHex('json', 'a INT', ['7b2261223a312c2262223a22ff227d', '7b2261223a312c22ff223a327d'])

const csv = (schema: string, texts: readonly string[], options: Record<string, string> = {}) => add('csv', schema, texts, options)
csv('a INT, b STRING', [
  '1,x',
  '1',
  '1,x,y',
  ',',
  '',
  ' ',
  ' 1 , x ',
  '"1","x"',
  '1,"a,b"',
  '1,"a""b"',
  '1,"a',
  '1,a"b',
  '1,"a"b',
  '1,"a" ',
  '1, "a"',
  "1,'x'",
  '1,""',
  '1,',
  '#1,x',
  '1,a\\nb',
  '1,x\r',
  '\ufeff1,x',
  '1,é😀',
  '1,"a\nb"',
  'x,1',
  '2147483648,x',
  '1.0,x',
  '+1,x',
  '1;x',
])
csv('a INT, b STRING', ['1;x', '1;x;', '"1";"a;b"'], { 'csv.field-delimiter': ';' })
csv('a INT, b STRING', ["1,'a,b'", '1,"x"', "1,'a''b'"], { 'csv.quote-character': "'" })
csv('a INT, b STRING', ['1,"x"', '1,"a,b"'], { 'csv.disable-quote-character': 'true' })
csv('a INT, b STRING', ['1,a\\,b', '1,a\\nb', '1,"a\\"b"', '1,\\\\', '1,a\\', '1,\\0\\t'], { 'csv.escape-character': '\\' })
csv('a INT, b STRING', ['#1,x', ' #1,x', '1,x'], { 'csv.allow-comments': 'true' })
csv('a INT, b STRING', ['NULL,NULL', '1,"NULL"', '1, NULL', 'null,x', ',x'], { 'csv.null-literal': 'NULL' })
csv('a INT, b STRING', ['x,y', '1', '1,x,y', '2,y', ',z', '3,"q'], { 'csv.ignore-parse-errors': 'true' })
csv('a BOOLEAN', ['true', 'TRUE', 'false', 'yes', '1', '', ' true '])
csv('a DOUBLE', ['1', '1.5', '1e5', 'NaN', '', ' 2.5 ', 'x', '1d', '0x1p3', 'Infinity'])
csv('a FLOAT', ['0.1', '1e40'])
csv('a BIGINT', ['9007199254740993', '9223372036854775808', '-5', '', '1e3'])
csv('a TINYINT', ['127', '128'])
csv('a SMALLINT', ['32767', '32768'])
csv('a DECIMAL(10, 2)', ['1', '1.555', '123456789.99', 'x', '', '1e2', ' 3.3 '])
csv('a DECIMAL(30, 10)', ['12345678901234567890.0123456789'])
csv('a DATE', ['2020-02-29', '2019-02-29', '2020-2-9', '', ' 2020-02-29 '])
csv('a TIME', ['10:11:12', '10:11', '10:11:12.5', ''])
csv('a TIMESTAMP(3)', [
  '2020-02-29 10:11:12',
  '2020-02-29 10:11:12.5',
  '2020-02-29 10:11:12.123456',
  '2020-02-29T10:11:12',
  '2020-02-29 10:11',
  '2020-02-29',
  '2020-2-9 1:2:3',
  '',
  ' 2020-02-29 10:11:12 ',
  '2019-02-29 00:00:00',
])
csv('a TIMESTAMP_LTZ(3)', ['2020-02-29 10:11:12Z', '2020-02-29 10:11:12.5Z', '2020-02-29 10:11:12', '2020-02-29T10:11:12Z'])
csv('a BYTES', ['AQID', '!!', '', 'abc'])
csv('a STRING', ['', ' ', '""', 'x', ' x ', '"', '""""'])
csv('a VARCHAR(3)', ['abcdef'])
add('raw', 'a STRING', ['', 'x', ' x ', 'x\r', 'é'])
addHex('raw', 'a STRING', ['ff41'])

export const formatCases: readonly FormatCase[] = cases

/** What the oracle writes: one row as SQL per case. */
export interface WriteCase {
  readonly format: 'json' | 'csv'
  readonly options: Readonly<Record<string, string>>
  readonly columns: string
  readonly row: string
}
const writes: WriteCase[] = []
const write = (format: WriteCase['format'], columns: string, rows: readonly string[], options: Record<string, string> = {}) => {
  for (const row of rows) writes.push({ format, options, columns, row })
}
for (const format of ['json', 'csv'] as const) {
  write(format, 'a INT, b STRING', [
    "1, 'x'",
    '-5, CAST(NULL AS STRING)',
    "CAST(NULL AS INT), ''",
    "1, 'a,b'",
    `1, 'a"b'`,
    "1, 'a b'",
    "1, ' a '",
    "1, 'é😀'",
    "1, U&'a\\000ab'",
    "1, U&'\\0001\\0009\\007f\\2028'",
    "1, 'a\\b/c'",
    "1, '#x'",
    "1, ''''",
    "1, 'a;b'",
    "1, '-5'",
    "1, 'a\tb'",
  ])
  write(format, 'a DOUBLE', ['CAST(1 AS DOUBLE)', 'CAST(0.1 AS DOUBLE)', '1e7', '1.5e-5', '1e300', '123456789.125e0', "CAST('-0.0' AS DOUBLE)"])
  write(format, 'a FLOAT', ['CAST(0.1 AS FLOAT)', 'CAST(16777216 AS FLOAT)'])
  write(format, 'a BIGINT, b BOOLEAN', ['9007199254740993, TRUE', 'CAST(NULL AS BIGINT), FALSE'])
  write(format, 'a DECIMAL(20, 8)', ['CAST(1.5 AS DECIMAL(20, 8))', 'CAST(0.00000001 AS DECIMAL(20, 8))', 'CAST(0 AS DECIMAL(20, 8))'])
  write(format, 'a DECIMAL(10, 2)', ['CAST(1.5 AS DECIMAL(10, 2))', 'CAST(100 AS DECIMAL(10, 2))'])
  write(format, 'a DATE, b TIME', ["DATE '2020-02-29', TIME '10:11:12'", "DATE '0001-01-01', TIME '00:00:00'"])
  for (const standard of format === 'json' ? ['SQL', 'ISO-8601'] : ['']) {
    const options: Record<string, string> = standard === '' ? {} : { 'json.timestamp-format.standard': standard }
    write(
      format,
      'a TIMESTAMP(3)',
      [
        "TIMESTAMP '2020-02-29 10:11:12.500'",
        "TIMESTAMP '2020-02-29 10:11:12'",
        "TIMESTAMP '2020-02-29 10:11:00'",
        "TIMESTAMP '2020-02-29 00:00:00.120'",
      ],
      options,
    )
    write(format, 'a TIMESTAMP_LTZ(3)', ['TO_TIMESTAMP_LTZ(1582971072500, 3)', 'TO_TIMESTAMP_LTZ(1582971072000, 3)'], options)
  }
  write(format, 'a BYTES', ["X'010203'", "X'ff'"])
}
write('csv', 'a INT, b STRING', ['1, CAST(NULL AS STRING)', "CAST(NULL AS INT), 'n/a'"], { 'csv.null-literal': 'n/a' })
write('csv', 'a INT, b STRING', ["1, 'a;b'", "1, 'a,b'"], { 'csv.field-delimiter': ';' })
write('csv', 'a INT, b STRING', ["1, 'a''b'", "1, 'a,b'"], { 'csv.quote-character': "'" })
write('csv', 'a INT, b STRING', ["1, 'a,b'", `1, 'a"b'`], { 'csv.disable-quote-character': 'true' })
write('csv', 'a INT, b STRING', [`1, 'a"b'`, "1, 'a\\b'", "1, 'a,b'"], { 'csv.escape-character': '\\' })
write('json', 'a INT, b STRING', ['1, CAST(NULL AS STRING)'], { 'json.encode.ignore-null-fields': 'true' })
write('json', 'a DECIMAL(20, 8)', ['CAST(0.00000001 AS DECIMAL(20, 8))'], { 'json.encode.decimal-as-plain-number': 'true' })

export const writeCases: readonly WriteCase[] = writes

if (import.meta.main) process.stdout.write(JSON.stringify({ read: cases, write: writes }))
