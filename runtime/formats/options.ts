import { FlinkError, nearestName } from '../common/errors.ts'
import type { FormatOptions } from './format.ts'

/** Reads the options of one format, by Flink's keys; what nobody asked for is refused by name. */
export class FormatOptionReader {
  private readonly format: string
  private readonly options: FormatOptions
  private readonly known: string[] = []

  constructor(format: string, options: FormatOptions) {
    this.format = format
    this.options = options
  }

  text(key: string): string | undefined {
    const name = `${this.format}.${key}`
    this.known.push(name)
    return Object.hasOwn(this.options, name) ? this.options[name] : undefined
  }

  flag(key: string, defaultValue: boolean): boolean {
    const value = this.text(key)
    if (value === undefined) return defaultValue
    const lower = value.toLowerCase()
    if (lower === 'true' || lower === 'false') return lower === 'true'
    throw this.invalid(key, value, 'true or false')
  }

  choice<T extends string>(key: string, choices: readonly T[], defaultValue: T): T {
    const value = this.text(key)
    if (value === undefined) return defaultValue
    const found = choices.find(choice => choice === value)
    if (found === undefined) throw this.invalid(key, value, choices.join(', '))
    return found
  }

  /** One ASCII character: a separator of bytes. */
  character(key: string, defaultValue: string): number {
    const value = this.text(key) ?? defaultValue
    const plain = value === '\\t' ? '\t' : value
    if (plain.length !== 1 || plain.charCodeAt(0) > 127) throw this.invalid(key, value, 'one ASCII character')
    return plain.charCodeAt(0)
  }

  refuse(key: string): void {
    if (this.text(key) !== undefined)
      throw new FlinkError('UNSUPPORTED', `option ${this.format}.${key} is not supported`, { option: `${this.format}.${key}` })
  }

  /** Asked for last: options of the format that no reader knows. */
  end(): void {
    for (const name of Object.keys(this.options)) {
      if (!name.startsWith(`${this.format}.`) || this.known.includes(name)) continue
      const near = nearestName(name, this.known)
      throw new FlinkError(
        'INVALID_CONFIGURATION',
        `format ${this.format} has no option ${name}${near === undefined ? '' : `, did you mean ${near}`}`,
        {
          option: name,
        },
      )
    }
  }

  invalid(key: string, value: string, expected: string): FlinkError {
    return new FlinkError('INVALID_CONFIGURATION', `option ${this.format}.${key} is ${expected}, not ${JSON.stringify(value)}`, {
      option: `${this.format}.${key}`,
    })
  }
}
