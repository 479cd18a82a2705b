import type { TypeJson } from '../serde/type-information.ts'

/**
 * Text of a row as print and text files show it, Flink's way where Flink has one: tuples as `(a,1)`, lists as `[a, b]`, maps as
 * `{k=v}`, doubles and floats as Java writes them. Values of undeclared type go by what they are, arrays as tuples. Objects are JSON
 * unless their class has a `toString` of its own.
 */
export function valueFormatter(type: TypeJson): (value: unknown) => string {
  switch (type.kind) {
    case 'STRING':
      return value => (typeof value === 'string' ? value : undeclaredText(value))
    case 'DOUBLE':
      return value => (typeof value === 'number' ? javaDouble(value, String(Math.abs(value))) : undeclaredText(value))
    case 'FLOAT':
      return value => (typeof value === 'number' ? javaDouble(value, shortestFloat(Math.abs(value))) : undeclaredText(value))
    case 'TUPLE': {
      const fields = type.fields.map(valueFormatter)
      return value => (Array.isArray(value) ? `(${fields.map((format, i) => format(value[i])).join(',')})` : undeclaredText(value))
    }
    case 'LIST': {
      const format = valueFormatter(type.element)
      return value => (Array.isArray(value) ? `[${value.map(format).join(', ')}]` : undeclaredText(value))
    }
    case 'MAP': {
      const key = valueFormatter(type.key)
      const item = valueFormatter(type.value)
      return value => (value instanceof Map ? `{${[...value].map(([k, v]) => `${key(k)}=${item(v)}`).join(', ')}}` : undeclaredText(value))
    }
    default:
      return undeclaredText
  }
}

function undeclaredText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return 'null'
  if (typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return `(${value.map(undeclaredText).join(',')})`
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof Map) return `{${[...value].map(([k, v]) => `${undeclaredText(k)}=${undeclaredText(v)}`).join(', ')}}`
  if (value instanceof Set) return `[${[...value].map(undeclaredText).join(', ')}]`
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return `[${Array.from(value as Uint8Array, String).join(', ')}]`
  return typeof value.toString === 'function' && value.toString !== Object.prototype.toString ? String(value) : objectText(value)
}

/** JSON that also takes bigints, as bare digits. Parts that JSON has no form for are shown as text. */
function objectText(value: object): string {
  const fields = Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}:${fieldText(field)}`)
  return `{${fields.join(',')}}`
}

function fieldText(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return `[${value.map(fieldText).join(',')}]`
  if (typeof value === 'object' && (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null))
    return objectText(value)
  return JSON.stringify(undeclaredText(value))
}

/** Java's `Double.toString`: always a fraction, scientific from 10^7 and below 10^-3. `digits` is the shortest text of the absolute value. */
function javaDouble(value: number, digits: string): string {
  if (Number.isNaN(value)) return 'NaN'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const size = Math.abs(value)
  if (size === Number.POSITIVE_INFINITY) return `${sign}Infinity`
  if (size === 0) return `${sign}0.0`
  const [mantissa = '', power = '0'] = digits.split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const significant = (whole + fraction).replace(/^0+/, '')
  const leadingZeros = (whole + fraction).length - significant.length
  // value = 0.d1d2d3… * 10^exponent
  const exponent = whole.length - leadingZeros + Number(power)
  const trimmed = significant.replace(/0+$/, '')
  if (size >= 1e-3 && size < 1e7) {
    const padded = exponent > 0 ? trimmed.padEnd(exponent, '0') : '0'.repeat(1 - exponent) + trimmed
    const point = Math.max(1, exponent)
    return `${sign}${padded.slice(0, point)}.${padded.slice(point) || '0'}`
  }
  return `${sign}${trimmed[0]}.${trimmed.slice(1) || '0'}E${exponent - 1}`
}

/** Fewest digits that still read back as the same float. */
function shortestFloat(value: number): string {
  const float = Math.fround(value)
  for (let precision = 1; precision < 9; precision++) {
    const text = float.toPrecision(precision)
    if (Math.fround(Number(text)) === float) return text.replace('e+', 'e')
  }
  return float.toPrecision(9).replace('e+', 'e')
}
