/** DECIMAL(p, s) as its unscaled bigint: 12.50 of scale 2 is 1250n. */

const powers: readonly bigint[] = Array.from({ length: 80 }, (_, i) => 10n ** BigInt(i))

export function powerOfTen(exponent: number): bigint {
  return powers[exponent] ?? 10n ** BigInt(exponent)
}

/** `numerator / denominator` rounded half away from zero, as Flink rounds decimals. */
export function divideHalfUp(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator
  const rest = numerator % denominator
  const twice = (rest < 0n ? -rest : rest) * 2n
  if (twice < (denominator < 0n ? -denominator : denominator)) return quotient
  return numerator < 0n === denominator < 0n ? quotient + 1n : quotient - 1n
}

export function rescale(unscaled: bigint, from: number, to: number): bigint {
  if (from === to) return unscaled
  return from < to ? unscaled * powerOfTen(to - from) : divideHalfUp(unscaled, powerOfTen(from - to))
}

export function fitsPrecision(unscaled: bigint, precision: number): boolean {
  const bound = powerOfTen(precision)
  return unscaled < bound && unscaled > -bound
}

/** `1250n`, 2 -> `12.50`. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString()
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/

/** Reads a decimal text to `scale`, rounding half up; undefined when it is none. */
export function parseDecimal(text: string, scale: number): bigint | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [, sign, whole = '', fraction = '', exponent = '0'] = match
  if (whole === '' && fraction === '') return undefined
  const unscaled = BigInt(`${whole}${fraction}`)
  const from = fraction.length - Number(exponent)
  if (from - scale > 6_000) return 0n
  const value = from < 0 ? rescale(unscaled * powerOfTen(-from), 0, scale) : rescale(unscaled, from, scale)
  return sign === '-' ? -value : value
}

/** The decimal nearest to a double's shortest text, as Java's `BigDecimal.valueOf`; undefined for NaN and infinities. */
export function decimalOfDouble(value: number, scale: number): bigint | undefined {
  return Number.isFinite(value) ? parseDecimal(String(value), scale) : undefined
}

export function decimalToDouble(unscaled: bigint, scale: number): number {
  return scale === 0 ? Number(unscaled) : Number(decimalText(unscaled, scale))
}
