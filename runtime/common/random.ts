/** The only door to chance. Seeded in simulation and tests; `systemRandom` in production. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [0, bound). */
  nextInt(bound: number): number
  bytes(count: number): Uint8Array
}

/** xoshiro128** seeded by splitmix32: the same sequence on every machine for one seed. */
export function seededRandom(seed: number): Random {
  let s = seed >>> 0
  const mix = () => {
    s = (s + 0x9e3779b9) >>> 0
    let z = s
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  let [a, b, c, d] = [mix(), mix(), mix(), mix()]
  const next32 = () => {
    const x = Math.imul(b, 5)
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0
    const t = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    d = (d << 11) | (d >>> 21)
    return result
  }
  return fromUint32(next32)
}

export const systemRandom: Random = fromUint32(
  () => (Math.random() * 2 ** 32) >>> 0,
  count => crypto.getRandomValues(new Uint8Array(count)),
)

function fromUint32(next32: () => number, bytes?: (count: number) => Uint8Array): Random {
  const next = () => next32() / 2 ** 32
  return {
    next,
    nextInt: bound => Math.floor(next() * bound),
    bytes: bytes ?? (count => Uint8Array.from({ length: count }, () => next32() & 0xff)),
  }
}
