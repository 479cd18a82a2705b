import { expect, test } from 'vitest'
import { nextTimeMs, parseCron } from './cron.ts'

function times(text: string, after: string, count = 3): string[] {
  const parsed = parseCron(text)
  if (parsed.kind === 'invalid') throw new Error(parsed.problem)
  const found: string[] = []
  let time = Date.parse(after)
  for (let i = 0; i < count; i++) {
    time = nextTimeMs(parsed.cron, time) ?? Number.NaN
    found.push(new Date(time).toISOString().slice(0, 16))
  }
  return found
}

test.each([
  ['* * * * *', '2026-11-23T03:59:59.999Z', ['2026-11-23T04:00', '2026-11-23T04:01', '2026-11-23T04:02']],
  // A minute that has just begun is over.
  ['0 4 * * *', '2026-11-23T04:00:00Z', ['2026-11-24T04:00', '2026-11-25T04:00', '2026-11-26T04:00']],
  ['*/20 3,5 * * *', '2026-11-23T03:20:00Z', ['2026-11-23T03:40', '2026-11-23T05:00', '2026-11-23T05:20']],
  ['10-30/10 0 1 jan *', '2026-11-23T00:00:00Z', ['2027-01-01T00:10', '2027-01-01T00:20', '2027-01-01T00:30']],
  ['0 0 31 * *', '2026-11-23T00:00:00Z', ['2026-12-31T00:00', '2027-01-31T00:00', '2027-03-31T00:00']],
  ['0 0 29 FEB *', '2026-11-23T00:00:00Z', ['2028-02-29T00:00', '2032-02-29T00:00', '2036-02-29T00:00']],
  // 2100 is no leap year.
  ['0 0 29 2 *', '2096-03-01T00:00:00Z', ['2104-02-29T00:00', '2108-02-29T00:00', '2112-02-29T00:00']],
  ['30 6 * * mon-fri', '2026-11-27T12:00:00Z', ['2026-11-30T06:30', '2026-12-01T06:30', '2026-12-02T06:30']],
  ['0 0 * * 0', '2026-11-23T00:00:00Z', ['2026-11-29T00:00', '2026-12-06T00:00', '2026-12-13T00:00']],
  ['0 0 * * 7', '2026-11-23T00:00:00Z', ['2026-11-29T00:00', '2026-12-06T00:00', '2026-12-13T00:00']],
  ['0 0 * * 5-7', '2026-11-23T00:00:00Z', ['2026-11-27T00:00', '2026-11-28T00:00', '2026-11-29T00:00']],
  // Both restricted: either.
  ['0 0 1 * fri', '2026-11-23T00:00:00Z', ['2026-11-27T00:00', '2026-12-01T00:00', '2026-12-04T00:00']],
  // One of them begins with *: both.
  ['0 0 */2 * fri', '2026-11-23T00:00:00Z', ['2026-11-27T00:00', '2026-12-11T00:00', '2026-12-25T00:00']],
])('%s after %s', (text, after, expected) => {
  expect(times(text, after)).toEqual(expected)
})

test.each([
  ['', 'expected five fields (minute, hour, day of the month, month, day of the week), got 0'],
  ['* * * *', 'expected five fields (minute, hour, day of the month, month, day of the week), got 4'],
  ['0 * * * * *', 'expected five fields (minute, hour, day of the month, month, day of the week), got 6'],
  ['@daily', 'expected five fields (minute, hour, day of the month, month, day of the week), got 1'],
  ['60 * * * *', '"60" is no minute: expected numbers from 0 to 59, such as 0, 0,30, 10-20 or */15'],
  ['*/0 * * * *', '"*/0" is no minute: expected numbers from 0 to 59, such as 0, 0,30, 10-20 or */15'],
  ['5/15 * * * *', '"5/15" is no minute: expected numbers from 0 to 59, such as 0, 0,30, 10-20 or */15'],
  ['0 24 * * *', '"24" is no hour: expected numbers from 0 to 23, such as 0, 0-23 or *'],
  ['0 5-2 * * *', '"5-2" is no hour: expected numbers from 0 to 23, such as 0, 0-23 or *'],
  ['0 1-2-3 * * *', '"1-2-3" is no hour: expected numbers from 0 to 23, such as 0, 0-23 or *'],
  ['0 0 0 * *', '"0" is no day of the month: expected numbers from 1 to 31, such as 1, 1-31 or *'],
  ['0 0 L * *', '"L" is no day of the month: expected numbers from 1 to 31, such as 1, 1-31 or *'],
  ['0 0 1, * *', '"" is no day of the month: expected numbers from 1 to 31, such as 1, 1-31 or *'],
  ['0 0 * january *', '"january" is no month: expected numbers from 1 to 12, such as 1, 1-12 or *'],
  ['0 0 * * 8', '"8" is no day of the week: expected numbers from 0 to 7, such as 0, 0-7 or *'],
  ['0 0 31 2,4 *', '"0 0 31 2,4 *" names a day that never comes'],
])('%j is refused', (text, problem) => {
  expect(parseCron(text)).toEqual({ kind: 'invalid', problem })
})
