import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { millisecondTimestamp, timestampOf } from './time-text.ts'

const two = (min: number, max: number) => fc.integer({ min, max }).map(value => String(value).padStart(2, '0'))
const text = fc
  .tuple(
    fc.constantFrom('2020', '1999', '0001', '20x0'),
    two(0, 13),
    two(0, 32),
    fc.constantFrom(' ', 'T'),
    two(0, 25),
    two(0, 61),
    two(0, 61),
    fc.constantFrom('.', ':'),
    fc.integer({ min: 0, max: 999 }),
  )
  .map(([year, month, day, between, hour, minute, second, point, ms]) => {
    const fraction = String(ms).padStart(3, '0')
    return `${year}-${month}-${day}${between}${hour}:${minute}:${second}${point}${fraction}`
  })

test('the usual form is read as the general one reads it, or left to it; a minute that is remembered changes nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(text, fc.constantFrom('2020-02-30 10:11:12.345', '2020-02-29 24:00:00.000', '2020-02-29 24:00:01.000')), { minLength: 1 }),
      texts => {
        // Twice each, so that the second finds its minute remembered.
        for (const one of texts.flatMap(each => [each, each])) {
          const data = new TextEncoder().encode(`"${one}"`)
          const expected = timestampOf(data, 1, 24, 32, false, false)
          const actual = millisecondTimestamp(data, new DataView(data.buffer), 1)
          if (Number.isNaN(actual) && one.startsWith('24:', 11)) continue
          expect(actual, one).toBe(expected)
        }
      },
    ),
    { numRuns: runs(2000) },
  )
  const plain = new TextEncoder().encode('"2020-02-29 23:59:59.999"')
  expect(millisecondTimestamp(plain, new DataView(plain.buffer), 1)).toBe(Date.UTC(2020, 1, 29, 23, 59, 59, 999))
})
