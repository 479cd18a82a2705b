import type { Condition } from './fields.ts'

/** A condition as rules say it; when its status changed is worked out from those before. */
export type WantedCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>

/**
 * The conditions of an object after a pass, in the order in which they are wanted. `lastTransitionTime` changes with `status` only: it answers "since when". A type
 * that is not wanted is dropped.
 */
export function conditionsAfter(
  before: readonly Condition[],
  wanted: readonly WantedCondition[],
  { nowMs, observedGeneration }: { readonly nowMs: number; readonly observedGeneration: number },
): Condition[] {
  return wanted.map(condition => {
    const previous = before.find(({ type }) => type === condition.type)
    const lastTransitionTime = previous?.status === condition.status ? previous.lastTransitionTime : new Date(nowMs).toISOString()
    return { ...condition, message: cut(condition.message), lastTransitionTime, observedGeneration }
  })
}

/** What an API server takes. */
const MESSAGE_MAX = 32_768

function cut(message: string): string {
  return message.length > MESSAGE_MAX ? `${message.slice(0, MESSAGE_MAX - 3)}...` : message
}
