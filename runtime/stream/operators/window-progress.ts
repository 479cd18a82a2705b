import { ByteReader, ByteWriter } from '../../common/bytes.ts'
import { type DeclaredState, listState } from '../../graph/declared-state.ts'
import type { OperatorListSnapshot, RestoredSnapshot } from '../../state/snapshot.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../../time/watermark.ts'

/**
 * Up to which watermark an operator's windows have fired, as operator state, as Flink's SQL windows have it: sources begin their watermarks anew after a
 * restore, and until these have caught up no window may fire twice, nor a late row begin one that has fired.
 */
export function progressLists(firedWatermark: number): OperatorListSnapshot[] {
  const writer = new ByteWriter(8)
  writer.f64(firedWatermark)
  return [{ name: WATERMARK_STATE, mode: 'union', type: { kind: 'DOUBLE' }, items: [writer.copy()] }]
}

/** The least of all subtasks'. Behind the end of an input there is nothing that could be late for it. */
export function restoredProgress({ lists }: RestoredSnapshot): number {
  let least = MAX_WATERMARK
  for (const { name, items } of lists) if (name === WATERMARK_STATE) for (const item of items) least = Math.min(least, new ByteReader(item).f64())
  return least === MAX_WATERMARK ? MIN_WATERMARK : least
}

/** For the graph, which knows states without running. */
export const progressState: DeclaredState = listState('_watermark', 'union', { kind: 'DOUBLE' })

const WATERMARK_STATE = progressState.name
