import { FlinkError } from '../common/errors.ts'

/**
 * A value that does not fit its type. It is thrown where the value lies; each container on the way out puts its own step in front,
 * so that the message names the whole path (`value.items[3].owner`) while nothing is kept for it per record.
 */
export class UnsupportedValueError extends FlinkError {
  private path: string
  private readonly rest: string

  constructor(rest: string) {
    super('UNSUPPORTED_VALUE', `value ${rest}`)
    this.path = ''
    this.rest = rest
  }

  within(step: string): this {
    this.path = step + this.path
    this.message = `value${this.path} ${this.rest}`
    return this
  }
}

/** To be thrown by a container's `catch`: passes everything else on as it is. */
export function within(error: unknown, step: string): unknown {
  return error instanceof UnsupportedValueError ? error.within(step) : error
}

export function mismatch(declared: string, value: unknown): UnsupportedValueError {
  return new UnsupportedValueError(`cannot be written as ${declared}: it is ${describeKind(value)}${hint(declared, value)}`)
}

function hint(declared: string, value: unknown): string {
  if (declared === 'LONG' && typeof value === 'number') return ' (a LONG is a bigint; numbers are SAFE_LONG)'
  if (declared !== 'LONG' && typeof value === 'bigint') return ' (only LONG is a bigint)'
  return ''
}

/** `a string`, `null`, `the number 1.5`, `a Map`, `an instance of Order`. */
export function describeKind(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'number') return `the number ${Object.is(value, -0) ? '-0' : value}`
  if (typeof value !== 'object') return `a ${typeof value}`
  if (Array.isArray(value)) return `an array of ${value.length}`
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return 'an object'
  const name: unknown = (prototype as object).constructor?.name // a prototype is an object
  if (name === undefined || name === 'Object') return 'an object with a prototype of its own'
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an instance of a class'
}

const identifier = /^[A-Za-z_$][\w$]*$/

export function propertyStep(key: string): string {
  return identifier.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}
