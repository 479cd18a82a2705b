import type { WindowSpec } from '../plan/physical.ts'

/**
 * Slices: the largest pieces of time of which every window is a union, so that a row is added once whatever its number of windows. A slice is
 * named by its end. TUMBLE: the window; HOP: gcd of size and slide; CUMULATE: the step.
 *
 * Sums of ends and starts are floored, also before the epoch. All times in ms.
 */
export interface Slicing {
  readonly sliceSize: number
  readonly offset: number
  /** Windows end at multiples of this (plus offset); one fires when the watermark passes its end - 1. */
  readonly windowStep: number
  /** Slices of the window that ends at `windowEnd`, as ends, oldest first. */
  slicesOf(windowEnd: number): { readonly first: number; readonly last: number }
  windowStart(windowEnd: number): number
  /** The first window end that holds a slice, and the last. */
  firstWindowEnd(sliceEnd: number): number
  lastWindowEnd(sliceEnd: number): number
}

export const SLICES_PER_WINDOW_MAX = 1_000

export function slicingOf(window: WindowSpec): Slicing {
  switch (window.kind) {
    case 'TUMBLE':
      return hopSlicing(window.size, window.size, window.offset)
    case 'HOP':
      return hopSlicing(window.size, window.slide, window.offset)
    case 'CUMULATE': {
      const { size, step, offset } = window
      const maxEnd = (sliceEnd: number) => floorTo(sliceEnd - 1, size, offset) + size
      return {
        sliceSize: step,
        offset,
        windowStep: step,
        slicesOf: windowEnd => ({ first: maxEnd(windowEnd) - size + step, last: windowEnd }),
        windowStart: windowEnd => maxEnd(windowEnd) - size,
        firstWindowEnd: sliceEnd => sliceEnd,
        lastWindowEnd: maxEnd,
      }
    }
  }
}

function hopSlicing(size: number, slide: number, offset: number): Slicing {
  const sliceSize = gcd(size, slide)
  return {
    sliceSize,
    offset,
    windowStep: slide,
    slicesOf: windowEnd => ({ first: windowEnd - size + sliceSize, last: windowEnd }),
    windowStart: windowEnd => windowEnd - size,
    // Windows end at offset + k * slide (+ size, which shifts nothing when size is a multiple of slide; else the grid is that of starts).
    firstWindowEnd: sliceEnd => ceilTo(sliceEnd - size, slide, offset) + size,
    lastWindowEnd: sliceEnd => floorTo(sliceEnd - sliceSize, slide, offset) + size,
  }
}

/** End of the slice that holds `timestamp`. */
export function sliceEndOf(slicing: Slicing, timestamp: number): number {
  return floorTo(timestamp, slicing.sliceSize, slicing.offset) + slicing.sliceSize
}

export function floorTo(time: number, step: number, offset: number): number {
  return Math.floor((time - offset) / step) * step + offset
}

function ceilTo(time: number, step: number, offset: number): number {
  return Math.ceil((time - offset) / step) * step + offset
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
