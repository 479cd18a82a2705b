import type { Random } from './random.ts'

/** Job, vertex, operator, trigger and allocation ids are 32 lower-case hex digits, as in Flink's REST API. */
export type Id = string

export function newId(random: Random): Id {
  return hex(random.bytes(16))
}

export function isId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}

export function hex(bytes: Uint8Array): string {
  let out = ''
  for (const byte of bytes) out += byte.toString(16).padStart(2, '0')
  return out
}
