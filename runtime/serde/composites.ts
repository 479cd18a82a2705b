import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import type { TypeSerializer } from './type-information.ts'
import { mismatch, propertyStep, within } from './unsupported-value.ts'

/**
 * Tuples and rows: a bitmap of null fields (bit i of byte i / 8; at least one byte), then the other fields in declared order.
 * Lists and maps: a varint of `count * 2 + nulls`; where `nulls` is 1 a byte stands before each element (value of a map): 1 = null.
 * No names, no types: those are in the TypeJson, which is kept beside the bytes.
 */
type Field = TypeSerializer<unknown>

/** `columnKinds` where all fields have a columnar form. */
export function tupleSerializer(fields: readonly Field[], columnKinds?: readonly string[]): TypeSerializer<readonly unknown[]> {
  const [first, second, third] = fields
  if (fields.length === 2) return new Tuple2Serializer(first!, second!, columnKinds) // the length was just looked at
  if (fields.length === 3) return new Tuple3Serializer(first!, second!, third!, columnKinds) // the length was just looked at
  return new TupleSerializer(fields, columnKinds)
}

class Tuple2Serializer implements TypeSerializer<readonly unknown[]> {
  readonly columnKinds: readonly string[] | undefined
  private readonly field0: Field
  private readonly field1: Field

  constructor(field0: Field, field1: Field, columnKinds: readonly string[] | undefined) {
    this.columnKinds = columnKinds
    this.field0 = field0
    this.field1 = field1
  }

  write(value: readonly unknown[], out: ByteWriter): void {
    checkTuple(value, 2)
    const mark = out.reserve(1)
    const a = value[0]
    const b = value[1]
    let nulls = 0
    let at = 0
    try {
      if (a === null || a === undefined) nulls = 1
      else this.field0.write(a, out)
      at = 1
      if (b === null || b === undefined) nulls |= 2
      else this.field1.write(b, out)
    } catch (error) {
      throw within(error, `[${at}]`)
    }
    out.bytes[mark] = nulls
  }

  read(input: ByteReader): readonly unknown[] {
    const nulls = input.u8()
    if (nulls > 3) throw brokenBitmap()
    const a = (nulls & 1) === 0 ? this.field0.read(input) : null
    const b = (nulls & 2) === 0 ? this.field1.read(input) : null
    return [a, b]
  }
}

class Tuple3Serializer implements TypeSerializer<readonly unknown[]> {
  readonly columnKinds: readonly string[] | undefined
  private readonly field0: Field
  private readonly field1: Field
  private readonly field2: Field

  constructor(field0: Field, field1: Field, field2: Field, columnKinds: readonly string[] | undefined) {
    this.columnKinds = columnKinds
    this.field0 = field0
    this.field1 = field1
    this.field2 = field2
  }

  write(value: readonly unknown[], out: ByteWriter): void {
    checkTuple(value, 3)
    const mark = out.reserve(1)
    const a = value[0]
    const b = value[1]
    const c = value[2]
    let nulls = 0
    let at = 0
    try {
      if (a === null || a === undefined) nulls = 1
      else this.field0.write(a, out)
      at = 1
      if (b === null || b === undefined) nulls |= 2
      else this.field1.write(b, out)
      at = 2
      if (c === null || c === undefined) nulls |= 4
      else this.field2.write(c, out)
    } catch (error) {
      throw within(error, `[${at}]`)
    }
    out.bytes[mark] = nulls
  }

  read(input: ByteReader): readonly unknown[] {
    const nulls = input.u8()
    if (nulls > 7) throw brokenBitmap()
    const a = (nulls & 1) === 0 ? this.field0.read(input) : null
    const b = (nulls & 2) === 0 ? this.field1.read(input) : null
    const c = (nulls & 4) === 0 ? this.field2.read(input) : null
    return [a, b, c]
  }
}

class TupleSerializer implements TypeSerializer<readonly unknown[]> {
  readonly columnKinds: readonly string[] | undefined
  private readonly fields: readonly Field[]
  private readonly bitmapBytes: number

  constructor(fields: readonly Field[], columnKinds: readonly string[] | undefined) {
    this.columnKinds = columnKinds
    this.fields = fields
    this.bitmapBytes = bitmapBytes(fields.length)
  }

  write(value: readonly unknown[], out: ByteWriter): void {
    const fields = this.fields
    checkTuple(value, fields.length)
    const mark = reserveBitmap(out, this.bitmapBytes)
    let i = 0
    try {
      for (; i < fields.length; i++) {
        const field = value[i]
        if (field === null || field === undefined) setNull(out, mark, i)
        else fields[i]!.write(field, out) // i < fields.length
      }
    } catch (error) {
      throw within(error, `[${i}]`)
    }
  }

  read(input: ByteReader): readonly unknown[] {
    const fields = this.fields
    const mark = takeBitmap(input, fields.length, this.bitmapBytes)
    const value: unknown[] = []
    for (let i = 0; i < fields.length; i++) value.push(isNull(input, mark, i) ? null : fields[i]!.read(input)) // i < fields.length
    return value
  }
}

export type RowFields = readonly { readonly name: string; readonly serializer: TypeSerializer<unknown> }[]

/** Reads declared fields only, of plain objects and class instances alike; what comes out is a plain object with all declared fields, in order. */
export class RowSerializer implements TypeSerializer<Readonly<Record<string, unknown>>> {
  readonly columnKinds: readonly string[] | undefined
  private readonly names: readonly string[]
  private readonly fields: readonly Field[]
  private readonly bitmapBytes: number
  /** Copied for each row read: all rows of a type get one hidden class at once instead of growing field by field. */
  private readonly template: Readonly<Record<string, unknown>>

  constructor(fields: RowFields, columnKinds?: readonly string[]) {
    this.columnKinds = columnKinds
    this.names = fields.map(field => field.name)
    this.fields = fields.map(field => field.serializer)
    this.bitmapBytes = bitmapBytes(fields.length)
    this.template = Object.fromEntries(this.names.map(name => [name, null]))
  }

  write(value: Readonly<Record<string, unknown>>, out: ByteWriter): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch('ROW', value)
    const names = this.names
    const fields = this.fields
    const mark = reserveBitmap(out, this.bitmapBytes)
    let i = 0
    try {
      for (; i < fields.length; i++) {
        const field = value[names[i]!] // names and fields are equally long
        if (field === null || field === undefined) setNull(out, mark, i)
        else fields[i]!.write(field, out) // i < fields.length
      }
    } catch (error) {
      throw within(error, propertyStep(names[i]!)) // i stands where the write threw
    }
  }

  read(input: ByteReader): Readonly<Record<string, unknown>> {
    const names = this.names
    const fields = this.fields
    const mark = takeBitmap(input, fields.length, this.bitmapBytes)
    const value: Record<string, unknown> = { ...this.template }
    for (let i = 0; i < fields.length; i++) {
      if (!isNull(input, mark, i)) value[names[i]!] = fields[i]!.read(input) // names and fields are equally long
    }
    return value
  }
}

export class ListSerializer implements TypeSerializer<readonly unknown[]> {
  private readonly element: Field

  constructor(element: Field) {
    this.element = element
  }

  write(value: readonly unknown[], out: ByteWriter): void {
    if (!Array.isArray(value)) throw mismatch('LIST', value)
    const element = this.element
    let hasNulls = false
    for (let i = 0; i < value.length && !hasNulls; i++) hasNulls = value[i] === null || value[i] === undefined
    out.varint(value.length * 2 + (hasNulls ? 1 : 0))
    let i = 0
    try {
      for (; i < value.length; i++) writeNullable(element, value[i], hasNulls, out)
    } catch (error) {
      throw within(error, `[${i}]`)
    }
  }

  read(input: ByteReader): readonly unknown[] {
    const header = input.varint()
    const count = readCount(header, input)
    const value: unknown[] = []
    for (let i = 0; i < count; i++) value.push(readNullable(this.element, header % 2 === 1, input))
    return value
  }
}

export class MapSerializer implements TypeSerializer<ReadonlyMap<unknown, unknown>> {
  private readonly key: Field
  private readonly value: Field

  constructor(key: Field, value: Field) {
    this.key = key
    this.value = value
  }

  write(map: ReadonlyMap<unknown, unknown>, out: ByteWriter): void {
    if (!(map instanceof Map)) throw mismatch('MAP', map)
    let hasNulls = false
    for (const value of map.values()) hasNulls ||= value === null || value === undefined
    out.varint(map.size * 2 + (hasNulls ? 1 : 0))
    for (const [key, value] of map) {
      let step = '.key'
      try {
        this.key.write(key, out)
        step = mapStep(key)
        writeNullable(this.value, value, hasNulls, out)
      } catch (error) {
        throw within(error, step)
      }
    }
  }

  read(input: ByteReader): ReadonlyMap<unknown, unknown> {
    const header = input.varint()
    const count = readCount(header, input)
    const map = new Map<unknown, unknown>()
    for (let i = 0; i < count; i++) {
      const key = this.key.read(input)
      map.set(key, readNullable(this.value, header % 2 === 1, input))
    }
    return map
  }
}

export function mapStep(key: unknown): string {
  return `.get(${typeof key === 'string' ? JSON.stringify(key) : typeof key === 'object' ? '…' : String(key)})`
}

function writeNullable(type: Field, value: unknown, hasNulls: boolean, out: ByteWriter): void {
  const isNull = value === null || value === undefined
  if (hasNulls) out.u8(isNull ? 1 : 0)
  if (!isNull) type.write(value, out)
}

function readNullable(type: Field, hasNulls: boolean, input: ByteReader): unknown {
  if (!hasNulls) return type.read(input)
  const flag = input.u8()
  if (flag > 1) throw brokenBitmap()
  return flag === 1 ? null : type.read(input)
}

/** Every element takes a byte or more, so a count beyond the bytes left is refused before anything is made of it. */
function readCount(header: number, input: ByteReader): number {
  const count = Math.floor(header / 2)
  if (count > input.remaining)
    throw new FlinkError('CORRUPT_FRAME', `an encoded collection says ${count} elements, ${input.remaining} bytes are left`)
  return count
}

function checkTuple(value: unknown, arity: number): void {
  if (!Array.isArray(value) || value.length !== arity) throw mismatch(`TUPLE of ${arity}`, value)
}

function bitmapBytes(fields: number): number {
  return Math.max(1, Math.ceil(fields / 8))
}

function reserveBitmap(out: ByteWriter, byteCount: number): number {
  const mark = out.reserve(byteCount)
  for (let i = 0; i < byteCount; i++) out.bytes[mark + i] = 0
  return mark
}

function setNull(out: ByteWriter, mark: number, field: number): void {
  const at = mark + (field >> 3)
  out.bytes[at] = out.bytes[at]! | (1 << (field & 7)) // inside the reserved bitmap
}

function takeBitmap(input: ByteReader, fields: number, byteCount: number): number {
  const mark = input.take(byteCount)
  const unused = byteCount * 8 - fields
  if (input.bytes[mark + byteCount - 1]! >> (8 - unused) !== 0) throw brokenBitmap() // the bitmap was just taken
  return mark
}

function isNull(input: ByteReader, mark: number, field: number): boolean {
  return (input.bytes[mark + (field >> 3)]! & (1 << (field & 7))) !== 0 // inside the taken bitmap
}

function brokenBitmap(): FlinkError {
  return new FlinkError('CORRUPT_FRAME', 'an encoded null bitmap has bits of no field')
}
