import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { KeyedIncrement, KeyedSnapshot, OperatorListSnapshot, OperatorSnapshot, RestoredSnapshot, StateSchema } from '../state/snapshot.ts'
import { readFileBytes, type StateBytes } from '../state/state-files.ts'
import type { ObjectRef } from './storage/manifest.ts'

/**
 * The state of a task, as it travels: the snapshots of its operators with places of bytes instead of bytes. At a barrier what is new of a task's bytes is
 * packed into one blob, which is written as an object of the store or, where it is small, carried along; what is not new has places in earlier blobs.
 * Whoever restores gets places in the blobs of as many tasks as had a part of his state, and reads those.
 *
 * `TaskStateJson` is this as JSON: in acknowledgements, in the body of manifests and in deployments.
 */
export interface TaskState {
  readonly operators: readonly OperatorState<StatePlace>[]
  /** Objects that it does not need, but later ones of the task will: no clean-up may take them. */
  readonly kept: readonly ObjectRef[]
}

export interface OperatorState<B, K = KeyedSnapshot<B>> {
  readonly operatorId: string
  readonly snapshot: OperatorSnapshot<B, K>
}

/** What an operator has handed over at a barrier. */
export type OperatorHandover<B> = OperatorState<B, KeyedIncrement<B>>

/** What an operator is restored from. */
export interface RestoredOperator {
  readonly operatorId: string
  readonly snapshot: RestoredSnapshot
}

/** Bytes `offset` to `offset + length` of a blob. */
export interface StatePlace {
  readonly blob: Blob
  readonly offset: number
  readonly length: number
}

/** `inline`: the bytes. */
export type Blob = { readonly kind: 'inline'; readonly bytes: Uint8Array } | { readonly kind: 'object'; readonly ref: ObjectRef }

interface Range {
  readonly offset: number
  readonly length: number
}

/** The bytes that were handed over one behind the other, and where each is. */
export interface PackedState {
  readonly bytes: Uint8Array
  readonly operators: readonly OperatorHandover<Range>[]
}

/** Of what was handed over: memory that is to be returned (`SegmentMemory`). */
export function sharedBuffers(operators: readonly OperatorHandover<Uint8Array>[]): readonly SharedArrayBuffer[] {
  const buffers = new Set<SharedArrayBuffer>()
  for (const { snapshot } of operators)
    for (const keyGroups of snapshot.keyed?.written.values() ?? [])
      for (const { buffer } of keyGroups.values()) if (buffer instanceof SharedArrayBuffer) buffers.add(buffer)
  return [...buffers]
}

/** Copies: nothing of what was handed over is needed any more. */
export function packState(operators: readonly OperatorHandover<Uint8Array>[]): PackedState {
  const parts: Uint8Array[] = []
  let length = 0
  const packed = operators.map(({ operatorId, snapshot }) => ({
    operatorId,
    snapshot: mapIncrement(snapshot, bytes => {
      const range = { offset: length, length: bytes.length }
      parts.push(bytes)
      length += bytes.length
      return range
    }),
  }))
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return { bytes, operators: packed }
}

/** Where the packed bytes are now. */
export function placedIn(packed: PackedState, blob: Blob): readonly OperatorHandover<StatePlace>[] {
  return packed.operators.map(({ operatorId, snapshot }) => ({
    operatorId,
    snapshot: mapIncrement(snapshot, range => ({ blob, ...range })),
  }))
}

/** Objects that the state needs. */
export function objectsOf(operators: TaskState['operators']): readonly ObjectRef[] {
  const refs = new Map<string, ObjectRef>()
  for (const { snapshot } of operators) mapSnapshot(snapshot, ({ blob }) => (blob.kind === 'object' ? refs.set(blob.ref.name, blob.ref) : undefined))
  return [...refs.values()]
}

/** Bytes of all these operators. */
export function sizeOf(operators: TaskState['operators']): number {
  let size = 0
  for (const { snapshot } of operators) {
    mapSnapshot(snapshot, ({ length }) => {
      size += length
    })
  }
  return size
}

/** Bytes that this checkpoint has written: the task's own object, and what the manifest carries, of earlier ones too. */
export function writtenSize({ operators, kept }: TaskState, ownObject: string): number {
  let size = [...objectsOf(operators), ...kept].find(({ name }) => name === ownObject)?.size ?? 0
  for (const { snapshot } of operators) {
    mapSnapshot(snapshot, ({ blob, length }) => {
      if (blob.kind === 'inline') size += length
    })
  }
  return size
}

/** Bytes that are written for it. */
export function handedOverSize({ snapshot }: OperatorHandover<Uint8Array>): number {
  let size = 0
  mapIncrement(snapshot, bytes => {
    size += bytes.length
  })
  return size
}

/** Fetches each object that the state needs once; `read` answers it whole, as it was written. */
export async function readState(
  operators: TaskState['operators'],
  read: (ref: ObjectRef) => Promise<StateBytes>,
): Promise<readonly RestoredOperator[]> {
  const objects = new Map<string, StateBytes>()
  for (const ref of objectsOf(operators)) objects.set(ref.name, await read(ref))
  return Promise.all(
    operators.map(async ({ operatorId, snapshot }) => {
      const { keyed, lists } = mapSnapshot(snapshot, ({ blob, offset, length }): StateBytes => {
        const bytes = blob.kind === 'inline' ? blob.bytes : objects.get(blob.ref.name)
        if (bytes === undefined || offset + length > bytes.length)
          throw new FlinkError('CORRUPT_CHECKPOINT', `state of operator ${operatorId} lies behind the end of its data`)
        return bytes instanceof Uint8Array ? bytes.subarray(offset, offset + length) : { file: bytes.file, offset: bytes.offset + offset, length }
      })
      return { operatorId, snapshot: { keyed, lists: await inMemory(lists) } }
    }),
  )
}

/** Items of a list lie side by side: each file is read once, from the first to the last of them. */
async function inMemory(lists: readonly OperatorListSnapshot<StateBytes>[]): Promise<readonly OperatorListSnapshot[]> {
  const ends = new Map<string, { readonly start: number; readonly end: number }>()
  for (const { items } of lists)
    for (const item of items) {
      if (item instanceof Uint8Array) continue
      const { start, end } = ends.get(item.file) ?? { start: item.offset, end: 0 }
      ends.set(item.file, { start: Math.min(start, item.offset), end: Math.max(end, item.offset + item.length) })
    }
  const read = new Map<string, { readonly start: number; readonly bytes: Uint8Array }>()
  for (const [file, { start, end }] of ends) read.set(file, { start, bytes: await readFileBytes({ file, offset: start, length: end - start }) })
  return mapLists(lists, item => {
    if (item instanceof Uint8Array) return item
    const { start, bytes } = read.get(item.file) as { readonly start: number; readonly bytes: Uint8Array }
    return bytes.subarray(item.offset - start, item.offset - start + item.length)
  })
}

/** Another form of the same snapshot; `map` is called once for each piece, in order. */
export function mapSnapshot<A, B>({ keyed, lists }: OperatorSnapshot<A>, map: (piece: A) => B): OperatorSnapshot<B> {
  return {
    keyed: keyed === undefined ? undefined : { ...keyed, keyGroups: mapValues(keyed.keyGroups, pieces => pieces.map(map)) },
    lists: mapLists(lists, map),
  }
}

/** The same of what was handed over. */
function mapIncrement<A, B>({ keyed, lists }: OperatorHandover<A>['snapshot'], map: (piece: A) => B): OperatorHandover<B>['snapshot'] {
  return {
    keyed: keyed === undefined ? undefined : { ...keyed, written: mapValues(keyed.written, segment => mapValues(segment, map)) },
    lists: mapLists(lists, map),
  }
}

function mapLists<A, B>(lists: readonly OperatorListSnapshot<A>[], map: (piece: A) => B): OperatorListSnapshot<B>[] {
  return lists.map(list => ({ ...list, items: list.items.map(map) }))
}

function mapValues<K, A, B>(entries: ReadonlyMap<K, A>, map: (value: A) => B): Map<K, B> {
  return new Map([...entries].map(([key, value]) => [key, map(value)]))
}

type BlobJson = { readonly inline: string } | { readonly object: ObjectRef }
/** Index of the blob, offset, length. */
type PlaceJson = readonly [number, number, number]

interface OperatorStateJson {
  readonly operatorId: string
  readonly keyed: {
    readonly keyType: TypeJson
    readonly schemas: readonly StateSchema[]
    readonly keyGroups: readonly (readonly [number, readonly PlaceJson[]])[]
    readonly sized?: true
  } | null
  readonly lists: readonly OperatorListSnapshot<PlaceJson>[]
}

interface TaskStateShape {
  readonly blobs: readonly BlobJson[]
  readonly operators: readonly OperatorStateJson[]
  readonly kept: readonly ObjectRef[]
}

export function taskStateToJson({ operators, kept }: TaskState): JsonObject {
  const blobs = new Map<string | Uint8Array, { readonly index: number; readonly json: BlobJson }>()
  const place = ({ blob, offset, length }: StatePlace): PlaceJson => {
    const id = blob.kind === 'inline' ? blob.bytes : blob.ref.name
    let known = blobs.get(id)
    if (known === undefined) {
      const json = blob.kind === 'inline' ? { inline: Buffer.from(blob.bytes).toString('base64') } : { object: blob.ref }
      blobs.set(id, (known = { index: blobs.size, json }))
    }
    return [known.index, offset, length]
  }
  const described = operators.map(({ operatorId, snapshot }): OperatorStateJson => {
    const { keyed, lists } = mapSnapshot(snapshot, place)
    return { operatorId, keyed: keyed === undefined ? null : { ...keyed, keyGroups: [...keyed.keyGroups] }, lists }
  })
  const shape: TaskStateShape = { blobs: [...blobs.values()].map(({ json }) => json), operators: described, kept }
  return shape as unknown as JsonObject
}

/** What `taskStateToJson` made; it has crossed a socket or lain in a store, whose own checksums hold it. */
export function taskStateFromJson(json: JsonObject): TaskState {
  const { blobs, operators, kept } = json as unknown as TaskStateShape
  const known = blobs.map(
    (blob): Blob =>
      'inline' in blob ? { kind: 'inline', bytes: new Uint8Array(Buffer.from(blob.inline, 'base64')) } : { kind: 'object', ref: blob.object },
  )
  const placeOf = ([index, offset, length]: PlaceJson): StatePlace => {
    const blob = known[index]
    if (blob === undefined) throw new FlinkError('CORRUPT_CHECKPOINT', `state names blob ${index} of ${known.length}`)
    return { blob, offset, length }
  }
  return {
    operators: operators.map(({ operatorId, keyed, lists }) => ({
      operatorId,
      snapshot: mapSnapshot<PlaceJson, StatePlace>({ keyed: keyed === null ? undefined : keyedFromJson(keyed), lists }, placeOf),
    })),
    kept,
  }
}

function keyedFromJson(keyed: NonNullable<OperatorStateJson['keyed']>): KeyedSnapshot<PlaceJson> {
  return { ...keyed, keyGroups: new Map(keyed.keyGroups) }
}
