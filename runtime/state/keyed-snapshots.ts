import { assert } from '../common/assert.ts'
import { ByteReader } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { canonicalJson } from '../common/json.ts'
import { expires } from '../serde/ttl-type.ts'
import type { TypeInformation, TypeJson, TypeJsonObject } from '../serde/type-information.ts'
import { UnsupportedValueError } from '../serde/unsupported-value.ts'
import { shownKey } from './heap-state.ts'
import { ignoredPart } from './ignored-part.ts'
import type { KeyedPart } from './keyed-part.ts'
import { wholeRecords } from './row-record.ts'
import { type FinishedSegment, SegmentWriter } from './segment-writer.ts'
import { SequentialSegmentWriter } from './sequential-segment-writer.ts'
import { beginningName, type KeyedIncrement, type KeyedSnapshot, RESTORED_SEGMENT, type StateSchema } from './snapshot.ts'
import { type StateBytes, StateFiles } from './state-files.ts'
import { mayBeTyped } from './typed-later.ts'

/**
 * The snapshots of one operator subtask's keyed state (decision 0018). The state of a checkpoint is a chain of segments: a base, and behind it what has
 * changed at each barrier since the base was begun. Later records replace earlier ones, so a base need not be of one moment: it is written in pieces between
 * rows, and whatever changes in the meantime is in the segments of the barriers behind.
 *
 * 1. Parts are registered, always in the same order: the places of their schemas are in the bytes. `restore` once, before the first row.
 * 2. `snapshot` at a barrier, between two rows: what has changed since the barrier before, and the pieces of a base written since. Small states, states that
 *    have changed for the most part, and savepoints are whole instead.
 * 3. When the changes since the last base have come to a share of the state, a base is begun; `writeAhead` writes some of it, in proportion to the changes,
 *    as often as it is called, and shortly before the next barrier most of what has changed, so that the barrier itself takes less. While it is under way its pieces are kept by the checkpoints, not restored from; with its last one it is the chain's beginning.
 * 4. `confirm` when a checkpoint is complete. `takeBack` when one was given up: whatever the unconfirmed ones had is marked as changed again, and nothing later
 *    stands behind their segments. They may never have been written.
 *
 * Invariant: confirmed segments of the chain, then what is marked, then what unconfirmed ones hold, is the state.
 */
export interface SnapshotLimits {
  /** States up to this size are written whole. */
  readonly wholeBytesMax: number
  /** As are those of which this share has changed. */
  readonly wholeShare: number
  /** Of the state: changes behind the last base at which the next one is begun. */
  readonly baseShare: number
  /** Segments behind the last base at which the next one is begun, and in how many it should be written. */
  readonly segmentsMax: number
  /** Bytes of a base for each byte of changes. */
  readonly baseRate: number
  /** Bytes of a base between two runs of rows. */
  readonly pieceBytes: number
}

export const defaultSnapshotLimits: SnapshotLimits = {
  wholeBytesMax: 1024 * 1024,
  wholeShare: 1 / 2,
  baseShare: 1 / 4,
  segmentsMax: 64,
  baseRate: 3 / 2,
  pieceBytes: 32 * 1024,
}

export interface KeyedSnapshotsOptions {
  /** Name of the operator, for messages. */
  readonly owner: string
  readonly keyType: TypeInformation
  readonly maxParallelism: number
  /** Undefined = every snapshot is whole. */
  readonly limits?: SnapshotLimits | undefined
}

/** Of one buffer. */
const QUOTA_BYTES_MAX = 2 ** 30

interface Segment {
  readonly name: string
  readonly checkpointId: number
  readonly bytes: number
  /** Nothing is missing in front of it. */
  readonly whole: boolean
}

interface Unconfirmed {
  readonly checkpointId: number
  /** What it has of each part. */
  readonly rows: readonly unknown[]
}

interface Base {
  /** Index of the part that is being written. */
  part: number
  /** Until the next barrier. */
  quotaBytes: number
  /** Pieces, and what has changed since it was begun. */
  readonly chain: Segment[]
  pieces: Segment[]
  bytes: number
  records: number
  /** Of a key group the first piece has all that had changed until then: none was lost, and what has changed is of one part. */
  beginsKeyGroups: boolean
}

export class KeyedSnapshots {
  private readonly options: KeyedSnapshotsOptions
  private readonly parts: KeyedPart[] = []
  /** Undefined = there is nothing to stand behind: the next one is whole. */
  private chain: Segment[] | undefined = undefined
  private base: Base | undefined = undefined
  private readonly changesOut: SegmentWriter
  private readonly baseOut: SequentialSegmentWriter
  /** Oldest first. */
  private unconfirmed: Unconfirmed[] = []
  /** Behind the last base. */
  private changedBytes = 0
  private changedSegments = 0
  /** Of a record, as the last whole snapshot or base had them. */
  private recordBytes = 0

  constructor(options: KeyedSnapshotsOptions) {
    this.options = options
    this.changesOut = new SegmentWriter(options.keyType, options.maxParallelism)
    this.baseOut = new SequentialSegmentWriter(options.keyType, options.maxParallelism)
  }

  register(part: KeyedPart): void {
    const ids = new Set(this.schemas().map(schemaId))
    for (const schema of part.schemas) assert(!ids.has(schemaId(schema)), `state ${schema.name} is registered once`)
    part.tracks = this.options.limits !== undefined
    this.parts.push(part)
  }

  /** Undefined = the operator has no keyed state. */
  snapshot({ checkpointId, type }: { readonly checkpointId: number; readonly type: string }): KeyedIncrement | undefined {
    const { limits } = this.options
    if (this.schemas().length === 0) return undefined
    if (limits === undefined || type !== 'checkpoint') {
      const name = String(checkpointId)
      const { keyGroups, size } = this.writeWhole(false)
      // A full one is the newest checkpoint: later ones stand behind those before it, which must not go.
      const { chain = [], base } = this
      const kept = type === 'full-checkpoint' ? [...chain, ...(base?.chain ?? []), ...(base?.pieces ?? [])] : []
      return this.increment(new Map([[name, keyGroups]]), [{ name, checkpointId, bytes: size, whole: true }], kept, true)
    }
    return this.isWholeDue(limits) ? this.whole(checkpointId) : this.changes(checkpointId, limits)
  }

  /** Writes some of what the next snapshots need: of a base, if there is one under way, and of the changes. True = there is more to do before the next barrier. */
  writeAhead(): boolean {
    const { limits } = this.options
    if (limits === undefined || this.chain === undefined) return false
    const moreOfBase = this.continueBase(limits)
    return this.changesAhead(limits) || moreOfBase
  }

  private changesAhead(limits: SnapshotLimits): boolean {
    const { parts, changesOut: out } = this
    let isDue = false
    for (let i = 0; i < parts.length; i++) isDue ||= (parts[i] as KeyedPart).isAheadDue === true
    // If it will be whole, nothing is needed of it.
    if (!isDue || this.isWholeDue(limits)) return false
    for (let i = 0; i < parts.length; i++) if (this.writing(i, out, part => part.isAheadDue === true && part.writeAhead?.(out) === true)) return true
    return out.recordCount > 0 && out.prepare()
  }

  private continueBase({ pieceBytes }: SnapshotLimits): boolean {
    const { base, baseOut, parts } = this
    if (base === undefined) return false
    const sizeMax = Math.min(base.quotaBytes, baseOut.size + pieceBytes)
    while (base.part < parts.length && baseOut.size < base.quotaBytes) {
      if (!this.writing(base.part, baseOut, part => part.writeBase(baseOut, sizeMax))) return baseOut.size < base.quotaBytes
      base.part++
    }
    return false
  }

  /** This checkpoint is complete, and with it those that it stands behind. */
  confirm(checkpointId: number): void {
    for (const { rows } of this.unconfirmed.filter(each => each.checkpointId <= checkpointId))
      for (const [i, rowsOfPart] of rows.entries()) this.parts[i]?.confirm?.(rowsOfPart)
    this.unconfirmed = this.unconfirmed.filter(each => each.checkpointId > checkpointId)
  }

  /** This checkpoint was given up. What was taken after it, and is not complete yet, may depend on it. */
  takeBack(checkpointId: number): void {
    const { chain, base, unconfirmed } = this
    const lost = new Set(unconfirmed.map(each => each.checkpointId))
    if (!lost.has(checkpointId)) return
    const isLost = (segment: Segment) => lost.has(segment.checkpointId)
    if (chain === undefined || chain.some(segment => segment.whole && isLost(segment))) {
      this.chain = undefined
      this.endBase()
    } else {
      this.chain = chain.filter(segment => !isLost(segment))
      if (base !== undefined)
        this.base = {
          ...base,
          chain: base.chain.filter(each => !isLost(each)),
          pieces: base.pieces.filter(each => !isLost(each)),
          beginsKeyGroups: false,
        }
    }
    this.unconfirmed = []
    for (const { rows } of unconfirmed) for (const [i, rowsOfPart] of rows.entries()) this.parts[i]?.markAgain(rowsOfPart)
  }

  restore(snapshot: KeyedSnapshot<StateBytes>): void {
    const files = new StateFiles()
    try {
      this.restoreFrom(snapshot, files)
    } finally {
      files.close()
    }
  }

  private restoreFrom(snapshot: KeyedSnapshot<StateBytes>, files: StateFiles): void {
    this.checkKeyType(snapshot)
    const places = snapshot.schemas.map(schema => this.placeOf(schema))
    let bytes = 0
    let records = 0
    let segmentsMax = 0
    const sized = snapshot.sized === true
    const takesRows = sized && this.takesRowsOf(snapshot)
    for (const [keyGroup, segments] of snapshot.keyGroups) {
      segmentsMax = Math.max(segmentsMax, segments.length)
      const bytesExpected = Math.max(...segments.map(({ length }) => length))
      for (const segment of segments) {
        bytes += segment.length
        files.each(segment, sized ? wholeRecords : noneWhole, part => {
          const input = new ByteReader(part)
          while (input.remaining > 0) {
            if (takesRows) records += this.parts[0]?.restoreRows?.(keyGroup, input, bytesExpected) ?? 0
            if (input.remaining > 0) records += this.restoreRecord(input, keyGroup, places, sized)
          }
        })
      }
      for (const part of this.parts) part.keyGroupRestored?.()
    }
    for (const part of this.parts) part.restoreEnds?.()
    this.recordBytes = records === 0 ? 0 : bytes / records
    if (snapshot.foreign === true || !sized || this.options.limits === undefined || !sameJson(snapshot.schemas, this.schemas())) return
    this.chain = [{ name: RESTORED_SEGMENT, checkpointId: 0, bytes, whole: false }]
    this.changedBytes = Math.max(0, bytes - this.stateBytes())
    this.changedSegments = segmentsMax
  }

  private isWholeDue({ wholeBytesMax, wholeShare }: SnapshotLimits): boolean {
    if (this.chain === undefined) return true
    let changed = this.changesOut.recordCount
    for (const part of this.parts) changed += part.changedCount
    return changed > 0 && (this.stateBytes() <= wholeBytesMax || changed >= this.rowCount() * wholeShare)
  }

  private whole(checkpointId: number): KeyedIncrement {
    this.endBase()
    const { keyGroups, size, recordCount } = this.writeWhole(true)
    const segment = { name: String(checkpointId), checkpointId, bytes: size, whole: true }
    this.chain = [segment]
    // Given up, it is followed by another whole one.
    this.unconfirmed.push({ checkpointId, rows: [] })
    this.baseWritten(size, recordCount)
    return this.increment(new Map([[segment.name, keyGroups]]), [segment], [], false)
  }

  private changes(checkpointId: number, limits: SnapshotLimits): KeyedIncrement {
    assert(this.chain !== undefined, 'changes stand behind something')
    const written = new Map<string, ReadonlyMap<number, Uint8Array>>()
    if (this.base !== undefined) this.takePiece(this.base, checkpointId, written)
    const out = this.changesOut
    if (this.base !== undefined) this.base.beginsKeyGroups &&= this.partsInUse <= 1
    const rows = this.parts.map((_, i) => this.writing(i, out, part => part.writeChanged(out)))
    const { keyGroups, size, recordCount } = out.finish()
    if (recordCount > 0) {
      const segment = { name: String(checkpointId), checkpointId, bytes: size, whole: false }
      written.set(segment.name, keyGroups)
      this.chain.push(segment)
      this.base?.chain.push(segment)
      this.changedBytes += size
      this.changedSegments++
    }
    this.unconfirmed.push({ checkpointId, rows })
    const { base } = this
    if (base !== undefined && base.part === this.parts.length) {
      this.chain = base.chain
      this.base = undefined
      this.baseWritten(base.bytes, base.records)
    }
    const due = this.changedBytes >= this.stateBytes() * limits.baseShare || this.changedSegments >= limits.segmentsMax
    if (this.base === undefined && due) this.beginBase()
    if (this.base !== undefined) {
      this.base.quotaBytes = Math.min(QUOTA_BYTES_MAX, Math.max(size * limits.baseRate, this.stateBytes() / limits.segmentsMax))
      this.baseOut.expect(this.base.quotaBytes + limits.pieceBytes)
    }
    return this.increment(written, this.chain, this.base?.pieces ?? [], false)
  }

  private beginBase(): void {
    for (const part of this.parts) part.beginBase()
    this.base = { part: 0, quotaBytes: 0, chain: [], pieces: [], bytes: 0, records: 0, beginsKeyGroups: this.partsInUse <= 1 }
  }

  private endBase(): void {
    if (this.base === undefined) return
    this.base = undefined
    this.baseOut.drop()
    for (const part of this.parts) part.endBase()
  }

  /** What has been written of the base since the barrier before. */
  private takePiece(base: Base, checkpointId: number, written: Map<string, ReadonlyMap<number, Uint8Array>>): void {
    const { keyGroups, size, recordCount } = this.baseOut.finish()
    if (recordCount === 0) return
    const name = base.beginsKeyGroups ? beginningName(checkpointId) : `${checkpointId}-more`
    const piece = { name, checkpointId, bytes: size, whole: false }
    written.set(piece.name, keyGroups)
    base.chain.push(piece)
    base.pieces.push(piece)
    base.bytes += size
    base.records += recordCount
  }

  private baseWritten(bytes: number, records: number): void {
    if (records > 0) this.recordBytes = bytes / records
    this.changedBytes = 0
    this.changedSegments = 0
  }

  private writeWhole(begins: boolean): FinishedSegment {
    const out = this.changesOut
    if (out.recordCount > 0) {
      out.drop()
      for (const part of this.parts) part.forgetAhead?.()
    }
    out.expect(this.stateBytes())
    for (let i = 0; i < this.parts.length; i++) this.writing(i, out, part => part.writeAll(out, begins))
    return out.finish()
  }

  private writing<R>(index: number, out: SegmentWriter, write: (part: KeyedPart) => R): R {
    const part = this.parts[index] as KeyedPart
    out.firstSchema = 0
    for (let i = 0; i < index; i++) out.firstSchema += (this.parts[i] as KeyedPart).schemas.length
    try {
      return write(part)
    } catch (error) {
      // A value that its type cannot encode: the codec knows the path inside the value, not whose it is.
      const name = part.schemas[out.lastSchema]?.name
      throw error instanceof FlinkError
        ? new FlinkError(error.code, `operator ${this.options.owner}: state ${name}: ${error.message}`, error.detail, error)
        : error
    }
  }

  private increment(
    written: ReadonlyMap<string, ReadonlyMap<number, Uint8Array>>,
    chain: readonly Segment[],
    kept: readonly Segment[],
    standalone: boolean,
  ): KeyedIncrement {
    const chainBytes = chain.reduce((sum, { bytes }) => sum + bytes, 0)
    return {
      keyType: this.options.keyType.json,
      schemas: this.schemas(),
      written,
      chain: namesOf(chain),
      chainBytes,
      kept: namesOf(kept),
      standalone,
    }
  }

  private schemas(): StateSchema[] {
    return this.parts.flatMap(part => part.schemas)
  }

  /** Parts that have rows, or have had some that the next segment removes. */
  private get partsInUse(): number {
    return this.parts.filter(({ rowCount, changedCount }) => rowCount > 0 || changedCount > 0).length
  }

  private rowCount(): number {
    let count = 0
    for (const part of this.parts) count += part.rowCount
    return count
  }

  private stateBytes(): number {
    return this.rowCount() * this.recordBytes
  }

  /** Whether the first part can take its records as they are. */
  private takesRowsOf({ schemas }: KeyedSnapshot<unknown>): boolean {
    const [first] = this.parts
    return first?.restoreRows !== undefined && first.schemas.length > 0 && sameJson(schemas.slice(0, first.schemas.length), first.schemas)
  }

  private restoreRecord(input: ByteReader, keyGroup: number, places: readonly Place[], sized: boolean): 1 {
    const head = input.varint()
    const place = places[head >>> 1]
    if (place === undefined)
      throw new FlinkError('CORRUPT_FRAME', `operator ${this.options.owner}: keyed state names a state that its schemas do not have`)
    const length = sized ? input.u32() : undefined
    const start = input.position
    const end = length === undefined ? undefined : input.take(length) + length
    input.position = start
    try {
      place.part.restoreRecord(place.schema, (head & 1) === 1, keyGroup, input, end)
      if (end !== undefined) input.position = end
    } catch (error) {
      throw error instanceof UnsupportedValueError ? this.notTyped(place.name, input.bytes.subarray(start), error) : error
    }
    return 1
  }

  /** `record` begins with its key. */
  private notTyped(name: string, record: Uint8Array, error: UnsupportedValueError): FlinkError {
    const key = this.options.keyType.serializer.read(new ByteReader(record))
    return new FlinkError(
      'INVALID_PROGRAM',
      `operator ${this.options.owner}: state ${name} has been given a type since the snapshot, and what the snapshot has of key ${shownKey(key)} is not of it: ${error.message}`,
      error.detail,
      error,
    )
  }

  private checkKeyType(snapshot: KeyedSnapshot<unknown>): void {
    const saved = canonicalJson(snapshot.keyType as TypeJsonObject)
    const own = canonicalJson(this.options.keyType.json as TypeJsonObject)
    if (saved !== own)
      throw new FlinkError('INVALID_PROGRAM', `operator ${this.options.owner}: its keys are ${own}, the keys in the snapshot are ${saved}`)
  }

  private placeOf(schema: StateSchema): Place {
    const { owner } = this.options
    for (const part of this.parts) {
      const index = part.schemas.findIndex(candidate => schemaId(candidate) === schemaId(schema))
      const own = part.schemas[index]
      if (own === undefined) continue
      const fits = part.readAs === undefined ? sameJson(own.type, schema.type) : mayBeTyped(schema.type, own.type)
      if (own.kind !== schema.kind || !fits)
        throw new FlinkError(
          'INVALID_PROGRAM',
          `operator ${owner}: state ${schema.name} is declared as ${own.kind} of ${canonicalJson(own.type as TypeJsonObject)}, the snapshot has ${schema.kind} of ${canonicalJson(schema.type as TypeJsonObject)}${ttlHint(own.type, schema.type)}`,
        )
      part.readAs?.(index, schema.type)
      return { name: schema.name, part, schema: index }
    }
    if (schema.ignored === true) return { name: schema.name, part: ignoredPart(schema, this.options.keyType), schema: 0 }
    // Dropping it silently would lose state.
    throw new FlinkError(
      'INVALID_PROGRAM',
      `operator ${owner}: the snapshot has the state ${schema.name} (${schema.kind}), which is not declared any more`,
    )
  }
}

interface Place {
  readonly name: string
  readonly part: Pick<KeyedPart, 'restoreRecord'>
  /** Index among those of the part. */
  readonly schema: number
}

function noneWhole(): number {
  return 0
}

/** Values with and without the time of their last access are two types, as in Flink. */
function ttlHint(declared: TypeJson, saved: TypeJson): string {
  if (expires(declared) === expires(saved)) return ''
  return `; time-to-live was turned ${expires(declared) ? 'on' : 'off'}, which state that exists does not allow: give the state another name`
}

/** A state of a window and one of the key may share a name, hence the namespace. */
export function schemaId(schema: StateSchema): string {
  return `${canonicalJson(schema.namespace as TypeJsonObject)} ${schema.name}`
}

function namesOf(segments: readonly Segment[]): string[] {
  return segments.map(({ name }) => name)
}

function sameJson(a: unknown, b: unknown): boolean {
  return canonicalJson(a as TypeJsonObject) === canonicalJson(b as TypeJsonObject)
}
