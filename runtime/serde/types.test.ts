import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import type { TypeInformation, TypeJson } from './type-information.ts'
import { Types, typeFromJson, typesEqual, type ValueOf } from './types.ts'

function encode<T>(type: TypeInformation<T>, value: unknown): Uint8Array {
  const out = new ByteWriter(16)
  type.serializer.write(value as T, out) // tests write wrong values too
  return out.copy()
}

/** Reads back and holds that exactly the written bytes are read, at any offset. */
function roundTrip<T>(type: TypeInformation<T>, value: unknown): T {
  const bytes = encode(type, value)
  const shifted = new Uint8Array(bytes.length + 5)
  shifted.fill(0xff)
  shifted.set(bytes, 3)
  const input = new ByteReader(shifted, 3, 3 + bytes.length)
  const result = type.serializer.read(input)
  expect(input.remaining).toBe(0)
  return result
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

/** A type, and values of it. Depth-bounded. */
interface Typed {
  readonly type: TypeInformation
  readonly value: fc.Arbitrary<unknown>
}
const leaves: readonly Typed[] = [
  { type: Types.STRING, value: fc.string({ unit: 'binary', maxLength: 400 }) },
  { type: Types.STRING, value: fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(code => String.fromCharCode(code)), maxLength: 300 }) },
  { type: Types.BOOLEAN, value: fc.boolean() },
  { type: Types.BYTE, value: fc.integer({ min: -128, max: 127 }) },
  { type: Types.SHORT, value: fc.integer({ min: -32768, max: 32767 }) },
  { type: Types.INT, value: fc.integer() },
  { type: Types.LONG, value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) },
  { type: Types.SAFE_LONG, value: fc.maxSafeInteger() },
  { type: Types.FLOAT, value: fc.float() },
  { type: Types.DOUBLE, value: fc.double() },
  { type: Types.DATE, value: fc.date() },
  { type: Types.BYTES, value: fc.uint8Array({ maxLength: 50 }) },
  { type: Types.VOID, value: fc.constant(null) },
  {
    type: Types.GENERIC,
    value: fc.anything({ withDate: true, withBigInt: true, withTypedArray: true }).filter(value => value !== null && value !== undefined),
  },
]
const nullable = (value: fc.Arbitrary<unknown>) => fc.option(value, { nil: null, freq: 6 })
const composite = (inner: fc.Arbitrary<Typed>): fc.Arbitrary<Typed> =>
  fc.oneof(
    fc
      .array(inner, { maxLength: 12 })
      .map(fields => ({ type: Types.tuple(...fields.map(field => field.type)), value: fc.tuple(...fields.map(field => nullable(field.value))) })),
    fc.dictionary(fc.stringMatching(/^[a-z][a-z _.]{0,5}$/), inner, { maxKeys: 10, noNullPrototype: true }).map(fields => ({
      type: Types.row(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.type]))),
      value: fc.record(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, nullable(field.value)])), { noNullPrototype: true }),
    })),
    inner.map(element => ({ type: Types.list(element.type), value: fc.array(nullable(element.value), { maxLength: 5 }) })),
    inner.map(element => ({
      type: Types.map(Types.STRING, element.type),
      value: fc.array(fc.tuple(fc.string(), nullable(element.value)), { maxLength: 5 }).map(entries => new Map(entries)),
    })),
  )
const leaf = fc.constantFrom(...leaves)
const anyType = fc.oneof(leaf, composite(leaf), composite(composite(leaf)))
const typeAndValue = anyType.chain(({ type, value }) => value.map(made => ({ type, value: made })))

describe('every type', () => {
  test('reads back what was written', () => {
    fc.assert(
      fc.property(typeAndValue, ({ type, value }) => {
        // Not toStrictEqual: that looks at `constructor`, which may be a property of a generic value.
        expect(isDeepStrictEqual(roundTrip(type, value), value)).toBe(true)
      }),
      { numRuns: runs(1000) },
    )
  })

  test('survives its JSON, and only equal types are equal', () => {
    fc.assert(
      fc.property(anyType, anyType, ({ type: a }, { type: b }) => {
        const remade = typeFromJson(JSON.parse(JSON.stringify(a.json)) as TypeJson)
        expect(typesEqual(a, remade)).toBe(true)
        expect(String(remade)).toBe(String(a))
        expect(typesEqual(a, b)).toBe(String(a) === String(b))
      }),
      { numRuns: runs(300) },
    )
  })

  test('ends in CORRUPT_FRAME when its bytes end early', () => {
    fc.assert(
      fc.property(typeAndValue, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), ({ type, value }, part) => {
        const bytes = encode(type, value)
        const cut = bytes.subarray(0, Math.floor(bytes.length * part))
        expect(refusal(() => type.serializer.read(new ByteReader(cut))).code).toBe('CORRUPT_FRAME')
      }),
      { numRuns: runs(500) },
    )
  })

  test('reads flipped bits as CORRUPT_FRAME or as a value that can be written again', () => {
    fc.assert(
      fc.property(typeAndValue, fc.nat(), ({ type, value }, position) => {
        const bytes = encode(type, value)
        const bit = position % (bytes.length * 8)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        let read: unknown
        try {
          read = type.serializer.read(new ByteReader(bytes))
        } catch (error) {
          expect(error).toMatchObject({ code: 'CORRUPT_FRAME' })
          return
        }
        expect(encode(type, read).length).toBeLessThanOrEqual(bytes.length + 1)
      }),
      { numRuns: runs(1000) },
    )
  })
})

describe('numbers wrap and round as in Java', () => {
  test.each([
    [Types.INT, 2 ** 31, -(2 ** 31)],
    [Types.INT, -(2 ** 31) - 1, 2 ** 31 - 1],
    [Types.INT, 2 ** 53, 0],
    [Types.INT, -0, 0],
    [Types.SHORT, 32768, -32768],
    [Types.SHORT, 65535, -1],
    [Types.BYTE, 200, -56],
    [Types.BYTE, -129, 127],
    [Types.LONG, 2n ** 63n, -(2n ** 63n)],
    [Types.LONG, -(2n ** 63n) - 1n, 2n ** 63n - 1n],
    [Types.SAFE_LONG, -0, 0],
    [Types.FLOAT, 0.1, 0.10000000149011612],
    [Types.FLOAT, 1e39, Number.POSITIVE_INFINITY],
    [Types.DOUBLE, -0, -0],
    [Types.DOUBLE, Number.NaN, Number.NaN],
  ])('%s %s comes back as %s', (type, value, expected) => {
    expect(roundTrip(type as TypeInformation, value)).toBe(expected)
  })
})

describe('a value that does not fit its type is refused', () => {
  test.each<[TypeInformation, unknown, string]>([
    [Types.INT, '5', 'value cannot be written as INT: it is a string'],
    [Types.INT, 1.5, 'value cannot be written as INT: it is the number 1.5'],
    [Types.INT, Number.NaN, 'value cannot be written as INT: it is the number NaN'],
    [Types.INT, 5n, 'value cannot be written as INT: it is a bigint (only LONG is a bigint)'],
    [Types.INT, Symbol('x'), 'value cannot be written as INT: it is a symbol'],
    [Types.LONG, 5, 'value cannot be written as LONG: it is the number 5 (a LONG is a bigint; numbers are SAFE_LONG)'],
    [Types.SAFE_LONG, 2 ** 53, 'value cannot be written as SAFE_LONG: it is the number 9007199254740992'],
    [Types.STRING, null, 'value cannot be written as STRING: it is null'],
    [Types.STRING, new String('x'), 'value cannot be written as STRING: it is an instance of String'],
    [Types.BOOLEAN, 1, 'value cannot be written as BOOLEAN: it is the number 1'],
    [Types.DATE, 0, 'value cannot be written as DATE: it is the number 0'],
    [Types.BYTES, [1], 'value cannot be written as BYTES: it is an array of 1'],
    [Types.VOID, 0, 'value cannot be written as VOID: it is the number 0'],
    [Types.tuple(Types.STRING, Types.INT), ['a'], 'value cannot be written as TUPLE of 2: it is an array of 1'],
    [Types.tuple(Types.STRING, Types.INT), ['a', true], 'value[1] cannot be written as INT: it is a boolean'],
    [Types.tuple(Types.STRING, Types.INT, Types.INT), ['a', 1, {}], 'value[2] cannot be written as INT: it is an object'],
    [Types.row({ shop: Types.STRING }), ['a'], 'value cannot be written as ROW: it is an array of 1'],
    [Types.row({ 'a b': Types.STRING }), { 'a b': 1 }, 'value["a b"] cannot be written as STRING: it is the number 1'],
    [Types.map(Types.STRING, Types.INT), new Map([['k', 'v']]), 'value.get("k") cannot be written as INT: it is a string'],
    [Types.map(Types.STRING, Types.INT), new Map([[1, 1]]), 'value.key cannot be written as STRING: it is the number 1'],
    [Types.map(Types.STRING, Types.INT), { k: 1 }, 'value cannot be written as MAP: it is an object'],
  ])('%s', (type, value, message) => {
    const error = refusal(() => encode(type, value))
    expect(error.code).toBe('UNSUPPORTED_VALUE')
    expect(error.message).toBe(message)
  })

  test('with the whole path to it', () => {
    const type = Types.row({ items: Types.list(Types.row({ owner: Types.tuple(Types.STRING, Types.INT) })) })
    const value = { items: [{ owner: ['a', 1] }, { owner: ['b', 'c'] }] }
    expect(refusal(() => encode(type, value)).message).toBe('value.items[1].owner[1] cannot be written as INT: it is a string')
  })
})

describe('rows and tuples', () => {
  const type = Types.row({ shop: Types.STRING, amount: Types.DOUBLE, note: Types.STRING })

  test('a row comes back with its declared fields in order and nothing else', () => {
    const row = roundTrip(type, { note: undefined, extra: 1, amount: 2.5, shop: 'a' })
    expect(Object.entries(row)).toEqual([
      ['shop', 'a'],
      ['amount', 2.5],
      ['note', null],
    ])
  })

  test('a class instance is written by its fields', () => {
    class Order {
      shop = 'a'
      amount = 1
      get note() {
        return `${this.shop}!`
      }
    }
    expect(roundTrip(type, new Order())).toStrictEqual({ shop: 'a', amount: 1, note: 'a!' })
  })

  test('rows read one after the other do not share anything', () => {
    const first = roundTrip(type, { shop: 'a', amount: 1, note: 'n' })
    expect(roundTrip(type, { shop: null, amount: null, note: null })).toStrictEqual({ shop: null, amount: null, note: null })
    expect(first).toStrictEqual({ shop: 'a', amount: 1, note: 'n' })
  })

  test('fields of hostile names are plain fields', () => {
    const hostile = Types.row({ constructor: Types.STRING, toString: Types.INT, hasOwnProperty: Types.INT })
    expect(Object.entries(roundTrip(hostile, { constructor: 'c', toString: 1, hasOwnProperty: 2 }))).toEqual([
      ['constructor', 'c'],
      ['toString', 1],
      ['hasOwnProperty', 2],
    ])
  })

  test('field names that JavaScript cannot keep in place are refused', () => {
    expect(refusal(() => Types.row(JSON.parse('{"__proto__": 1}'))).message).toBe('a row cannot have a field named __proto__')
    expect(refusal(() => Types.row({ a: Types.INT, 0: Types.INT })).message).toContain('cannot have the number 0')
    expect(refusal(() => Types.list('STRING' as never)).message).toBe('the element of a list is not a type of Types')
  })

  test('bits of no field in a null bitmap are corrupt', () => {
    expect(refusal(() => type.serializer.read(new ByteReader(Uint8Array.of(0b1000)))).code).toBe('CORRUPT_FRAME')
  })
})

test('a BYTES value is a copy even when it is read from a Buffer', () => {
  const bytes = Buffer.from(encode(Types.BYTES, Uint8Array.of(1, 2, 3)))
  const read = Types.BYTES.serializer.read(new ByteReader(bytes))
  bytes.fill(9)
  expect(read).toStrictEqual(Uint8Array.of(1, 2, 3))
})

test('strings of every length and alphabet come back, from private and from shared memory', () => {
  const alphabets = ['a', 'aé', 'é', '漢', '😀', 'a😀', '\ufffd', '\ud800', 'a\udc00é']
  for (const alphabet of alphabets) {
    for (let length = 0; length < 300; length += length < 140 ? 1 : 37) {
      const value = alphabet.repeat(length)
      const bytes = encode(Types.STRING, value)
      const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
      shared.set(bytes)
      if (Types.STRING.serializer.read(new ByteReader(bytes)) !== value) expect.fail(`${length} times ${JSON.stringify(alphabet)}`)
      if (Types.STRING.serializer.read(new ByteReader(shared)) !== value)
        expect.fail(`${length} times ${JSON.stringify(alphabet)} from shared memory`)
      if (value.isWellFormed()) expect(new ByteReader(bytes).string()).toBe(value)
    }
  }
})

test('a string that is broken UTF-8 or another spelling of a string is corrupt', () => {
  const read = (...bytes: number[]) => Types.STRING.serializer.read(new ByteReader(Uint8Array.of(bytes.length, ...bytes)))
  expect(read(0xef, 0xbf, 0xbd)).toBe('\ufffd')
  expect(read(0xed, 0xa0, 0x80)).toBe('\ud800')
  const broken = [[0xff], [0xc0, 0x80], [0xe0, 0x80, 0x80], [0xc3], [0xc3, 0x28], [0xf4, 0x90, 0x80, 0x80], [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]]
  for (const bytes of broken) expect(refusal(() => read(...bytes)).code).toBe('CORRUPT_FRAME')
})

test('a count beyond the bytes that are left is refused before anything is allocated', () => {
  const out = new ByteWriter()
  out.varint(2 ** 50)
  for (const type of [Types.list(Types.INT), Types.map(Types.INT, Types.INT), Types.BYTES, Types.STRING]) {
    expect(refusal(() => type.serializer.read(new ByteReader(out.copy()))).code).toBe('CORRUPT_FRAME')
  }
})

describe('Types', () => {
  test('are shown as in plans', () => {
    const type = Types.tuple(
      Types.row({ shop: Types.STRING, amount: Types.DOUBLE }),
      Types.list(Types.GENERIC),
      Types.map(Types.SAFE_LONG, Types.BYTES),
    )
    expect(String(type)).toBe('TUPLE<ROW<shop STRING, amount DOUBLE>, LIST<GENERIC>, MAP<SAFE_LONG, BYTES>>')
  })

  test('POJO takes fields, a class with fields, or a class that declares them', () => {
    class Order {
      static types = { shop: Types.STRING, amount: Types.DOUBLE }
    }
    class Bare {}
    const row = Types.row({ shop: Types.STRING, amount: Types.DOUBLE })
    expect(typesEqual(Types.POJO(Order), row)).toBe(true)
    expect(typesEqual(Types.POJO(Order.types), row)).toBe(true)
    expect(typesEqual(Types.POJO(Bare, Order.types), row)).toBe(true)
    expect(refusal(() => Types.POJO(Bare)).message).toContain('the class Bare does not say the types of its fields')
  })

  test('know the TypeScript type of their values', () => {
    const type = Types.tuple(Types.STRING, Types.row({ at: Types.SAFE_LONG, id: Types.LONG }), Types.map(Types.STRING, Types.list(Types.DATE)))
    expectTypeOf<ValueOf<typeof type>>().toEqualTypeOf<[string, { at: number; id: bigint }, Map<string, Date[]>]>()
    const pojo = Types.POJO(
      class {
        static types = { at: Types.INT }
      },
    )
    expectTypeOf<ValueOf<typeof pojo>>().toEqualTypeOf<{ at: number }>()
  })

  test('rows of other field order are other types', () => {
    expect(typesEqual(Types.row({ a: Types.INT, b: Types.INT }), Types.row({ b: Types.INT, a: Types.INT }))).toBe(false)
  })

  test('a kind of a later version is refused by name', () => {
    for (const kind of ['DECIMAL', 'toString', '__proto__']) {
      const error = refusal(() => typeFromJson({ kind } as never))
      expect([error.code, error.message]).toEqual(['UNSUPPORTED', `the type kind "${kind}" is not known to this build`])
    }
  })
})
