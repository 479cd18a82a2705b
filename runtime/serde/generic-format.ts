/** Final: snapshots hold these numbers. A new kind of value takes the next tag, a changed encoding a new version. */
export const GENERIC_CODEC_VERSION = 1

/** Stays as it is whatever the codec's version: state is found by the bytes of its key. */
export const GENERIC_KEY_VERSION = 1

export const GENERIC_DEPTH_MAX = 100

export const genericTags = {
  NULL: 0,
  UNDEFINED: 1,
  FALSE: 2,
  TRUE: 3,
  /** Integers that fit; every other number, -0 too, is a DOUBLE. Both are JS numbers: the tag only saves bytes. */
  INT8: 4,
  INT32: 5,
  DOUBLE: 6,
  BIGINT64: 7,
  /** Varint length, then the magnitude, big-endian, without leading zeros. */
  POSITIVE_BIGINT: 8,
  NEGATIVE_BIGINT: 9,
  STRING: 10,
  /** Varint count, then key string and value each. */
  OBJECT: 11,
  NULL_PROTOTYPE_OBJECT: 12,
  ARRAY: 13,
  MAP: 14,
  SET: 15,
  DATE: 16,
  BYTES: 17,
  ARRAY_BUFFER: 18,
  /** A byte that is the index in `typedArrayKinds`, varint length in bytes, the bytes. */
  TYPED_ARRAY: 19,
} as const

export const typedArrayKinds = [
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const
