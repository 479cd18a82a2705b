/** The text of a double as Java's `Double.toString` (19 and later: shortest digits) writes it: `1.0`, `1.0E7`, `1.5E-5`, `NaN`. */
export function doubleText(value: number): string {
  const size = Math.abs(value)
  // Java writes at least two digits: the nearest two are not 5.0.
  return javaText(value, size === Number.MIN_VALUE ? '4.9e-324' : String(size))
}

/** The same for a float, whose shortest digits are fewer. */
export function floatText(value: number): string {
  return javaText(value, shortestFloat(Math.abs(value)))
}

function javaText(value: number, shortest: string): string {
  if (Number.isNaN(value)) return 'NaN'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  if (!Number.isFinite(value)) return `${sign}Infinity`
  if (value === 0) return `${sign}0.0`
  const [mantissa = '', exponentText = '0'] = shortest.split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const all = (whole + fraction).replace(/^0+/, '')
  const leading = whole === '0' ? -((/^0*/.exec(fraction)?.[0] ?? '').length + 1) : whole.length - 1
  const exponent = leading + Number(exponentText)
  const digits = all.replace(/0+$/, '')
  if (exponent >= -3 && exponent < 7) {
    if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
    return `${sign}${digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')}.${digits.slice(exponent + 1) || '0'}`
  }
  return `${sign}${digits[0] ?? '0'}.${digits.slice(1) || '0'}E${exponent}`
}

/** The fewest digits that read back as the same float. */
export function shortestFloat(value: number): string {
  for (let precision = 1; precision < 10; precision++) {
    const text = value.toPrecision(precision)
    if (Math.fround(Number(text)) === value) return String(Number(text))
  }
  return String(value)
}
