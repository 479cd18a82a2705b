import type { ByteRange, ObjectStore } from '../../runtime/checkpoint/storage/object-store.ts'
import { FlinkError } from '../../runtime/common/errors.ts'

/**
 * What can happen to one call of a store:
 * - `before`, `after`: the process dies at that point, and never comes back from the call;
 * - `failed`: an error, and nothing was done;
 * - `lost`: it was done, and the answer never came;
 * - `late`: the answer never came, and it is done a while later, behind calls that come after it.
 */
export const faults = ['before', 'after', 'failed', 'lost', 'late'] as const
export type Fault = (typeof faults)[number]

/** The process has died: whoever waits for it waits in vain. Tests look at `crashed`. */
export class Crash extends Error {}

/** A store in front of another one, for one process of several. Call number `at` meets the fault, once. */
export class FaultyStore implements ObjectStore {
  readonly uri: string
  calls = 0
  crashed = false
  /** What was asked for, in order: `create job/epochs/1`. */
  readonly log: string[] = []
  private readonly inner: ObjectStore
  private readonly at: number
  private readonly fault: Fault
  private readonly gate: (call: string) => Promise<void>
  private late: (() => Promise<unknown>) | undefined = undefined

  constructor(inner: ObjectStore, at = -1, fault: Fault = 'failed', gate: (call: string) => Promise<void> = async () => {}) {
    this.uri = inner.uri
    this.inner = inner
    this.at = at
    this.fault = fault
    this.gate = gate
  }

  create(path: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.call(`create ${path}`, () => this.inner.create(path, bytes), true)
  }

  read(path: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    return this.call(`read ${path}`, () => this.inner.read(path, range), false)
  }

  size(path: string): Promise<number | undefined> {
    return this.call(`size ${path}`, () => this.inner.size(path), false)
  }

  list(folder: string): Promise<readonly string[]> {
    return this.call(`list ${folder}`, () => this.inner.list(folder), false)
  }

  remove(path: string): Promise<void> {
    return this.call(`remove ${path}`, () => this.inner.remove(path), false)
  }

  /** What was under way when its answer got lost arrives now. */
  async settle(): Promise<void> {
    const { late } = this
    this.late = undefined
    await late?.()
  }

  private async call<T>(what: string, act: () => Promise<T>, creates: boolean): Promise<T> {
    if (this.crashed) throw new Crash()
    await this.gate(what)
    const number = this.calls++
    this.log.push(what)
    if (number !== this.at) {
      const answer = await act()
      // Whatever was late is overtaken by one call.
      await this.settle()
      return answer
    }
    switch (this.fault) {
      case 'before':
        this.crashed = true
        throw new Crash()
      case 'after':
        await act()
        this.crashed = true
        throw new Crash()
      case 'failed':
        throw new FlinkError('EXTERNAL_SYSTEM', `${what}: 503`)
      case 'lost':
        await act()
        throw new FlinkError(creates ? 'OUTCOME_UNKNOWN' : 'EXTERNAL_SYSTEM', `${what}: no answer`)
      case 'late':
        if (creates || what.startsWith('remove')) this.late = act
        throw new FlinkError(creates ? 'OUTCOME_UNKNOWN' : 'EXTERNAL_SYSTEM', `${what}: no answer`)
    }
  }
}
