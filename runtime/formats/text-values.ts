/** Values from text by Java's rules, for what the fast loops do not read themselves. Undefined or NaN-like answers mean "does not convert". */
const integerPattern = /^[+-]?\d+$/
const doublePattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[dDfF]?$/
const decimalPattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,10}))?$/

/** Java's trim: everything up to the blank, at both ends. */
export function trimmed(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && text.charCodeAt(from) <= 32) from++
  while (to > from && text.charCodeAt(to - 1) <= 32) to--
  return text.slice(from, to)
}

export function integerOf(text: string, min: bigint, max: bigint): bigint | undefined {
  if (!integerPattern.test(text)) return undefined
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text)
  return value < min || value > max ? undefined : value
}

export function doubleOf(text: string): number | undefined {
  const plain = trimmed(text)
  if (doublePattern.test(plain)) return Number(/[dDfF]$/.test(plain) ? plain.slice(0, -1) : plain)
  const named = /^([+-]?)(NaN|Infinity)$/.exec(plain)
  if (named === null) return undefined
  const value = named[2] === 'NaN' ? Number.NaN : Number.POSITIVE_INFINITY
  return named[1] === '-' ? -value : value
}

/** The unscaled value, rounded half up; 'overflow' when it has more digits than `precision`. */
export function decimalOf(text: string, precision: number, scale: number): bigint | 'overflow' | undefined {
  const match = decimalPattern.exec(text)
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = match
  const digits = `${whole}${fraction}`.replace(/^0+(?=.)/, '')
  if (whole === '' && fraction === '') return undefined
  const unscaled = BigInt(digits)
  if (unscaled === 0n) return 0n
  // Places that the digits move to the left; bounded before any power is made.
  const move = scale - fraction.length + Number(exponentText)
  if (digits.length + move > precision + 1) return 'overflow'
  if (digits.length + move < 0) return 0n
  const value = move >= 0 ? unscaled * 10n ** BigInt(move) : roundedHalfUp(unscaled, 10n ** BigInt(-move))
  if (value >= 10n ** BigInt(precision)) return 'overflow'
  return sign === '-' ? -value : value
}

function roundedHalfUp(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor
  return (value - quotient * divisor) * 2n >= divisor ? quotient + 1n : quotient
}

const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export function base64Of(text: string): Uint8Array | undefined {
  return base64Pattern.test(text) ? bytesOfBase64(text) : undefined
}

function bytesOfBase64(text: string): Uint8Array {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}
