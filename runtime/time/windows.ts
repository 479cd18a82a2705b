import { parseDuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'

/** [start, end) in epoch ms; its last timestamp is end - 1. */
export class TimeWindow {
  readonly start: number
  readonly end: number

  constructor(start: number, end: number) {
    this.start = start
    this.end = end
  }

  getStart(): number {
    return this.start
  }

  getEnd(): number {
    return this.end
  }

  maxTimestamp(): number {
    return this.end - 1
  }
}

/** Start of the window of `size` that holds `timestamp`. The remainder is floored, so that times before the epoch fall into the right window. */
export function windowStart(timestamp: number, offset: number, size: number): number {
  const remainder = (timestamp - offset) % size
  return remainder < 0 ? timestamp - remainder - size : timestamp - remainder
}

/** Windows that do not overlap: a record is in exactly one, which its start names. */
export interface TumblingWindowAssigner {
  readonly kind: 'tumbling'
  readonly timeDomain: 'EVENT_TIME' | 'PROCESSING_TIME'
  readonly sizeMs: number
  readonly offsetMs: number
}

export class TumblingEventTimeWindows implements TumblingWindowAssigner {
  readonly kind = 'tumbling'
  readonly timeDomain = 'EVENT_TIME'
  readonly sizeMs: number
  readonly offsetMs: number

  private constructor(sizeMs: number, offsetMs: number) {
    this.sizeMs = sizeMs
    this.offsetMs = offsetMs
  }

  static of(size: string | number, offset: string | number = 0): TumblingEventTimeWindows {
    const [sizeMs, offsetMs] = tumblingSpans('TumblingEventTimeWindows', size, offset)
    return new TumblingEventTimeWindows(sizeMs, offsetMs)
  }
}

export class TumblingProcessingTimeWindows implements TumblingWindowAssigner {
  readonly kind = 'tumbling'
  readonly timeDomain = 'PROCESSING_TIME'
  readonly sizeMs: number
  readonly offsetMs: number

  private constructor(sizeMs: number, offsetMs: number) {
    this.sizeMs = sizeMs
    this.offsetMs = offsetMs
  }

  static of(size: string | number, offset: string | number = 0): TumblingProcessingTimeWindows {
    const [sizeMs, offsetMs] = tumblingSpans('TumblingProcessingTimeWindows', size, offset)
    return new TumblingProcessingTimeWindows(sizeMs, offsetMs)
  }
}

function tumblingSpans(name: string, size: string | number, offset: string | number): [number, number] {
  const sizeMs = typeof size === 'number' ? size : parseDuration(size)
  const offsetMs = typeof offset === 'number' ? offset : parseDuration(offset)
  if (!Number.isInteger(sizeMs) || sizeMs <= 0 || !Number.isInteger(offsetMs) || Math.abs(offsetMs) >= sizeMs)
    throw new FlinkError(
      'INVALID_PROGRAM',
      `${name}: the size must be positive and the offset smaller than it, in whole milliseconds; got size ${size}, offset ${offset}`,
    )
  return [sizeMs, offsetMs]
}
