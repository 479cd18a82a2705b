import { keyBytes } from '../serde/key.ts'
import type { TypeInformation } from '../serde/type-information.ts'

/**
 * What stands for a key in a JS Map, so that two keys are the same entry exactly when they have the same bytes. Primitive keys stand
 * for themselves: no allocation per record. Composite ones become a string of their bytes.
 */
export type KeyIndex = (key: unknown) => unknown

export function keyIndexOf(type: TypeInformation): KeyIndex {
  switch (type.json.kind) {
    case 'STRING':
    case 'BOOLEAN':
    case 'SAFE_LONG':
      return identity
    case 'LONG':
      return longIndex
    case 'BYTE':
      return key => ((key as number) << 24) >> 24
    case 'SHORT':
      return key => ((key as number) << 16) >> 16
    case 'INT':
      return key => (key as number) | 0
    case 'FLOAT':
      return key => floatIndex(Math.fround(key as number))
    case 'DOUBLE':
      return key => floatIndex(key as number)
    case 'VOID':
      return () => null
    case 'GENERIC':
      return key => genericIndex(type, key)
    default:
      return key => bytesIndex(type, key)
  }
}

/** Whether an index is its key, as it is after a restore: a Map of indices holds the keys themselves. */
export function isOwnIndex(type: TypeInformation): boolean {
  const kind = type.json.kind
  return kind === 'STRING' || kind === 'BOOLEAN' || kind === 'LONG' || kind === 'SAFE_LONG'
}

function identity(key: unknown): unknown {
  return key
}

/** Wrapped, as its bytes and its hash are. What is no bigint is refused by whoever hashes it. */
function longIndex(key: unknown): unknown {
  return typeof key === 'bigint' ? BigInt.asIntN(64, key) : key
}

// A JS Map holds 0 and -0 as one key; Java's Double.equals and our bytes tell them apart.
const minusZero = Symbol('-0')

function floatIndex(key: number): unknown {
  return key === 0 && Object.is(key, -0) ? minusZero : key
}

function genericIndex(type: TypeInformation, key: unknown): unknown {
  switch (typeof key) {
    case 'string':
      // The first character keeps plain strings apart from the strings of bytes below.
      return key.charCodeAt(0) === 0 ? bytesIndex(type, key) : key
    case 'number':
      // 0 and -0 are one key where no type is declared (decision 0002), and so is what stands for them: rows compare it by Object.is.
      return key === 0 ? 0 : key
    case 'boolean':
    case 'bigint':
      return key
    default:
      return bytesIndex(type, key)
  }
}

function bytesIndex(type: TypeInformation, key: unknown): string {
  const bytes = keyBytes(type, key)
  let index = '\u0000'
  for (let i = 0; i < bytes.length; i++) index += String.fromCharCode(bytes[i] as number)
  return index
}
