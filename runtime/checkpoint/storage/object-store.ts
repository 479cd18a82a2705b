import { FlinkError } from '../../common/errors.ts'
import { hex } from '../../common/ids.ts'
import type { Random } from '../../common/random.ts'
import type { ObjectFile } from '../../state/state-files.ts'

/**
 * Where checkpoints lie: objects that are written once and never changed, below one root. Three of them are held to one contract
 * (test/support/object-store-contract.ts): memory of the JobManager, `file://`, `s3://`.
 *
 * What the protocol above (epoch-log.ts) relies on:
 * - `create` is atomic and exclusive: of several callers one gets `created`, and whoever reads sees all of an object or nothing;
 * - once `create` has answered, the object survives a crash of the machine (memory: of nothing) and every later `list` and `read` shows it;
 * - `exists` says that it is there, not whose it is: a gateway that tries again by itself turns our own `created` into it. Who has to know reads it;
 * - a `create` that fails with OUTCOME_UNKNOWN may or may not have had its effect, now or later; any other error means that it had none. A `remove`
 *   that fails is done again: names are never used twice.
 */
export interface ObjectStore {
  /** For messages. */
  readonly uri: string
  create(path: string, bytes: Uint8Array): Promise<'created' | 'exists'>
  /** All of it, or the bytes of `range`; undefined when it is not there. A range that goes beyond its end is CORRUPT_CHECKPOINT. */
  read(path: string, range?: ByteRange): Promise<Uint8Array | undefined>
  /** Where objects are files of this machine: this one, with its checksum; undefined when it is not there. */
  file?(path: string): Promise<ObjectFile | undefined>
  /** Length in bytes; undefined when it is not there. */
  size(path: string): Promise<number | undefined>
  /** Paths of all objects below `folder`, sorted; none when there is no such folder. */
  list(folder: string): Promise<readonly string[]>
  /** One that is not there is no error. */
  remove(path: string): Promise<void>
}

export interface ByteRange {
  readonly offset: number
  readonly length: number
}

/**
 * That exclusive creating works here is found out before the first checkpoint needs it: there are file systems that cannot, and stores that take no
 * notice of `If-None-Match`.
 */
export async function probeStore(store: ObjectStore, random: Random): Promise<void> {
  const name = `probe-${hex(random.bytes(8))}`
  try {
    const first = await store.create(name, new Uint8Array(1))
    const second = await store.create(name, new Uint8Array(1))
    await store.remove(name)
    if (first === 'created' && second === 'exists') return
  } catch (error) {
    // Nothing hangs on the outcome yet.
    if (!(error instanceof FlinkError) || error.code !== 'OUTCOME_UNKNOWN') throw error
    throw new FlinkError('EXTERNAL_SYSTEM', error.message, error.detail, error.cause)
  }
  throw new FlinkError('EXTERNAL_SYSTEM', `checkpoint storage ${store.uri} cannot be used: it does not keep two processes from creating one object`)
}

/** Further tries of a write whose answer was lost. */
const UNKNOWN_TRIES = 3

/** For a name that nobody else writes to: `exists` is what an earlier try has left. */
export async function createOwn(store: ObjectStore, path: string, bytes: Uint8Array): Promise<void> {
  for (let left = UNKNOWN_TRIES; ; left--) {
    try {
      await store.create(path, bytes)
      return
    } catch (error) {
      if (left === 0 || !(error instanceof FlinkError) || error.code !== 'OUTCOME_UNKNOWN') throw error
    }
  }
}

const PATH = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/

export function isPath(path: string): boolean {
  return PATH.test(path)
}

/** Relative, of plain names: nothing that a store could take for a way out of its root. Names that begin with a dot are the store's own. */
export function checkPath(path: string): string {
  if (!isPath(path))
    throw new FlinkError('INVALID_ARGUMENT', `"${path}" is no path of an object: names of letters, digits, ".", "_" and "-", joined by "/"`)
  return path
}

export function checkRange(path: string, range: ByteRange | undefined): void {
  if (range === undefined) return
  const { offset, length } = range
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || !Number.isSafeInteger(offset + length))
    throw new FlinkError('INVALID_ARGUMENT', `bytes ${offset} to ${offset + length} of ${path} are no range: expected whole numbers from 0 on`)
}

/** Whoever asks knows the length from a manifest: that the object is shorter is damage, and asking again does not help. */
export function beyondEnd(uri: string, path: string, { offset, length }: ByteRange, size: number): FlinkError {
  return new FlinkError('CORRUPT_CHECKPOINT', `${path} of ${uri} has ${size} bytes, expected it to reach to ${offset + length}`)
}
