import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from './bytes.ts'

test('a value written just where the writer has to grow is not lost', () => {
  for (let before = 0; before < 40; before++) {
    const out = new ByteWriter(1)
    for (let i = 0; i < before; i++) out.u8(i)
    out.u16(0x1234)
    out.f64(Math.PI)
    out.i64(-5n)
    out.u32(0xdeadbeef)
    out.i32(-7)
    out.f32(0.5)
    out.varint(2 ** 40 + 1)
    out.raw(Uint8Array.of(1, 2, 3))
    out.string('grün')
    out.u8(255)
    const input = new ByteReader(out.copy())
    for (let i = 0; i < before; i++) expect(input.u8()).toBe(i)
    const read = [
      input.u16(),
      input.f64(),
      input.i64(),
      input.u32(),
      input.i32(),
      input.f32(),
      input.varint(),
      input.raw(3),
      input.string(),
      input.u8(),
    ]
    expect(read).toEqual([0x1234, Math.PI, -5n, 0xdeadbeef, -7, 0.5, 2 ** 40 + 1, Uint8Array.of(1, 2, 3), 'grün', 255])
    expect(input.remaining).toBe(0)
  }
})

test('bytes read from a Buffer do not change with it', () => {
  const buffer = Buffer.from([1, 2, 3])
  const read = new ByteReader(buffer).raw(3)
  buffer.fill(9)
  expect(read).toEqual(Uint8Array.of(1, 2, 3))
})
