/**
 * Where a source begins that is not restored, as it stands in the JobGraph. `reset` is what becomes of a partition that the group has committed no
 * offset of; `offsets` are by split id.
 */
export type StartingOffsets =
  | 'earliest'
  | 'latest'
  | { readonly kind: 'committed'; readonly reset: OffsetReset }
  | { readonly kind: 'timestamp'; readonly timestampMs: number }
  | { readonly kind: 'specific'; readonly offsets: Readonly<Record<string, number>>; readonly reset: OffsetReset }

/** `none` fails the job. */
export type OffsetReset = 'earliest' | 'latest' | 'none'

/** What an offset that is not in the log becomes while it is read, in a source that says nothing else; as in Flink. */
export function resetOf(starting: StartingOffsets): OffsetReset {
  if (typeof starting === 'string') return starting
  return starting.kind === 'timestamp' ? 'latest' : starting.reset
}

/** Flink's words for it, between "partitions" and the partitions. */
export function startText(starting: StartingOffsets): string {
  if (typeof starting === 'string') return `from the ${starting} offsets`
  switch (starting.kind) {
    case 'committed':
      return 'from the committed group offsets in Kafka'
    case 'timestamp':
      return `from timestamp ${starting.timestampMs}`
    case 'specific': {
      const offsets = Object.entries(starting.offsets).map(([splitId, offset]) => `${splitId}=${offset}`)
      return `from the specified startup offsets {${offsets.join(', ')}}`
    }
  }
}

/** Whether committed offsets may be asked for. */
export function needsGroup(starting: StartingOffsets): boolean {
  return typeof starting !== 'string' && starting.kind === 'committed'
}
