import { parseDuration, parseMemorySize } from '../../common/config.ts'
import type { Property } from '../sql/ast-query.ts'
import { at, candidatesText, notSupportedYet, planError, type SqlPosition } from './plan-error.ts'

/**
 * The options of tables by connector, in Flink's names. One that is unknown, missing or has a value that does not parse is named with its place;
 * one that Flink knows and Millrace does not have yet is refused by name.
 */
export type TableRole = 'source' | 'sink'
type ValueKind = 'string' | 'int' | 'boolean' | 'duration' | 'memory' | readonly string[]

interface ConnectorSpec {
  readonly required: Readonly<Record<string, ValueKind>>
  readonly optional: Readonly<Record<string, ValueKind>>
  readonly refused: readonly string[]
  readonly roles: readonly TableRole[]
  /** Takes `format` and its options. */
  readonly formats: readonly string[]
}

const connectors: Readonly<Record<string, ConnectorSpec>> = {
  filesystem: {
    required: { path: 'string', format: 'string' },
    optional: { 'sink.parallelism': 'int' },
    refused: [
      'source.monitor-interval',
      'source.path.regex-pattern',
      'sink.rolling-policy.file-size',
      'sink.rolling-policy.rollover-interval',
      'auto-compaction',
      'partition.default-name',
    ],
    roles: ['source', 'sink'],
    formats: ['csv', 'json', 'raw'],
  },
  kafka: {
    // Flink's default for the start, committed group offsets, is not there yet: so it is asked for.
    required: {
      topic: 'string',
      'properties.bootstrap.servers': 'string',
      format: 'string',
      'scan.startup.mode': ['earliest-offset', 'latest-offset'],
    },
    optional: { 'scan.bounded.mode': ['unbounded', 'latest-offset'], 'scan.parallelism': 'int' },
    refused: [
      'topic-pattern',
      'key.format',
      'key.fields',
      'key.fields-prefix',
      'value.format',
      'value.fields-include',
      'scan.startup.specific-offsets',
      'scan.startup.timestamp-millis',
      'scan.bounded.specific-offsets',
      'scan.bounded.timestamp-millis',
      'scan.topic-partition-discovery.interval',
    ],
    roles: ['source'],
    formats: ['csv', 'json', 'raw'],
  },
  datagen: {
    required: {},
    optional: { 'rows-per-second': 'int', 'number-of-rows': 'int', 'scan.parallelism': 'int' },
    refused: [],
    roles: ['source'],
    formats: [],
  },
  print: {
    required: {},
    optional: { 'print-identifier': 'string', 'standard-error': 'boolean', 'sink.parallelism': 'int' },
    refused: [],
    roles: ['sink'],
    formats: [],
  },
  blackhole: { required: {}, optional: {}, refused: [], roles: ['sink'], formats: [] },
}

const known = [...Object.keys(connectors)]
const later = [
  'kafka',
  'upsert-kafka',
  'jdbc',
  'elasticsearch-7',
  'hbase-2.2',
  'hive',
  'kinesis',
  'mongodb',
  'redis',
  'mysql-cdc',
  'paimon',
  'iceberg',
]

const formatOptions: Readonly<Record<string, Readonly<Record<string, ValueKind>>>> = {
  csv: {
    'field-delimiter': 'string',
    'disable-quote-character': 'boolean',
    'quote-character': 'string',
    'allow-comments': 'boolean',
    'ignore-parse-errors': 'boolean',
    'array-element-delimiter': 'string',
    'escape-character': 'string',
    'null-literal': 'string',
    'write-bigdecimal-in-scientific-notation': 'boolean',
  },
  json: {
    'fail-on-missing-field': 'boolean',
    'ignore-parse-errors': 'boolean',
    'timestamp-format.standard': ['SQL', 'ISO-8601'],
    'map-null-key.mode': ['FAIL', 'DROP', 'LITERAL'],
    'map-null-key.literal': 'string',
    'encode.decimal-as-plain-number': 'boolean',
    'encode.ignore-null-fields': 'boolean',
    'decode.json-parser.enabled': 'boolean',
  },
  raw: { charset: 'string', endianness: ['big-endian', 'little-endian'] },
}

export interface CheckedOptions {
  readonly connector: string
  readonly options: Readonly<Record<string, string>>
}

/** `fieldNames` are the table's, for options that name one (`fields.id.kind`). */
export function checkOptions(
  table: string,
  properties: readonly Property[],
  place: SqlPosition,
  role: TableRole,
  fieldNames: readonly string[],
): CheckedOptions {
  const options = new Map<string, Property>()
  for (const property of properties) {
    if (options.has(property.key)) throw planError(property.pos, `option '${property.key}' of table '${table}' is given twice`)
    options.set(property.key, property)
  }
  const connectorOption = options.get('connector')
  if (connectorOption === undefined)
    throw planError(place, `table '${table}' has no option 'connector': tables without a connector are not supported yet`)
  const connector = connectorOption.value
  const spec = Object.hasOwn(connectors, connector) ? connectors[connector] : undefined
  if (spec === undefined) {
    if (later.includes(connector)) throw notSupportedYet(connectorOption.pos, `connector '${connector}'`)
    throw planError(connectorOption.pos, `connector '${connector}' is not known${candidatesText(connector, known)}`)
  }
  if (connector === 'kafka' && role === 'sink') throw notSupportedYet(connectorOption.pos, "INSERT INTO a table of connector 'kafka'")
  if (!spec.roles.includes(role)) throw planError(connectorOption.pos, `connector '${connector}' of table '${table}' is no ${role}`)
  for (const key of Object.keys(spec.required))
    if (!options.has(key)) throw planError(place, `table '${table}': connector '${connector}' requires the option '${key}'`)
  const format = spec.formats.length > 0 ? options.get('format') : undefined
  if (format !== undefined && !spec.formats.includes(format.value))
    throw planError(format.pos, `format '${format.value}' is not known for connector '${connector}'${candidatesText(format.value, spec.formats)}`)
  const formatKinds = Object.entries(formatOptions[format?.value ?? ''] ?? {}).map(([key, kind]) => [`${format?.value}.${key}`, kind] as const)
  const kinds = new Map<string, ValueKind>([['connector', 'string'], ...Object.entries({ ...spec.required, ...spec.optional }), ...formatKinds])
  if (connector === 'datagen')
    for (const name of fieldNames) for (const [key, kind] of Object.entries(datagenField)) kinds.set(`fields.${name}.${key}`, kind)
  for (const { key, value, pos } of options.values()) {
    // The kafka source checks them by its own table.
    if (connector === 'kafka' && key.startsWith('properties.')) continue
    if (spec.refused.includes(key)) throw notSupportedYet(pos, `option '${key}' of connector '${connector}'`)
    const kind = kinds.get(key)
    if (kind === undefined) throw planError(pos, `option '${key}' of connector '${connector}' is not known${candidatesText(key, [...kinds.keys()])}`)
    checkValue(key, value, kind, pos)
  }
  return { connector, options: Object.fromEntries([...options.values()].map(({ key, value }) => [key, value])) }
}

const datagenField: Readonly<Record<string, ValueKind>> = {
  kind: ['random', 'sequence'],
  min: 'string',
  max: 'string',
  'max-past': 'duration',
  length: 'int',
  'var-len': 'boolean',
  'null-rate': 'string',
  start: 'string',
  end: 'string',
}

function checkValue(key: string, value: string, kind: ValueKind, pos: SqlPosition): void {
  const wrong = (expected: string) => planError(pos, `option '${key}' is '${value}', expected ${expected}`)
  if (Array.isArray(kind)) {
    if (!kind.includes(value)) throw wrong(kind.join(' or '))
  } else if (kind === 'int') {
    if (!/^\d+$/.test(value)) throw wrong('a whole number')
  } else if (kind === 'boolean') {
    if (value !== 'true' && value !== 'false') throw wrong('true or false')
  } else if (kind === 'duration') {
    at(pos, () => parseDuration(value))
  } else if (kind === 'memory') {
    at(pos, () => parseMemorySize(value))
  }
}
