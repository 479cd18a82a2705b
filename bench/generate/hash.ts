/**
 * Chance that is a function of an index, so that any row can be made without those before it, and the same in Java
 * (`bench/flink/Hash.java`): 32-bit integer arithmetic only.
 */
export function mix(value: number): number {
  let hash = value | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/** A stream of numbers for one index: `at(i)` starts it, each `below(n)` takes the next. */
export class IndexedRandom {
  private readonly seed: number
  private state = 0

  constructor(seed: number) {
    this.seed = mix(seed)
  }

  at(index: number): void {
    // Both halves: indices go beyond 32 bits.
    this.state = mix((index | 0) ^ this.seed) ^ mix(Math.floor(index / 2 ** 32) + 0x51ed270b)
  }

  /** A whole number from 0 to n - 1; n up to 2^31. */
  below(n: number): number {
    this.state = (this.state + 0x9e3779b9) | 0
    return (mix(this.state) >>> 1) % n
  }

  /** From 0 up to but not including 1, in steps of 2^-31. */
  fraction(): number {
    this.state = (this.state + 0x9e3779b9) | 0
    return (mix(this.state) >>> 1) / 2 ** 31
  }
}
