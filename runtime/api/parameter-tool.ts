import { readFileSync } from 'node:fs'
import { FlinkError } from '../common/errors.ts'

/**
 * Arguments of a program by name: `--host hadoop102 --port 7777` (one dash works too). A name that is followed by another name, or by
 * nothing, is a flag without a value. A negative number is a value.
 */
export class ParameterTool {
  /** null = a name without a value. */
  private readonly values: ReadonlyMap<string, string | null>

  private constructor(values: ReadonlyMap<string, string | null>) {
    this.values = values
  }

  static fromArgs(args: readonly string[]): ParameterTool {
    const values = new Map<string, string | null>()
    for (let i = 0; i < args.length; ) {
      const name = nameOf(args[i] ?? '')
      if (name === undefined)
        throw new FlinkError('INVALID_ARGUMENT', `arguments are given as --name value, got '${args[i]}'${i > 0 ? ` after '${args[i - 1]}'` : ''}`)
      if (name === '') throw new FlinkError('INVALID_ARGUMENT', `argument '${args[i]}' has no name`)
      const next = args[i + 1]
      const hasValue = next !== undefined && nameOf(next) === undefined
      values.set(name, hasValue ? next : null)
      i += hasValue ? 2 : 1
    }
    return new ParameterTool(values)
  }

  static fromMap(map: Readonly<Record<string, string>>): ParameterTool {
    return new ParameterTool(new Map(Object.entries(map)))
  }

  /** Lines `name=value`; `#` starts a comment line. */
  static fromPropertiesFile(path: string): ParameterTool {
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (cause) {
      throw new FlinkError('NOT_FOUND', `properties file ${path} cannot be read`, { path }, cause)
    }
    const values = new Map<string, string>()
    for (const line of text.split(/\r?\n/)) {
      const match = /^\s*([^#!=:\s][^=:]*?)\s*[=:]\s*(.*?)\s*$/.exec(line)
      if (match !== null) values.set(match[1] ?? '', match[2] ?? '')
    }
    return new ParameterTool(values)
  }

  has(name: string): boolean {
    return this.values.has(name)
  }

  get(name: string): string | undefined
  get(name: string, defaultValue: string): string
  get(name: string, defaultValue?: string): string | undefined {
    const value = this.values.get(name)
    if (value === null) throw new FlinkError('INVALID_ARGUMENT', `argument --${name} has no value`)
    return value ?? defaultValue
  }

  getRequired(name: string): string {
    const value = this.get(name)
    if (value === undefined) {
      const given = [...this.values.keys()].map(each => `--${each}`).join(' ')
      throw new FlinkError('INVALID_ARGUMENT', `argument --${name} is required${given === '' ? '' : `; given are ${given}`}`)
    }
    return value
  }

  /** A whole number; without a default the argument is required. */
  getInt(name: string, defaultValue?: number): number {
    return this.parsed(name, defaultValue, 'a whole number', text =>
      /^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined,
    )
  }

  getLong(name: string, defaultValue?: number): number {
    return this.getInt(name, defaultValue)
  }

  getDouble(name: string, defaultValue?: number): number {
    return this.parsed(name, defaultValue, 'a number', text => (text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text)))
  }

  /** `--verbose` alone is true. */
  getBoolean(name: string, defaultValue?: boolean): boolean {
    if (this.values.get(name) === null) return true
    return this.parsed(name, defaultValue, 'true or false', text => {
      const lower = text.toLowerCase()
      return lower === 'true' ? true : lower === 'false' ? false : undefined
    })
  }

  toMap(): Record<string, string> {
    return Object.fromEntries([...this.values].map(([name, value]) => [name, value ?? 'true']))
  }

  private parsed<T>(name: string, defaultValue: T | undefined, expected: string, parse: (text: string) => T | undefined): T {
    if (!this.has(name) && defaultValue !== undefined) return defaultValue
    const text = this.getRequired(name)
    const value = parse(text)
    if (value === undefined) throw new FlinkError('INVALID_ARGUMENT', `argument --${name}: expected ${expected}, got '${text}'`)
    return value
  }
}

function nameOf(argument: string): string | undefined {
  if (argument.startsWith('--')) return argument.slice(2)
  // -5 and -0.5 are values; -host is a name.
  if (argument.startsWith('-') && argument.length > 1 && Number.isNaN(Number(argument))) return argument.slice(1)
  return undefined
}
