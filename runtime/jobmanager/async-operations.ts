import type { Clock } from '../common/clock.ts'
import { serializeError } from '../common/errors.ts'
import type { Operation } from '../rpc/job-manager-gateway.ts'

/**
 * What somebody has triggered and asks for later, by a key of theirs. Triggering a known key again changes nothing: a client repeats what got no answer.
 * The result is kept for `storeDurationMs`, and no more than `RESULTS_MAX` of them.
 */
export class AsyncOperations<T> {
  private readonly clock: Clock
  private readonly storeDurationMs: number
  private readonly operations = new Map<string, Operation<T>>()

  constructor(clock: Clock, storeDurationMs: number) {
    this.clock = clock
    this.storeDurationMs = storeDurationMs
  }

  trigger(key: string, start: () => Promise<T>): void {
    if (this.operations.has(key)) return
    this.operations.set(key, { kind: 'in-progress' })
    start().then(
      value => this.ended(key, { kind: 'completed', value }),
      (error: unknown) => this.ended(key, { kind: 'failed', error: serializeError(error) }),
    )
  }

  get(key: string): Operation<T> | undefined {
    return this.operations.get(key)
  }

  private ended(key: string, result: Operation<T>): void {
    this.operations.set(key, result)
    this.clock.schedule(this.storeDurationMs, () => this.operations.delete(key))
    if (this.operations.size <= RESULTS_MAX) return
    for (const [other, { kind }] of this.operations)
      if (kind !== 'in-progress' && other !== key) {
        this.operations.delete(other)
        return
      }
  }
}

const RESULTS_MAX = 1_000
