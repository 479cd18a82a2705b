import { expect, test } from 'vitest'
import { ProtocolReader, ProtocolWriter } from './protocol-io.ts'

test('every primitive is read as it was written, wherever the buffer grows', () => {
  // The first growth comes at 256 bytes: each kind of value meets it somewhere.
  for (let padding = 240; padding < 260; padding++) {
    const out = new ProtocolWriter()
    for (let i = 0; i < padding; i++) out.int8(1)
    out.int16(-2).int32(3).int64(-4n).unsignedVarint(300).string('five').fixedString('six').fixedBytes(Buffer.from('seven'))
    out
      .array([8], value => out.int32(value))
      .fixedArray([9], value => out.int64(BigInt(value)))
      .tags()
    const input = new ProtocolReader(Buffer.from(out.take()))
    for (let i = 0; i < padding; i++) expect(input.int8()).toBe(1)
    expect([input.int16(), input.int32(), input.int64(), input.unsignedVarint(), input.string(), input.fixedString()]).toEqual([
      -2,
      3,
      -4n,
      300,
      'five',
      'six',
    ])
    expect([input.int32(), input.bytes.toString('latin1', input.position, input.position + 5)]).toEqual([5, 'seven'])
    input.position += 5
    expect([input.array(() => input.int32()), input.fixedArray(() => input.int64())]).toEqual([[8], [9n]])
    input.tags()
    expect(input.position).toBe(input.bytes.length)
  }
})
