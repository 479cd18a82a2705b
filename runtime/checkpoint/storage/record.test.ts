import { expect, test } from 'vitest'
import { decodeRecord, encodeRecord } from './record.ts'

const record = { epoch: 12, kind: 'takeover', text: 'a "b" \n ü', none: null }

test('what was written is read', () => {
  expect(decodeRecord(encodeRecord(record), 'x')).toEqual(record)
})

test('no byte that is changed, and no end that is missing, goes unnoticed', () => {
  const bytes = encodeRecord(record)
  for (let at = 0; at < bytes.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const changed = bytes.slice()
      changed[at] = (changed[at] ?? 0) ^ (1 << bit)
      expect(() => decodeRecord(changed, 'job/epochs/12'), `bit ${bit} of byte ${at}`).toThrow(
        'job/epochs/12 cannot be read: it was cut short or changed',
      )
    }
    expect(() => decodeRecord(bytes.subarray(0, at), 'x'), `${at} bytes`).toThrow('cut short')
  }
})
