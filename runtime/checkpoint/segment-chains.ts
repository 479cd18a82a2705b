import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import {
  isBeginning,
  type KeyedIncrement,
  type KeyedSnapshot,
  type OperatorIncrement,
  type OperatorSnapshot,
  RESTORED_SEGMENT,
} from '../state/snapshot.ts'

/**
 * Puts the whole of one operator subtask's state together from what it hands over at barriers: it says a segment's bytes once, and its name as long as it is
 * needed. Segments that the newest increment does not name are forgotten, for no later one will.
 *
 * An increment that stands behind one which could not be written cannot be had either; the operator takes back what it had once it hears of that.
 */
export class SegmentChain<B> {
  private segments = new Map<string, ReadonlyMap<number, readonly B[]>>()

  constructor(restored: KeyedSnapshot<B> | undefined) {
    if (restored !== undefined) this.segments.set(RESTORED_SEGMENT, restored.keyGroups)
  }

  /** The first segment that it stands behind and that is not there. */
  missing({ keyed }: OperatorIncrement<unknown>): string | undefined {
    if (keyed === undefined) return undefined
    return [...keyed.chain, ...keyed.kept].find(name => !keyed.written.has(name) && !this.segments.has(name))
  }

  /** In the order of barriers. */
  add({ keyed, lists }: OperatorIncrement<B>): OperatorSnapshot<B> {
    return { keyed: keyed === undefined ? undefined : this.whole(keyed), lists }
  }

  /** What later increments may stand behind. */
  *pieces(): Iterable<B> {
    for (const segment of this.segments.values()) for (const pieces of segment.values()) yield* pieces
  }

  private whole({ keyType, schemas, written, chain, kept, standalone }: KeyedIncrement<B>): KeyedSnapshot<B> {
    const known = new Map(this.segments)
    for (const [name, segment] of written) known.set(name, new Map([...segment].map(([keyGroup, piece]) => [keyGroup, [piece]])))
    const named = (names: readonly string[]) =>
      names.map(name => {
        const segment = known.get(name)
        assert(segment !== undefined, `segment ${name} was asked for by \`missing\``)
        return [name, segment] as const
      })
    const keyGroups = new Map<number, B[]>()
    const begun = new Set<number>()
    for (const [name, segment] of named(chain))
      for (const [keyGroup, pieces] of segment) {
        const present = keyGroups.get(keyGroup)
        const begins = isBeginning(name) && !begun.has(keyGroup)
        if (begins) begun.add(keyGroup)
        if (present === undefined || begins) keyGroups.set(keyGroup, [...pieces])
        else present.push(...pieces)
      }
    if (!standalone) this.segments = new Map(named([...chain, ...kept]))
    return { keyType, schemas, keyGroups: new Map([...keyGroups].sort(([a], [b]) => a - b)), sized: true }
  }
}

/** Of all operators of a task. */
export class SegmentChains<B> {
  private readonly chains = new Map<string, SegmentChain<B>>()

  constructor(restored: readonly { readonly operatorId: string; readonly snapshot: OperatorSnapshot<B> }[]) {
    for (const { operatorId, snapshot } of restored) this.chains.set(operatorId, new SegmentChain(snapshot.keyed))
  }

  of(operatorId: string): SegmentChain<B> {
    let chain = this.chains.get(operatorId)
    if (chain === undefined) this.chains.set(operatorId, (chain = new SegmentChain<B>(undefined)))
    return chain
  }

  /** Refuses what cannot be put together. */
  check(operators: readonly { readonly operatorId: string; readonly snapshot: OperatorIncrement<unknown> }[]): void {
    for (const { operatorId, snapshot } of operators) {
      const name = this.of(operatorId).missing(snapshot)
      if (name !== undefined)
        throw new FlinkError('EXTERNAL_SYSTEM', `the state of operator ${operatorId} stands behind segment ${name}, which could not be written`)
    }
  }

  *pieces(): Iterable<B> {
    for (const chain of this.chains.values()) yield* chain.pieces()
  }
}
