import { FlinkError, nearestName } from './errors.ts'
import { deprecatedKeys, isFlinkKey } from './options-flink.ts'

/**
 * Configuration in Flink's keys. Every room exports a table of `ConfigOption`s; the entry point in `bin/` parses all layers once, reports
 * every problem together and hands a `Configuration` down. Nothing else reads `process.env` or a file.
 *
 * Layers, weakest first: the option's default, `config.yaml`, the client (`-p`, `-D`, a manifest), `env` in code, one operator. A later
 * layer wins key by key, and `originOf` remembers which one it was, so that `millrace info` can say it.
 *
 * What is refused, by name: a key that nobody knows (with the nearest known one), a key of Flink's that Millrace does not build yet, a
 * value that does not parse. Spellings of Flink 1.x are mapped to today's with a warning.
 */
export type OptionType = 'string' | 'int' | 'double' | 'boolean' | 'duration' | 'memory' | 'list' | 'enum'

export interface ConfigOption<T> {
  readonly key: string
  readonly type: OptionType
  /** Durations are milliseconds, memory sizes bytes; undefined where Flink says "(none)". */
  readonly defaultValue: T
  readonly doc: string
  /** The values of an `enum`, spelled as they are handed out; matched without regard to case. */
  readonly values?: readonly string[]
  /** What an `enum` takes besides, as it is written. */
  readonly form?: { readonly pattern: RegExp; readonly text: string }
  /** Values of Flink's that an `enum` does not have, in lower case, and why. */
  readonly refusedValues?: Readonly<Record<string, string>>
}

export type OptionTable = readonly ConfigOption<unknown>[]

export const configurationOrigins = ['default', 'file', 'client', 'environment', 'operator'] as const
export type ConfigurationOrigin = (typeof configurationOrigins)[number]

export interface ConfigurationLayer {
  readonly origin: ConfigurationOrigin
  /** For messages: the file's path, `-D`. */
  readonly name: string
  readonly entries: Readonly<Record<string, string>>
}

export interface ParsedConfiguration {
  readonly configuration: Configuration
  /** Each one names its key; empty means that every value parses. */
  readonly problems: string[]
  readonly warnings: string[]
}

export class Configuration {
  private readonly entries: ReadonlyMap<string, string>
  private readonly origins: ReadonlyMap<string, ConfigurationOrigin>

  private constructor(entries: ReadonlyMap<string, string>, origins: ReadonlyMap<string, ConfigurationOrigin>) {
    this.entries = entries
    this.origins = origins
  }

  static readonly empty = new Configuration(new Map(), new Map())

  static parse(entries: Readonly<Record<string, string>>, tables: readonly OptionTable[]): ParsedConfiguration {
    return Configuration.parseLayers([{ origin: 'client', name: '', entries }], tables)
  }

  /** `layers` from the weakest to the strongest. */
  static parseLayers(layers: readonly ConfigurationLayer[], tables: readonly OptionTable[]): ParsedConfiguration {
    const options = new Map<string, ConfigOption<unknown>>()
    for (const table of tables) for (const option of table) options.set(option.key, option)
    const entries = new Map<string, string>()
    const origins = new Map<string, ConfigurationOrigin>()
    const problems: string[] = []
    const warnings: string[] = []
    for (const layer of layers) {
      const where = layer.name === '' ? '' : ` (${layer.name})`
      for (const [key, value] of Object.entries(layer.entries)) {
        const targets = options.has(key) ? [key] : (deprecatedKeys[key] ?? [key])
        if (targets[0] !== key) warnings.push(`option ${key}${where} is a deprecated spelling, use ${targets.join(' and ')}`)
        for (const target of targets) {
          const problem = problemWith(target, value, options)
          if (problem === undefined) {
            // Both spellings in one layer: today's wins, wherever it stands.
            if (target !== key && target in layer.entries) continue
            entries.set(target, value)
            origins.set(target, layer.origin)
          } else {
            problems.push(`${problem}${where}`)
          }
        }
      }
    }
    return { configuration: new Configuration(entries, origins), problems, warnings }
  }

  /** For entries that were parsed before and travelled: a deployment's, a job graph's. A bad value surfaces at `get`. */
  static fromObject(entries: Readonly<Record<string, string>>, origin: ConfigurationOrigin = 'client'): Configuration {
    const keys = Object.keys(entries)
    return new Configuration(new Map(Object.entries(entries)), new Map(keys.map(key => [key, origin])))
  }

  get<T>(option: ConfigOption<T>): T {
    const text = this.entries.get(option.key)
    if (text === undefined) return option.defaultValue
    // The option's type promises T: `parseOptionValue` is the only maker of values.
    return parseOptionValue(option, text) as T
  }

  has(key: string): boolean {
    return this.entries.has(key)
  }

  /** Where the value in effect comes from. */
  originOf(key: string): ConfigurationOrigin {
    return this.origins.get(key) ?? 'default'
  }

  /** This configuration with `entries` on top. */
  with(entries: Readonly<Record<string, string>>, origin: ConfigurationOrigin): Configuration {
    const merged = new Map(this.entries)
    const origins = new Map(this.origins)
    for (const [key, value] of Object.entries(entries)) {
      merged.set(key, value)
      origins.set(key, origin)
    }
    return new Configuration(merged, origins)
  }

  /** What was set, by key; defaults are not in it. */
  toObject(): Record<string, string> {
    return Object.fromEntries([...this.entries].sort(([a], [b]) => (a < b ? -1 : 1)))
  }
}

/** Throws all problems as one error; callers that can show a list do so themselves. */
export function requireNoProblems(problems: readonly string[]): void {
  if (problems.length === 0) return
  const [first, ...rest] = problems
  throw new FlinkError(
    'INVALID_CONFIGURATION',
    rest.length === 0 ? `${first}` : `the configuration has ${problems.length} problems:\n  ${problems.join('\n  ')}`,
  )
}

function problemWith(key: string, value: string, options: ReadonlyMap<string, ConfigOption<unknown>>): string | undefined {
  const option = options.get(key)
  if (option === undefined) {
    if (isFlinkKey(key)) return `option ${key} is not supported yet`
    const near = nearestName(key, options.keys())
    return near === undefined ? `unknown option ${key}` : `unknown option ${key}, did you mean ${near}?`
  }
  try {
    parseOptionValue(option, value)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

export function parseOptionValue(option: ConfigOption<unknown>, text: string): unknown {
  const value = text.trim()
  const wrong = (expected: string): FlinkError =>
    new FlinkError('INVALID_CONFIGURATION', `option ${option.key}: expected ${expected}, got ${JSON.stringify(text)}`, {
      key: option.key,
      value: text,
    })
  switch (option.type) {
    case 'string':
      return value
    case 'int': {
      const number = Number(value)
      if (!/^[+-]?\d+$/.test(value) || !Number.isSafeInteger(number)) throw wrong('a whole number')
      return number
    }
    case 'double': {
      const number = Number(value)
      if (value === '' || Number.isNaN(number)) throw wrong('a number')
      return number
    }
    case 'boolean': {
      const lower = value.toLowerCase()
      if (lower !== 'true' && lower !== 'false') throw wrong('true or false')
      return lower === 'true'
    }
    case 'duration': {
      const ms = durationOf(value)
      if (ms === undefined) throw wrong('a duration such as "10 s", "200 ms" or "5 min"')
      return ms
    }
    case 'memory': {
      const bytes = memorySizeOf(value)
      if (bytes === undefined) throw wrong('a memory size such as "64 mb" or "1 g"')
      return bytes
    }
    case 'list':
      return listOf(value)
    case 'enum': {
      const found = option.values?.find(candidate => candidate.toLowerCase() === value.toLowerCase())
      if (found === undefined && option.form?.pattern.test(value) === true) return value
      const refusal = option.refusedValues?.[value.toLowerCase()]
      if (found === undefined && refusal !== undefined) throw new FlinkError('UNSUPPORTED', `option ${option.key}: ${refusal}`, { key: option.key })
      if (found === undefined)
        throw wrong(`one of ${[...(option.values ?? []), ...(option.form === undefined ? [] : [option.form.text])].join(', ')}`)
      return found
    }
  }
}

/** `5 s`, `200 ms`, `1 min`, `2 h`, `1 d`, ISO `PT5S`; a bare number is milliseconds, as in Flink. Answers milliseconds. */
export function parseDuration(value: string | number): number {
  const ms = typeof value === 'number' ? (Number.isFinite(value) && value >= 0 ? value : undefined) : durationOf(value.trim())
  if (ms === undefined)
    throw new FlinkError('INVALID_ARGUMENT', `duration ${JSON.stringify(value)} does not parse, expected for example "5 s", "200 ms" or "1 min"`)
  return ms
}

/** `64 mb`, `1 g`, `512k`; a bare number is bytes; units are powers of 1024, as in Flink. Answers bytes. */
export function parseMemorySize(text: string): number {
  const bytes = memorySizeOf(text.trim())
  if (bytes === undefined)
    throw new FlinkError('INVALID_ARGUMENT', `memory size ${JSON.stringify(text)} does not parse, expected for example "64 mb" or "1 g"`)
  return bytes
}

const durationUnits: Readonly<Record<string, number>> = withNames([
  [86_400_000, ['d', 'day', 'days']],
  [3_600_000, ['h', 'hour', 'hours']],
  [60_000, ['m', 'min', 'minute', 'minutes']],
  [1_000, ['s', 'sec', 'secs', 'second', 'seconds']],
  [1, ['', 'ms', 'milli', 'millis', 'millisecond', 'milliseconds']],
  [1e-3, ['µs', 'micro', 'micros', 'microsecond', 'microseconds']],
  [1e-6, ['ns', 'nano', 'nanos', 'nanosecond', 'nanoseconds']],
])

const memoryUnits: Readonly<Record<string, number>> = withNames([
  [1, ['', 'b', 'bytes']],
  [2 ** 10, ['k', 'kb', 'kibibytes']],
  [2 ** 20, ['m', 'mb', 'mebibytes']],
  [2 ** 30, ['g', 'gb', 'gibibytes']],
  [2 ** 40, ['t', 'tb', 'tebibytes']],
])

function withNames(units: readonly (readonly [number, readonly string[]])[]): Record<string, number> {
  return Object.fromEntries(units.flatMap(([factor, names]) => names.map(name => [name, factor])))
}

function durationOf(text: string): number | undefined {
  const iso = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/i.exec(text)
  if (iso !== null && text.length > 1 && !/T$/i.test(text)) {
    const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = iso
    return Number(days) * 86_400_000 + Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1_000
  }
  return scaled(text, durationUnits)
}

function memorySizeOf(text: string): number | undefined {
  if (text.toLowerCase() === 'infinite') return Number.MAX_SAFE_INTEGER
  return scaled(text, memoryUnits)
}

function scaled(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+)\s*([^\d\s]*)$/.exec(text)
  if (match === null) return undefined
  const [, digits = '', unit = ''] = match
  const factor = Object.hasOwn(units, unit.toLowerCase()) ? units[unit.toLowerCase()] : undefined
  if (factor === undefined) return undefined
  // Below one millisecond a division keeps 5 us at 0.005; the product would be 0.005000000000000001.
  const result = factor < 1 ? Number(digits) / Math.round(1 / factor) : Number(digits) * factor
  return result <= Number.MAX_SAFE_INTEGER ? result : undefined
}

function listOf(text: string): string[] {
  const yaml = /^\[(.*)\]$/s.exec(text)
  const parts = yaml === null ? text.split(';') : (yaml[1] ?? '').split(',').map(part => part.trim().replace(/^(['"])(.*)\1$/, '$2'))
  return parts.map(part => part.trim()).filter(part => part !== '')
}

/** The flat and the nested form of a YAML file (and any mix of them) as flat entries. Lists are joined by `;`, Flink's separator. */
export function flattenConfiguration(document: unknown): Record<string, string> {
  const flat: Record<string, string> = {}
  if (document === null || document === undefined) return flat
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw new FlinkError('INVALID_CONFIGURATION', 'the configuration is not a map of keys to values')
  }
  flattenInto(flat, '', document)
  return flat
}

function flattenInto(flat: Record<string, string>, prefix: string, node: object): void {
  for (const [name, value] of Object.entries(node)) {
    const key = prefix === '' ? name : `${prefix}.${name}`
    if (value === null || value === undefined) throw new FlinkError('INVALID_CONFIGURATION', `option ${key} has no value`)
    if (Array.isArray(value)) flat[key] = value.map(String).join(';')
    else if (typeof value === 'object') flattenInto(flat, key, value)
    else flat[key] = String(value)
  }
}

/** `-D key=value` arguments. */
export function parseDynamicProperties(properties: readonly string[]): Record<string, string> {
  const entries: Record<string, string> = {}
  for (const property of properties) {
    const at = property.indexOf('=')
    if (at <= 0) throw new FlinkError('INVALID_ARGUMENT', `dynamic property ${JSON.stringify(property)} is not of the form key=value`)
    entries[property.slice(0, at).trim()] = property.slice(at + 1)
  }
  return entries
}
