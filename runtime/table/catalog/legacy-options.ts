import { FlinkError } from '../../common/errors.ts'

/**
 * Options of Flink before 1.11 (`connector.type`, `format.type`, …) as today's, so that old DDL runs unchanged. All or nothing: an old option
 * that has no counterpart is refused by name, since dropping it would change what the table means.
 */
export interface CurrentOptions {
  readonly options: Readonly<Record<string, string>>
  readonly legacy: boolean
  /** At most one, naming the mapping. */
  readonly warnings: readonly string[]
}

export function currentOptions(given: Readonly<Record<string, string>>): CurrentOptions {
  const old = Object.keys(given).filter(isLegacy)
  if (old.length === 0) return { options: given, legacy: false, warnings: [] }
  const type = given['connector.type']
  if (type === undefined || given['connector'] !== undefined)
    throw new FlinkError('INVALID_SQL', `old options (${old.join(', ')}) stand without 'connector.type' or beside 'connector'; use one kind only`)
  const connector = connectorOf(type, given['connector.version'])
  const format = given['format.type']
  const options: Record<string, string> = { connector }
  if (format !== undefined) options['format'] = formatOf(format)
  const changed: string[] = []
  for (const [key, value] of Object.entries(given)) {
    const target = isLegacy(key) ? targetOf(key, connector, format) : key
    if (target === null) continue
    options[target] = value
    if (target !== key) changed.push(`'${key}' is '${target}'`)
  }
  const warning = `the table has options of Flink before 1.11; today 'connector' = '${connector}'${changed.length === 0 ? '' : `, ${changed.join(', ')}`}`
  return { options, legacy: true, warnings: [warning] }
}

function isLegacy(key: string): boolean {
  return key.startsWith('connector.') || key.startsWith('format.') || key === 'update-mode' || key.startsWith('schema.')
}

function connectorOf(type: string, version: string | undefined): string {
  if (type === 'filesystem' || type === 'kafka' || type === 'jdbc') return type
  if (type === 'elasticsearch' && (version === '6' || version === '7')) return `elasticsearch-${version}`
  throw new FlinkError(
    'UNSUPPORTED',
    `'connector.type' = '${type}'${version === undefined ? '' : ` with 'connector.version' = '${version}'`} is not supported`,
  )
}

function formatOf(type: string): string {
  if (type === 'csv' || type === 'json' || type === 'avro') return type
  throw new FlinkError('UNSUPPORTED', `'format.type' = '${type}' is not supported`)
}

/** Said by the type, or true of every table today. */
const dropped = new Set([
  'connector.type',
  'connector.version',
  'connector.property-version',
  'format.type',
  'format.property-version',
  'format.derive-schema',
  'update-mode',
])

const targets: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  filesystem: { 'connector.path': 'path' },
  kafka: {
    'connector.topic': 'topic',
    'connector.startup-mode': 'scan.startup.mode',
    'connector.specific-offsets': 'scan.startup.specific-offsets',
    'connector.startup-timestamp-millis': 'scan.startup.timestamp-millis',
    'connector.sink-partitioner': 'sink.partitioner',
  },
  jdbc: {
    'connector.url': 'url',
    'connector.table': 'table-name',
    'connector.driver': 'driver',
    'connector.username': 'username',
    'connector.password': 'password',
    'connector.read.partition.column': 'scan.partition.column',
    'connector.read.partition.num': 'scan.partition.num',
    'connector.read.partition.lower-bound': 'scan.partition.lower-bound',
    'connector.read.partition.upper-bound': 'scan.partition.upper-bound',
    'connector.read.fetch-size': 'scan.fetch-size',
    'connector.write.flush.max-rows': 'sink.buffer-flush.max-rows',
    'connector.write.flush.interval': 'sink.buffer-flush.interval',
    'connector.write.max-retries': 'sink.max-retries',
  },
  elasticsearch: {
    'connector.hosts': 'hosts',
    'connector.index': 'index',
    'connector.document-type': 'document-type',
    'connector.key-delimiter': 'document-id.key-delimiter',
    'connector.flush-on-checkpoint': 'sink.flush-on-checkpoint',
    'connector.bulk-flush.max-actions': 'sink.bulk-flush.max-actions',
    'connector.bulk-flush.max-size': 'sink.bulk-flush.max-size',
    'connector.bulk-flush.interval': 'sink.bulk-flush.interval',
  },
  csv: {
    'format.field-delimiter': 'csv.field-delimiter',
    'format.quote-character': 'csv.quote-character',
    'format.disable-quote-character': 'csv.disable-quote-character',
    'format.allow-comments': 'csv.allow-comments',
    'format.ignore-parse-errors': 'csv.ignore-parse-errors',
    'format.array-element-delimiter': 'csv.array-element-delimiter',
    'format.escape-character': 'csv.escape-character',
    'format.null-literal': 'csv.null-literal',
  },
  json: { 'format.fail-on-missing-field': 'json.fail-on-missing-field', 'format.ignore-parse-errors': 'json.ignore-parse-errors' },
  avro: {},
}

/** Today's key; null when nothing needs to be said any more. */
function targetOf(key: string, connector: string, format: string | undefined): string | null {
  if (dropped.has(key)) return null
  if (connector === 'kafka' && key.startsWith('connector.properties.') && !/^connector\.properties\.\d/.test(key)) {
    const property = key.slice('connector.properties.'.length)
    return property === 'zookeeper.connect' ? null : `properties.${property}`
  }
  const table = key.startsWith('format.') ? (format ?? '') : connector.replace(/-\d$/, '')
  const target = Object.hasOwn(targets, table) ? targets[table]?.[key] : undefined
  if (target !== undefined) return target
  throw new FlinkError('UNSUPPORTED', `the old option '${key}' of a ${connector} table has no counterpart today`, { option: key })
}
