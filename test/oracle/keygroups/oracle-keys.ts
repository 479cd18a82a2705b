import type { TypeInformation } from '../../../runtime/serde/type-information.ts'
import { Types } from '../../../runtime/serde/types.ts'

/** The keys of KeyGroupOracle.java, generated again: that file says how. A change here is a change there, and a new expected.txt. */
export const KEYS_PER_TYPE = 10_000

export interface OracleKeys {
  readonly type: TypeInformation
  readonly seed: number
  readonly key: (random: Lcg, i: number) => unknown
}

export class Lcg {
  private state: number

  constructor(seed: number) {
    this.state = seed
  }

  next(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) | 0
    return this.state
  }

  below(bound: number): number {
    return (this.next() >>> 8) % bound
  }

  nextLong(): bigint {
    const high = BigInt(this.next())
    return (high << 32n) | BigInt(this.next() >>> 0)
  }
}

const bits = new DataView(new ArrayBuffer(8))
const longMin = -(2n ** 63n)
const specialLongs = [0n, -1n, 1n, longMin, 2n ** 63n - 1n, 2n ** 53n, -(2n ** 53n), 2n ** 32n]
const specialInts = [0, -1, 1, -(2 ** 31), 2 ** 31 - 1]
const specialDoubles = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MIN_VALUE, Number.MAX_VALUE, 1, -1]
const specialFloats = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** -149, (2 - 2 ** -23) * 2 ** 127, 1, -1]

function longKey(random: Lcg, i: number): bigint {
  return specialLongs[i] ?? (i % 2 === 0 ? random.nextLong() : BigInt(Math.trunc(random.next() / 1000)))
}

function intKey(random: Lcg, i: number): number {
  return specialInts[i] ?? (i % 2 === 0 ? random.next() : i)
}

function doubleKey(random: Lcg, i: number): number {
  const special = specialDoubles[i]
  if (special !== undefined) return special
  if (i % 2 === 1) return random.next() / 128
  bits.setBigInt64(0, random.nextLong())
  return bits.getFloat64(0)
}

function floatKey(random: Lcg, i: number): number {
  const special = specialFloats[i]
  if (special !== undefined) return special
  if (i % 2 === 1) return Math.fround(random.below(2 ** 20) / 128)
  bits.setInt32(0, random.next())
  return bits.getFloat32(0)
}

function stringKey(random: Lcg): string {
  let text = ''
  const length = random.below(24)
  for (let n = 0; n < length; n++) {
    const what = random.below(16)
    if (what < 8) text += String.fromCharCode(0x20 + random.below(95))
    else if (what < 11) text += String.fromCharCode(0xa1 + random.below(0x400))
    else if (what < 14) text += String.fromCharCode(0x4e00 + random.below(0x5000))
    else if (what < 15) text += String.fromCodePoint(0x1f300 + random.below(0x300))
    else text += String.fromCharCode(0xd800 + random.below(0x800))
  }
  return text
}

export const oracleKeys: readonly OracleKeys[] = [
  { type: Types.INT, seed: 1, key: intKey },
  { type: Types.LONG, seed: 2, key: longKey },
  { type: Types.STRING, seed: 3, key: stringKey },
  { type: Types.DOUBLE, seed: 4, key: doubleKey },
  { type: Types.FLOAT, seed: 5, key: floatKey },
  { type: Types.BOOLEAN, seed: 6, key: random => random.below(2) === 1 },
  { type: Types.SHORT, seed: 7, key: random => (random.next() << 16) >> 16 },
  { type: Types.BYTE, seed: 8, key: random => (random.next() << 16) >> 24 },
  {
    type: Types.tuple(Types.STRING, Types.INT),
    seed: 9,
    key: (random, i) => [stringKey(random), intKey(random, i)],
  },
  {
    type: Types.tuple(Types.LONG, Types.DOUBLE, Types.BOOLEAN),
    seed: 10,
    key: (random, i) => {
      const first = longKey(random, i)
      const second = doubleKey(random, i)
      const third = random.below(10)
      return [first, second, third === 9 ? null : third % 2 === 1]
    },
  },
]
