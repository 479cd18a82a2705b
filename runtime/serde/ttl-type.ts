import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import type { TypeJson, TypeSerializer } from './type-information.ts'

/** A value of a state with time-to-live and when it was written, or read where reading counts: epoch ms. null is a map's entry without value. */
export class TtlValue<T = unknown> {
  readonly value: T | null
  readonly at: number

  constructor(value: T | null, at: number) {
    this.value = value
    this.at = at
  }
}

/** The time, a byte that says whether there is a value, the value. */
export class TtlSerializer<T> implements TypeSerializer<TtlValue<T>> {
  private readonly value: TypeSerializer<T>

  constructor(value: TypeSerializer<T>) {
    this.value = value
  }

  write({ value, at }: TtlValue<T>, out: ByteWriter): void {
    out.f64(at)
    out.u8(value === null ? 0 : 1)
    if (value !== null) this.value.write(value, out)
  }

  read(input: ByteReader): TtlValue<T> {
    const at = input.f64()
    return new TtlValue(input.u8() === 0 ? null : this.value.read(input), at)
  }
}

/** Whether what a state of this type holds has a time-to-live: of lists their elements, of maps their values. */
export function expires(type: TypeJson): boolean {
  const values = type.kind === 'LIST' ? type.element : type.kind === 'MAP' ? type.value : type
  return values.kind === 'TTL'
}
