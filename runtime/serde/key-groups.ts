import { assert } from '../common/assert.ts'
import { javaHash } from './key.ts'
import type { TypeInformation } from './type-information.ts'

/**
 * Which key group a key belongs to and which subtask owns a key group: the assignment of Flink's KeyGroupRangeAssignment, so that a
 * key lands in the same place in both engines. `test/oracle/keygroups` holds what a real Flink answers.
 */
export const MAX_PARALLELISM_MIN = 128
export const MAX_PARALLELISM_MAX = 32768

/** Both ends belong to the range. Empty (end < start) where there are more subtasks than key groups. */
export interface KeyGroupRange {
  readonly startKeyGroup: number
  readonly endKeyGroup: number
}

/** MurmurHash3 (32 bits, seed 0) of one int, made non-negative; the smallest int, which has no positive twin, becomes 0. */
export function murmurHash(int: number): number {
  let hash = Math.imul(int, 0xcc9e2d51)
  hash = (hash << 15) | (hash >>> 17)
  hash = Math.imul(hash, 0x1b873593)
  hash = (hash << 13) | (hash >>> 19)
  hash = (Math.imul(hash, 5) + 0xe6546b64) | 0
  hash ^= 4
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  hash ^= hash >>> 16
  if (hash >= 0) return hash
  return hash === -0x80000000 ? 0 : -hash
}

export function keyGroupOf(type: TypeInformation, key: unknown, maxParallelism: number): number {
  return murmurHash(javaHash(type, key)) % maxParallelism
}

export function subtaskOfKeyGroup(keyGroup: number, maxParallelism: number, parallelism: number): number {
  return Math.floor((keyGroup * parallelism) / maxParallelism)
}

export function keyGroupRange(maxParallelism: number, parallelism: number, subtask: number): KeyGroupRange {
  assert(subtask >= 0 && subtask < parallelism, 'the subtask exists at this parallelism')
  return {
    startKeyGroup: Math.ceil((subtask * maxParallelism) / parallelism),
    endKeyGroup: Math.floor(((subtask + 1) * maxParallelism - 1) / parallelism),
  }
}

/** For operators that set none: half as much again as the parallelism, rounded up to a power of two, within Flink's bounds. */
export function defaultMaxParallelism(parallelism: number): number {
  const wanted = parallelism + Math.floor(parallelism / 2)
  const rounded = 2 ** Math.ceil(Math.log2(wanted))
  return Math.min(Math.max(rounded, MAX_PARALLELISM_MIN), MAX_PARALLELISM_MAX)
}
