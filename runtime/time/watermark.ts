/**
 * Watermarks are numbers of epoch milliseconds; "nothing yet" and "nothing will come any more" are infinities inside, so that
 * comparisons need no special case. Text shows them as Flink's longs.
 */
export const MIN_WATERMARK = Number.NEGATIVE_INFINITY
export const MAX_WATERMARK = Number.POSITIVE_INFINITY

export function formatWatermark(timestamp: number): string {
  if (timestamp === MIN_WATERMARK) return '-9223372036854775808'
  if (timestamp === MAX_WATERMARK) return '9223372036854775807'
  return String(timestamp)
}
