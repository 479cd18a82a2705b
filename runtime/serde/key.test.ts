import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { ByteWriter } from '../common/bytes.ts'
import { javaHash, keyBytes, writeKey } from './key.ts'
import type { TypeInformation } from './type-information.ts'
import { Types } from './types.ts'

const hex = (type: TypeInformation, value: unknown) => Buffer.from(keyBytes(type, value)).toString('hex')

/** Values of types whose equality is that of `Object.is` on their parts, so that an independent comparison can be written here. */
const plain: readonly [TypeInformation, fc.Arbitrary<unknown>][] = [
  [Types.STRING, fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\ud83d', '\ude00', '\ufffd'), maxLength: 4 })],
  [Types.INT, fc.integer({ min: -3, max: 3 })],
  [Types.DOUBLE, fc.constantFrom(0, -0, 1, Number.NaN, Number.POSITIVE_INFINITY)],
  [Types.LONG, fc.bigInt({ min: -2n, max: 2n })],
  [Types.tuple(Types.STRING, Types.STRING), fc.tuple(fc.option(fc.string({ maxLength: 2 })), fc.option(fc.string({ maxLength: 2 })))],
  [Types.list(Types.STRING), fc.array(fc.option(fc.string({ maxLength: 1 })), { maxLength: 3 })],
  [
    Types.row({ a: Types.INT, b: Types.list(Types.INT) }),
    fc.record({ a: fc.option(fc.nat(1)), b: fc.option(fc.array(fc.nat(1), { maxLength: 2 })) }),
  ],
  [
    Types.GENERIC,
    fc
      .anything({ values: [fc.nat(2), fc.string({ maxLength: 1 }), fc.boolean()], maxDepth: 2 })
      .filter(value => value !== null && value !== undefined),
  ],
]

describe('keyBytes', () => {
  test.each(plain)('of %s are equal exactly for equal keys', (type, values) => {
    // fast-check's stringify tells apart what is not the same value, -0 and 0 included, and keeps the order of properties.
    const text = (value: unknown) => fc.stringify(sorted(value))
    fc.assert(
      fc.property(values, values, (a, b) => {
        expect(hex(type, a) === hex(type, b)).toBe(text(a) === text(b))
        if (text(a) === text(b)) expect(javaHash(type, a)).toBe(javaHash(type, b))
      }),
      { numRuns: runs(1000) },
    )
  })

  test('of undeclared objects do not depend on the order of properties and entries', () => {
    const a = {
      x: 1,
      y: {
        p: new Map<unknown, unknown>([
          ['k', 1],
          ['l', new Set([1, 2])],
        ]),
        q: [1],
      },
    }
    const b = {
      y: {
        q: [1],
        p: new Map<unknown, unknown>([
          ['l', new Set([2, 1])],
          ['k', 1],
        ]),
      },
      x: 1,
    }
    expect(hex(Types.GENERIC, a)).toBe(hex(Types.GENERIC, b))
    expect(javaHash(Types.GENERIC, a)).toBe(javaHash(Types.GENERIC, b))
    expect(hex(Types.GENERIC, Object.assign(Object.create(null), a))).toBe(hex(Types.GENERIC, b))
  })

  test('of declared maps do not depend on the order of entries', () => {
    const type = Types.map(Types.STRING, Types.INT)
    const a = new Map([
      ['k', 1],
      ['l', null],
    ])
    const b = new Map([
      ['l', null],
      ['k', 1],
    ])
    expect(hex(type, a)).toBe(hex(type, b))
    expect(javaHash(type, a)).toBe(javaHash(type, b))
  })

  test('of undeclared keys: 0 and -0 are one key, a number and the bigint or string of it are not', () => {
    expect(hex(Types.GENERIC, -0)).toBe(hex(Types.GENERIC, 0))
    expect(hex(Types.GENERIC, [-0])).toBe(hex(Types.GENERIC, [0]))
    expect(new Set([1, 1n, '1', true, [1], new Date(1)].map(value => hex(Types.GENERIC, value))).size).toBe(6)
  })

  test('of a DOUBLE: as in Java 0 and -0 are two keys and all NaNs are one', () => {
    expect(hex(Types.DOUBLE, -0)).not.toBe(hex(Types.DOUBLE, 0))
    const otherNaN = new Float64Array(Uint8Array.of(1, 2, 3, 4, 5, 6, 0xf8, 0xff).buffer)[0]
    expect(hex(Types.DOUBLE, otherNaN)).toBe(hex(Types.DOUBLE, Number.NaN))
    expect(hex(Types.FLOAT, otherNaN)).toBe(hex(Types.FLOAT, Number.NaN))
  })

  test('wrap and hash integers as the type says', () => {
    expect(hex(Types.INT, 2 ** 32 + 5)).toBe(hex(Types.INT, 5))
    expect(javaHash(Types.INT, 2 ** 32 + 5)).toBe(5)
    expect(hex(Types.LONG, 2n ** 64n + 5n)).toBe(hex(Types.LONG, 5n))
    expect(hex(Types.SAFE_LONG, -0)).toBe(hex(Types.SAFE_LONG, 0))
  })

  test('are a copy, and the same as writeKey appends', () => {
    const first = keyBytes(Types.STRING, 'first')
    const copy = first.slice()
    keyBytes(Types.STRING, 'other')
    expect(first).toEqual(copy)
    const out = new ByteWriter()
    out.u8(7)
    writeKey(Types.STRING, 'first', out)
    expect(out.copy()).toEqual(Uint8Array.of(7, ...first))
  })
})

describe('javaHash', () => {
  // Known values of java.lang: "".hashCode(), "hello".hashCode(), Long.hashCode(-1), Double.hashCode(1.0), Boolean.hashCode, List.of("a").hashCode(), …
  test.each<[TypeInformation, unknown, number]>([
    [Types.STRING, '', 0],
    [Types.STRING, 'hello', 99162322],
    [Types.STRING, 'polygenelubricants', -2147483648],
    [Types.LONG, -1n, 0],
    [Types.LONG, 2n ** 32n, 1],
    [Types.SAFE_LONG, -1, 0],
    [Types.SAFE_LONG, 2 ** 32, 1],
    [Types.DOUBLE, 1, 1072693248],
    [Types.DOUBLE, Number.NaN, 2146959360],
    [Types.DOUBLE, -0, -2147483648],
    [Types.FLOAT, 1, 1065353216],
    [Types.BOOLEAN, true, 1231],
    [Types.BOOLEAN, false, 1237],
    [Types.DATE, new Date(0), 0],
    [Types.DATE, new Date(2 ** 32 + 5), 4],
    [Types.BYTES, Uint8Array.of(1, 255), 31 * (31 + 1) - 1],
    [Types.list(Types.STRING), ['a'], 128],
    [Types.list(Types.STRING), [null, 'a'], 31 * 31 + 97],
    [Types.map(Types.STRING, Types.INT), new Map([['a', 1]]), 96],
    [Types.tuple(Types.STRING, Types.INT), [null, 7], 7],
    [Types.row({ a: Types.INT, b: Types.STRING }), { b: 'a', a: 1 }, 31 + 97],
    [Types.GENERIC, 'hello', 99162322],
    [Types.GENERIC, 7, 7],
    [Types.GENERIC, -0, 0],
    [Types.GENERIC, 2 ** 32, 1],
    [Types.GENERIC, 1.5, 1073217536],
    [Types.GENERIC, 2n ** 32n, 1],
    [Types.GENERIC, true, 1231],
  ])('of %s %s is %s', (type, value, expected) => {
    expect(javaHash(type, value)).toBe(expected)
  })

  test('of a SAFE_LONG is that of the same LONG', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), value => {
        expect(javaHash(Types.SAFE_LONG, value)).toBe(javaHash(Types.LONG, BigInt(value)))
        expect(javaHash(Types.GENERIC, BigInt(value))).toBe(javaHash(Types.LONG, BigInt(value)))
      }),
    )
  })

  test('of undeclared objects is fixed for all time: state is found by it', () => {
    const keys = [{ a: 1, b: 'x' }, ['a', 1], new Map([['k', 1n]]), 2n ** 80n, new Set(['b', 'a']), Uint8Array.of(1)]
    expect(keys.map(key => javaHash(Types.GENERIC, key))).toMatchInlineSnapshot(`
      [
        179977100,
        -1345381518,
        -161940571,
        -1722272322,
        433505140,
        969681,
      ]
    `)
  })
})

describe('a key that cannot be one is refused', () => {
  test.each([null, undefined])('%s, by name', missing => {
    for (const use of [javaHash, keyBytes]) {
      expect(() => use(Types.tuple(Types.STRING, Types.INT), missing)).toThrow(
        expect.objectContaining({
          code: 'UNSUPPORTED_VALUE',
          message: `a key of type TUPLE<STRING, INT> is ${missing}: records cannot be keyed by a missing value`,
        }),
      )
    }
  })

  test('of another type, with the path inside the key', () => {
    const type = Types.row({ user: Types.tuple(Types.STRING, Types.INT) })
    for (const use of [javaHash, keyBytes]) {
      expect(() => use(type, { user: ['a', 'b'] })).toThrow('value.user[1] cannot be written as INT: it is a string')
      expect(() => use(Types.GENERIC, { f: () => 1 })).toThrow('value.f cannot be written as GENERIC: it is a function')
      expect(() => use(Types.LONG, 5)).toThrow('value cannot be written as LONG')
    }
  })
})

/** Properties in order of their names at every level, and no missing prototypes: what does not count for a key. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return Array.from(value, sorted)
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map(key => [key, sorted((value as Record<string, unknown>)[key])]),
  )
}
