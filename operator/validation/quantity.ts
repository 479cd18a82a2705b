/** Kubernetes' quantities (`500m`, `2Gi`, `1e3`), exactly: as whole numbers of nano, which is the smallest unit that it keeps. */
const QUANTITY = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?$/

const decimal = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']
const binary = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

export class Quantity {
  readonly nanos: bigint

  constructor(nanos: bigint) {
    this.nanos = nanos
  }
}

/** Undefined = it is none. What is finer than a nano is rounded up, as Kubernetes does. */
export function parseQuantity(text: string): Quantity | undefined {
  const [, sign, whole, fraction = '', suffix = ''] = QUANTITY.exec(text) ?? []
  if (whole === undefined || `${whole}${fraction}` === '') return undefined
  const [factor, exponent] = factorOf(suffix)
  const digits = BigInt(`${whole}${fraction}`) * factor
  const scale = exponent - fraction.length + 9
  const size = scale >= 0 ? digits * 10n ** BigInt(scale) : dividedUp(digits, 10n ** BigInt(-scale))
  return new Quantity(sign === '-' ? -size : size)
}

/** As a factor and a power of ten. */
function factorOf(suffix: string): readonly [bigint, number] {
  if (/^[eE][+-]?[0-9]/.test(suffix)) return [1n, Math.max(-1_000, Math.min(1_000, Number(suffix.slice(1))))]
  const power = binary.indexOf(suffix)
  if (power > 0) return [1024n ** BigInt(power), 0]
  return [1n, 3 * (decimal.indexOf(suffix) - decimal.indexOf(''))]
}

function dividedUp(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by
}
