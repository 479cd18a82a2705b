import { parseDuration, parseMemorySize } from '../../common/config.ts'
import type { Property } from '../sql/ast-query.ts'
import { at, candidatesText, notSupportedYet, planError, type SqlPosition } from './plan-error.ts'

/**
 * The options of tables by connector, in Flink's names. One that is unknown, missing or has a value that does not parse is named with its place;
 * one that Flink knows and Millrace does not have yet is refused by name.
 */
export type TableRole = 'source' | 'sink'
/** `declared`: by CREATE TABLE, when nobody knows yet what the table is for. */
export type TableUse = TableRole | 'declared'
type ValueKind = 'string' | 'int' | 'boolean' | 'duration' | 'memory' | readonly string[]

interface ConnectorSpec {
  readonly required: Readonly<Record<string, ValueKind>>
  readonly optional: Readonly<Record<string, ValueKind>>
  readonly refused: readonly string[]
  /** What one use does not have, when the other does. */
  readonly refusedBy?: Partial<Readonly<Record<TableRole, readonly string[]>>>
  readonly roles: readonly TableRole[]
  /** What `format` may be. */
  readonly formats: readonly string[]
  /** What may stand in front of `format` and its options: one of '' and `value.` is required. */
  readonly formatKeys: readonly string[]
}

const connectors: Readonly<Record<string, ConnectorSpec>> = {
  filesystem: {
    required: { path: 'string' },
    optional: {
      'sink.parallelism': 'int',
      'sink.rolling-policy.file-size': 'memory',
      'sink.rolling-policy.rollover-interval': 'duration',
      'sink.rolling-policy.inactivity-interval': 'duration',
      'sink.rolling-policy.check-interval': 'duration',
    },
    refused: ['source.monitor-interval', 'source.path.regex-pattern', 'auto-compaction', 'compaction.file-size', 'partition.default-name'],
    roles: ['source', 'sink'],
    formats: ['csv', 'json', 'raw'],
    formatKeys: [''],
  },
  kafka: {
    required: { topic: 'string', 'properties.bootstrap.servers': 'string' },
    optional: {
      'scan.startup.mode': ['group-offsets', 'earliest-offset', 'latest-offset', 'timestamp', 'specific-offsets'],
      'scan.startup.specific-offsets': 'string',
      'scan.startup.timestamp-millis': 'int',
      'scan.bounded.mode': ['unbounded', 'latest-offset'],
      'scan.topic-partition-discovery.interval': 'duration',
      'scan.parallelism': 'int',
      'key.fields': 'string',
      'key.fields-prefix': 'string',
      'value.fields-include': ['ALL', 'EXCEPT_KEY'],
      'sink.partitioner': ['default', 'fixed', 'round-robin'],
      'sink.delivery-guarantee': ['none', 'at-least-once', 'exactly-once'],
      'sink.parallelism': 'int',
    },
    refused: ['topic-pattern', 'scan.bounded.specific-offsets', 'scan.bounded.timestamp-millis', 'sink.transactional-id-prefix'],
    refusedBy: { source: ['key.format', 'key.fields', 'key.fields-prefix', 'value.fields-include'] },
    roles: ['source', 'sink'],
    formats: ['csv', 'json', 'raw'],
    formatKeys: ['', 'value.', 'key.'],
  },
  datagen: {
    required: {},
    optional: { 'rows-per-second': 'int', 'number-of-rows': 'int', 'scan.parallelism': 'int' },
    refused: [],
    roles: ['source'],
    formats: [],
    formatKeys: [],
  },
  print: {
    required: {},
    optional: { 'print-identifier': 'string', 'standard-error': 'boolean', 'sink.parallelism': 'int' },
    refused: [],
    roles: ['sink'],
    formats: [],
    formatKeys: [],
  },
  blackhole: { required: {}, optional: {}, refused: [], roles: ['sink'], formats: [], formatKeys: [] },
}

const known = [...Object.keys(connectors)]
const later = ['upsert-kafka', 'jdbc', 'elasticsearch-7', 'hbase-2.2', 'hive', 'kinesis', 'mongodb', 'redis', 'mysql-cdc', 'paimon', 'iceberg']

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

/** `fieldNames` are the table's, for options that name one (`fields.id.kind`). `value.format` comes back as `format`, and its options likewise. */
export function checkOptions(
  table: string,
  properties: readonly Property[],
  place: SqlPosition,
  use: TableUse,
  fieldNames: readonly string[],
): CheckedOptions {
  const options = new Map<string, Property>()
  for (const property of properties) {
    if (options.has(property.key)) throw planError(property.pos, `option '${property.key}' of table '${table}' is given twice`)
    options.set(property.key, property)
  }
  const { connector, spec } = connectorOf(table, options, place)
  if (use !== 'declared' && !spec.roles.includes(use))
    throw planError(options.get('connector')!.pos, `connector '${connector}' of table '${table}' is no ${use}`)
  for (const key of Object.keys(spec.required))
    if (!options.has(key)) throw planError(place, `table '${table}': connector '${connector}' requires the option '${key}'`)
  const kinds = new Map<string, ValueKind>([['connector', 'string'], ...Object.entries({ ...spec.required, ...spec.optional })])
  for (const [key, kind] of formatKinds(table, connector, spec, options, place)) kinds.set(key, kind)
  if (connector === 'datagen')
    for (const name of fieldNames) for (const [key, kind] of Object.entries(datagenField)) kinds.set(`fields.${name}.${key}`, kind)
  for (const { key, value, pos } of options.values()) {
    // Kafka's source and sink check them by their own tables.
    if (connector === 'kafka' && key.startsWith('properties.')) continue
    if (spec.refused.includes(key)) throw notSupportedYet(pos, `option '${key}' of connector '${connector}'`)
    if (use !== 'declared' && spec.refusedBy?.[use]?.includes(key) === true)
      throw notSupportedYet(pos, `option '${key}' of connector '${connector}' where the table is a ${use}`)
    const kind = kinds.get(key)
    if (kind === undefined) throw planError(pos, `option '${key}' of connector '${connector}' is not known${candidatesText(key, [...kinds.keys()])}`)
    checkValue(key, value, kind, pos)
  }
  const guarantee = options.get('sink.delivery-guarantee')
  if (guarantee?.value === 'exactly-once') throw notSupportedYet(guarantee.pos, "'sink.delivery-guarantee' = 'exactly-once'")
  const isValueOption = (key: string) => key === 'value.format' || /^value\.(csv|json|raw)\./.test(key)
  const plain = (key: string) => (isValueOption(key) ? key.slice('value.'.length) : key)
  return { connector, options: Object.fromEntries([...options.values()].map(({ key, value }) => [plain(key), value])) }
}

function connectorOf(table: string, options: ReadonlyMap<string, Property>, place: SqlPosition): { connector: string; spec: ConnectorSpec } {
  const option = options.get('connector')
  if (option === undefined) throw planError(place, `table '${table}' has no option 'connector': tables without a connector are not supported yet`)
  const connector = option.value
  const spec = Object.hasOwn(connectors, connector) ? connectors[connector] : undefined
  if (spec !== undefined) return { connector, spec }
  if (later.includes(connector)) throw notSupportedYet(option.pos, `connector '${connector}'`)
  throw planError(option.pos, `connector '${connector}' is not known${candidatesText(connector, known)}`)
}

/** The options of formats that the table may have, by the formats it names. */
function formatKinds(
  table: string,
  connector: string,
  spec: ConnectorSpec,
  options: ReadonlyMap<string, Property>,
  place: SqlPosition,
): readonly (readonly [string, ValueKind])[] {
  if (spec.formatKeys.length === 0) return []
  const valueFormat = options.get('value.format')
  if (!options.has('format') && valueFormat === undefined)
    throw planError(place, `table '${table}': connector '${connector}' requires the option 'format'`)
  if (options.has('format') && valueFormat !== undefined && spec.formatKeys.includes('value.'))
    throw planError(valueFormat.pos, `options 'format' and 'value.format' of table '${table}' are the same option: give one`)
  return spec.formatKeys.flatMap(prefix => {
    const format = options.get(`${prefix}format`)
    if (format !== undefined && !spec.formats.includes(format.value))
      throw planError(format.pos, `format '${format.value}' is not known for connector '${connector}'${candidatesText(format.value, spec.formats)}`)
    const own = Object.entries(formatOptions[format?.value ?? ''] ?? {})
    return [[`${prefix}format`, 'string'] as const, ...own.map(([key, kind]) => [`${prefix}${format?.value}.${key}`, kind] as const)]
  })
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
    if (key.endsWith('.parallelism') && Number(value) < 1) throw wrong('a whole number from 1 on')
  } else if (kind === 'boolean') {
    if (value !== 'true' && value !== 'false') throw wrong('true or false')
  } else if (kind === 'duration') {
    if (at(pos, () => parseDuration(value)) === 0 && key.startsWith('sink.rolling-policy.')) throw wrong('more than zero')
  } else if (kind === 'memory') {
    if (at(pos, () => parseMemorySize(value)) === 0) throw wrong('more than zero')
  }
}
