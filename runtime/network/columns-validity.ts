import { assert } from '../common/assert.ts'
import type { Validity } from './columns.ts'

/** The bits of rows that are not null; no array while none is. */
export class ValidityBuilder {
  private bits: Uint8Array<ArrayBuffer> | undefined = undefined

  /** Called before `count` moves. Only needed for nulls, and for rows behind the first null. */
  append(count: number, valid: boolean): void {
    let { bits } = this
    if (bits === undefined) {
      if (valid) return
      bits = this.start(count)
    }
    if (count >> 3 >= bits.length) bits = this.grow(count + 1)
    if (valid) bits[count >> 3]! |= 1 << (count & 7)
    else bits[count >> 3]! &= ~(1 << (count & 7))
  }

  gather(count: number, validity: Validity, order: Int32Array, from: number, to: number): void {
    if (validity === undefined && this.bits === undefined) return
    for (let i = from; i < to; i++) {
      const row = order[i]!
      this.append(count + i - from, validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0)
    }
  }

  appendRange(count: number, validity: Validity, from: number, to: number): void {
    if (validity === undefined && this.bits === undefined) return
    for (let row = from; row < to; row++) this.append(count + row - from, validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0)
  }

  finish(count: number): Validity {
    const bits = this.bits?.subarray(0, (count + 7) >> 3)
    this.bits = undefined
    return bits
  }

  private start(count: number): Uint8Array<ArrayBuffer> {
    const bits = new Uint8Array(Math.max(32, (count >> 3) + 1))
    bits.fill(0xff, 0, (count + 7) >> 3)
    this.bits = bits
    return bits
  }

  private grow(needed: number): Uint8Array<ArrayBuffer> {
    const old = this.bits
    assert(old !== undefined, 'only present bits grow')
    const bits = new Uint8Array(Math.max((needed + 7) >> 3, old.length * 2))
    bits.set(old)
    this.bits = bits
    return bits
  }
}
