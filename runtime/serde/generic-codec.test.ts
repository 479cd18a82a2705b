import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { genericSerializer } from './generic-codec.ts'
import { GENERIC_DEPTH_MAX } from './generic-format.ts'

function encode(value: unknown, maxLength?: number): Uint8Array {
  const out = new ByteWriter(16, maxLength)
  genericSerializer.write(value, out)
  return out.copy()
}

function decode(bytes: Uint8Array): unknown {
  const input = new ByteReader(bytes)
  const value = genericSerializer.read(input)
  expect(input.remaining).toBe(0)
  return value
}

function refusal(run: () => unknown): FlinkError {
  try {
    run()
  } catch (error) {
    if (error instanceof FlinkError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withTypedArray: true,
  withSparseArray: false,
  key: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString', 'valueOf', 'hasOwnProperty', '0', '-1', '')),
  values: [
    fc.boolean(),
    fc.integer(),
    fc.double(),
    fc.bigInt(),
    fc.constantFrom(null, undefined, -0, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53, 127, 128, -128, -129),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 300 }).map(codes => String.fromCharCode(...codes)),
  ],
})

describe('comes back equal', () => {
  test('whatever it is made of', () => {
    fc.assert(
      fc.property(anything, value => {
        // Not toStrictEqual: that looks at `constructor`, which may be a property of the value here.
        expect(isDeepStrictEqual(decode(encode(value)), value)).toBe(true)
      }),
      { numRuns: runs(2000) },
    )
  })

  test.each<[string, unknown]>([
    ['-0', -0],
    ['the smallest double', 5e-324],
    ['2^53 + 2', 2 ** 53 + 2],
    ['the borders of 64 bits', [2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n), -(2n ** 63n) - 1n]],
    ['a bigint of 10,000 bits', 3n ** 6310n],
    ['lone surrogates', ['\ud800', '\udc00', 'a\udfffb', '\udc00\ud800', '\ud83d\ude00', '\ufffd', `${'x'.repeat(500)}\ud800`]],
    ['long strings that are no ASCII', ['é'.repeat(127), 'é'.repeat(128), '😀'.repeat(1000), `\ufeffbom`, '\0']],
    ['an invalid date', new Date(Number.NaN)],
    ['the first and last date', [new Date(-8.64e15), new Date(8.64e15)]],
    ['empty containers', [{}, [], new Map(), new Set(), new Uint8Array(), new ArrayBuffer(0), '']],
    ['an ArrayBuffer', Uint8Array.of(1, 2, 3).buffer],
    [
      'maps with keys of all kinds',
      new Map<unknown, unknown>([
        [1, 'a'],
        [1n, 'b'],
        ['1', 'c'],
        [null, 'd'],
        [undefined, 'e'],
        [Number.NaN, 'f'],
        [{ k: 1 }, 'g'],
      ]),
    ],
    ['properties that are undefined', { a: undefined, b: null }],
  ])('%s', (_, value) => {
    expect(decode(encode(value))).toStrictEqual(value)
  })

  test('typed arrays of every kind, also from the middle of a buffer', () => {
    const buffer = Uint8Array.from({ length: 64 }, (_, i) => i * 7).buffer
    const kinds = [
      Int8Array,
      Uint8Array,
      Uint8ClampedArray,
      Int16Array,
      Uint16Array,
      Int32Array,
      Uint32Array,
      Float32Array,
      Float64Array,
      BigInt64Array,
      BigUint64Array,
    ]
    for (const kind of kinds) {
      const value = new kind(buffer, 8, 3)
      expect(decode(encode(value))).toStrictEqual(value)
    }
  })

  test('objects with and without a prototype', () => {
    const bare = Object.assign(Object.create(null), { a: 1 })
    expect(Object.getPrototypeOf(decode(encode(bare)))).toBe(null)
    expect(Object.getPrototypeOf(decode(encode({ a: 1 })))).toBe(Object.prototype)
  })

  test('own properties named __proto__, without touching any prototype', () => {
    const value: unknown = JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}')
    const read = decode(encode(value)) as Record<string, unknown>
    expect(Object.keys(read)).toEqual(['__proto__', 'constructor'])
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
    expect(read['polluted']).toBe(undefined)
    expect(({} as Record<string, unknown>)['polluted']).toBe(undefined)
  })

  test('property names that look alike, in turn', () => {
    const names = ['abcd', 'aXcd', 'abcd', 'aÉd', 'abcd', 'a'.repeat(32), 'a'.repeat(33), '\0', '', 'é', 'ab']
    for (const name of [...names, ...names]) {
      const read = decode(encode({ [name]: 1 })) as Record<string, unknown>
      expect(Object.keys(read)).toEqual([name])
    }
  })

  test('nesting up to the limit', () => {
    let value: unknown = 'core'
    for (let i = 0; i < GENERIC_DEPTH_MAX; i++) value = i % 2 === 0 ? [value] : { value }
    expect(decode(encode(value))).toStrictEqual(value)
    expect(refusal(() => encode([value])).message).toContain(`more than ${GENERIC_DEPTH_MAX} levels deep`)
  })

  test('holes as undefined, Buffers as Uint8Arrays', () => {
    const holes = [1, 2, 3]
    delete holes[1]
    expect(decode(encode(holes))).toStrictEqual([1, undefined, 3])
    expect(decode(encode(Buffer.from('abc')))).toStrictEqual(Uint8Array.of(97, 98, 99))
  })

  test('an object that occurs twice without containing itself, as two', () => {
    const shared = { a: 1 }
    expect(decode(encode([shared, { shared }, shared]))).toStrictEqual([{ a: 1 }, { shared: { a: 1 } }, { a: 1 }])
  })
})

describe('is refused with its path', () => {
  class Account {
    id = 1
  }
  const cyclic: Record<string, unknown> = { name: 'a' }
  cyclic['friends'] = [{ of: cyclic }]
  test.each<[unknown, string]>([
    [() => 1, 'value cannot be written as GENERIC: it is a function'],
    [{ items: [1, 2, 3, { owner: () => 1 }] }, 'value.items[3].owner cannot be written as GENERIC: it is a function'],
    [{ items: [{ owner: new Account() }] }, 'value.items[0].owner cannot be written as GENERIC: it is an instance of Account'],
    [[Symbol('x')], 'value[0] cannot be written as GENERIC: it is a symbol'],
    [{ 'odd key': Promise.resolve() }, 'value["odd key"] cannot be written as GENERIC: it is an instance of Promise'],
    [new Map([['k', [new WeakMap()]]]), 'value.get("k")[0] cannot be written as GENERIC: it is an instance of WeakMap'],
    [new Map([[/x/, 1]]), 'value.key cannot be written as GENERIC: it is an instance of RegExp'],
    [new Set([new Error('x')]), 'value.element cannot be written as GENERIC: it is an instance of Error'],
    [{ a: { [Symbol('s')]: 1 } }, 'value.a cannot be written as GENERIC: it has a symbol as key'],
    [[new SharedArrayBuffer(8)], 'value[0] cannot be written as GENERIC: it is an instance of SharedArrayBuffer'],
    [[new DataView(new ArrayBuffer(8))], 'value[0] cannot be written as GENERIC: it is an instance of DataView'],
    [[Object.create({ inherited: 1 })], 'value[0] cannot be written as GENERIC: it is an object with a prototype of its own'],
    [[new (class extends Map {})()], 'value[0] cannot be written as GENERIC: it is an instance of a class'],
    [cyclic, 'value.friends[0].of cannot be written as GENERIC: it is cyclic, an object that contains itself'],
  ])('%#', (value, message) => {
    const error = refusal(() => encode(value))
    expect([error.code, error.message]).toEqual(['UNSUPPORTED_VALUE', message])
  })

  test('and the next value is written as if nothing had happened', () => {
    expect(() => encode(cyclic)).toThrow()
    expect(decode(encode({ name: 'a' }))).toStrictEqual({ name: 'a' })
  })

  test('an array of a billion holes, once it exceeds the largest record', () => {
    const huge: unknown[] = []
    huge[1_000_000_000] = 1
    expect(refusal(() => encode(huge, 1 << 20)).code).toBe('RECORD_TOO_LARGE')
  })
})

describe('broken bytes', () => {
  test('that end early are CORRUPT_FRAME', () => {
    fc.assert(
      fc.property(anything, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (value, part) => {
        const bytes = encode(value)
        expect(refusal(() => decode(bytes.subarray(0, Math.floor(bytes.length * part)))).code).toBe('CORRUPT_FRAME')
      }),
      { numRuns: runs(1000) },
    )
  })

  test('of any kind are CORRUPT_FRAME or a value that takes about as many bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        let value: unknown
        try {
          value = genericSerializer.read(new ByteReader(Uint8Array.of(1, ...bytes)))
        } catch (error) {
          expect(error).toMatchObject({ code: 'CORRUPT_FRAME' })
          return
        }
        expect(encode(value).length).toBeLessThanOrEqual(bytes.length + 2)
      }),
      { numRuns: runs(5000) },
    )
  })

  test('with a flipped bit never make anything else than a value or CORRUPT_FRAME', () => {
    fc.assert(
      fc.property(anything, fc.nat(), (value, position) => {
        const bytes = encode(value)
        const bit = position % (bytes.length * 8)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        try {
          genericSerializer.read(new ByteReader(bytes))
        } catch (error) {
          expect(error).toMatchObject({ code: 'CORRUPT_FRAME' })
        }
      }),
      { numRuns: runs(2000) },
    )
  })

  test.each<[string, number[]]>([
    ['another version', [2, 0]],
    ['an unknown tag', [1, 99]],
    ['an array of 2^49 elements', [1, 13, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]],
    ['an array nested beyond the limit', [1, ...Array(200).fill([13, 1]).flat(), 0]],
    ['bytes longer than what is left', [1, 17, 100, 1, 2]],
    ['a map with a key twice', [1, 14, 2, 4, 1, 0, 4, 1, 0]],
    ['a set with an element twice', [1, 15, 2, 3, 3]],
    ['a bigint with a leading zero', [1, 8, 9, 0, 1, 1, 1, 1, 1, 1, 1, 1]],
    ['a bigint that needs no magnitude', [1, 8, 0]],
    ['a typed array of an unknown kind', [1, 19, 10, 0]],
    ['a typed array that ends inside an element', [1, 19, 4, 3, 1, 2, 3]],
  ])('%s', (_, bytes) => {
    expect(refusal(() => decode(Uint8Array.from(bytes))).code).toBe('CORRUPT_FRAME')
  })
})

test('the encoding is the one that snapshots hold', () => {
  const value = {
    s: 'aé\ud800',
    n: [null, undefined, true, false, 1, -129, 0.5, -0],
    b: [5n, 2n ** 70n, -(2n ** 70n)],
    m: new Map([['k', new Set([1])]]),
    d: new Date(1e12),
    t: Int16Array.of(1, -1),
  }
  expect(createHash('sha256').update(encode(value)).digest('hex')).toMatchInlineSnapshot(
    `"879b9499ee72d4c8e47de633465af7985a35bda7fbd18d2d1d82a9be84a9cd6a"`,
  )
})
