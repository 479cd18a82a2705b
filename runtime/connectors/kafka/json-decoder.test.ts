import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TypeInformation } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import { jsonDecoder } from './json-decoder.ts'

const decode = (type: TypeInformation, text: string) => jsonDecoder(type.json)(text)
const row = Types.row as (fields: Record<string, TypeInformation>) => TypeInformation

describe('JSON by declared type', () => {
  test('every LONG of 64 bits survives, wherever it stands', () => {
    const type = row({ a: Types.LONG as TypeInformation, list: Types.list(Types.LONG) as TypeInformation, rest: Types.GENERIC })
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.array(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)), (a, list) => {
        expect(decode(type, `{"a":${a},"list":[${list}],"rest":{"x":[12345678901234567890]}}`)).toEqual({
          a,
          list,
          rest: { x: [Number('12345678901234567890')] },
        })
      }),
    )
    expect(decode(Types.LONG as TypeInformation, '9007199254740993')).toBe(9007199254740993n)
    expect(decode(Types.LONG as TypeInformation, '"9007199254740993"')).toBe(9007199254740993n)
  })

  test.each<[string, TypeInformation, string, unknown]>([
    ['STRING', Types.STRING as TypeInformation, '"é\\n"', 'é\n'],
    ['BOOLEAN', Types.BOOLEAN as TypeInformation, 'true', true],
    ['INT', Types.INT as TypeInformation, '-2147483648', -2147483648],
    ['INT written with a fraction of zero', Types.INT as TypeInformation, '5.0', 5],
    ['INT -0', Types.INT as TypeInformation, '-0', 0],
    ['SAFE_LONG', Types.SAFE_LONG as TypeInformation, '9007199254740991', 9007199254740991],
    ['DOUBLE', Types.DOUBLE as TypeInformation, '1e3', 1000],
    [
      'a DOUBLE beside a LONG keeps its rounding',
      Types.tuple(Types.LONG, Types.DOUBLE) as unknown as TypeInformation,
      '[1, 123456789012345678901234567890]',
      [1n, Number('123456789012345678901234567890')],
    ],
    ['FLOAT', Types.FLOAT as TypeInformation, '0.1', Math.fround(0.1)],
    ['DATE text', Types.DATE as TypeInformation, '"2026-11-22T01:02:03Z"', new Date('2026-11-22T01:02:03Z')],
    ['DATE number', Types.DATE as TypeInformation, '5', new Date(5)],
    ['BYTES', Types.BYTES as TypeInformation, '"AAEC"', new Uint8Array([0, 1, 2])],
    [
      'MAP',
      Types.map(Types.STRING, Types.INT) as unknown as TypeInformation,
      '{"a":1,"b":null}',
      new Map([
        ['a', 1],
        ['b', null],
      ]),
    ],
    ['TUPLE with null', Types.tuple(Types.STRING, Types.INT) as unknown as TypeInformation, '[null,1]', [null, 1]],
    [
      'ROW: missing is null, unknown is dropped, names of Object are no fields',
      row({ a: Types.INT as TypeInformation, constructor: Types.STRING as TypeInformation }),
      '{"b":1,"a":2}',
      { a: 2, constructor: null },
    ],
    ['GENERIC', Types.GENERIC, '{"a":[1,null,"x"]}', { a: [1, null, 'x'] }],
  ])('%s', (_name, type, text, expected) => {
    expect(decode(type, text)).toEqual(expected)
  })

  test.each<[string, TypeInformation, string, RegExp]>([
    ['a text for an INT', row({ n: Types.INT as TypeInformation }), '{"n":"5"}', /field n: expected INT, got string "5"/],
    ['a fraction for an INT', Types.INT as TypeInformation, '1.5', /the value: expected INT, got number 1.5/],
    ['an INT out of its range', Types.INT as TypeInformation, '2147483648', /outside -2147483648\.\.2147483647/],
    ['a BYTE out of its range', Types.BYTE as TypeInformation, '128', /outside -128\.\.127/],
    ['a SAFE_LONG beyond 2^53', Types.SAFE_LONG as TypeInformation, '9007199254740993', /expected SAFE_LONG/],
    ['a LONG beyond 64 bits', Types.LONG as TypeInformation, '9223372036854775808', /does not fit 64 bits/],
    ['a LONG with a fraction', Types.LONG as TypeInformation, '1.5', /expected LONG, got number 1.5/],
    ['a LONG that is only known rounded', Types.LONG as TypeInformation, '9007199254740993.0', /expected LONG/],
    ['a number for a STRING', Types.STRING as TypeInformation, '5', /expected STRING, got number 5/],
    ['null for a ROW', row({}), 'null', /expected ROW, got null/],
    ['an array for a ROW', row({}), '[]', /expected ROW, got an array of 0/],
    [
      'a nested mismatch',
      row({ a: row({ b: Types.list(Types.INT) as TypeInformation }) }),
      '{"a":{"b":[1,true]}}',
      /field a\.b\[1\]: expected INT, got boolean true/,
    ],
    ['a short TUPLE', Types.tuple(Types.INT, Types.INT) as unknown as TypeInformation, '[1]', /expected TUPLE of 2, got an array of 1/],
    ['a DATE that is none', Types.DATE as TypeInformation, '"yesterday"', /expected DATE/],
    ['BYTES that are no base64', Types.BYTES as TypeInformation, '"a"', /expected BYTES/],
  ])('refuses %s', (_name, type, text, message) => {
    expect(() => decode(type, text)).toThrow(message)
  })

  test('a map whose keys are no texts is refused where the program is built', () => {
    expect(() => jsonDecoder(Types.map(Types.INT, Types.INT).json)).toThrow('a JSON object has text keys: the map is declared with keys of INT')
  })
})
