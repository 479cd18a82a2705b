import { ByteReader, ByteWriter } from '../../common/bytes.ts'
import type { JsonValue } from '../../common/json.ts'
import type { OperatorListSnapshot, RestoredSnapshot } from '../../state/snapshot.ts'

/** Operator state whose items are few and the engine's own: JSON in texts. */
export function jsonList(name: string, mode: OperatorListSnapshot['mode'], items: readonly JsonValue[]): OperatorListSnapshot {
  return {
    name,
    mode,
    type: { kind: 'STRING' },
    items: items.map(item => {
      const writer = new ByteWriter()
      writer.string(JSON.stringify(item))
      return writer.copy()
    }),
  }
}

/** Whoever asks knows what it wrote. */
export function jsonItems<T extends JsonValue>(snapshot: RestoredSnapshot, name: string): T[] {
  const items = snapshot.lists.find(list => list.name === name)?.items ?? []
  return items.map(item => JSON.parse(new ByteReader(item).string()) as T)
}
