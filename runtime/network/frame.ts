import type { SnapshotType } from '../common/snapshot-type.ts'
import type { LocalFrame } from './columns.ts'

/**
 * The unit of work and of exchange. Header, kinds and flags are final (docs/decisions/0001-frame-header.md); this file is the
 * in-memory side, `frame-codec.ts` the bytes. A channel carries `ChannelElement`s in order; beside them it has a one-entry control
 * lane that may overtake (used by unaligned checkpoints later; born here so that the channel's contract does not change).
 */
export interface ObjectFrame {
  readonly kind: 'object'
  /** Values; JS type by the edge's declared type. Owned by the receiver once handed over: the producer never touches it again. */
  readonly rows: unknown[]
  /** Event time in ms per row, NaN = none; undefined = no row has one. */
  readonly timestamps: Float64Array | undefined
  /** 0 +I, 1 -U, 2 +U, 3 -D (Flink's RowKind values); undefined = all +I. */
  readonly rowKinds: Uint8Array | undefined
}

/** Bytes between a connector's async half and its sync half. `tag` says which split; `position` is the connector's (file offset, Kafka offset). */
export interface RawFrame {
  readonly kind: 'raw'
  readonly tag: number
  readonly position: number
  readonly bytes: Uint8Array
}

export const MAX_WATERMARK = Number.POSITIVE_INFINITY
export const MIN_WATERMARK = Number.NEGATIVE_INFINITY

export interface CheckpointBarrier {
  readonly checkpointId: number
  readonly timestampMs: number
  readonly type: SnapshotType
  /** Savepoints: URI of the folder that their data goes to. */
  readonly location?: string
}

export type ControlElement =
  | { readonly kind: 'watermark'; readonly timestamp: number }
  /** Stream status: an idle channel does not hold back the watermark. */
  | { readonly kind: 'status'; readonly idle: boolean }
  | { readonly kind: 'barrier'; readonly barrier: CheckpointBarrier }
  /** Nothing follows on this channel. Comes after MAX_WATERMARK when the input ended by itself. */
  | { readonly kind: 'end' }
  /** Out of band text between a connector's two halves: `what` is the connector's word, `data` its JSON. */
  | { readonly kind: 'event'; readonly what: string; readonly data: string }

export type ChannelElement = ObjectFrame | LocalFrame | RawFrame | ControlElement

export const ROWS_PER_FRAME_MAX = 2048
export const PAGE_SIZE = 32 * 1024
export const RECORD_SIZE_MAX = 16 * 1024 * 1024

/**
 * Producer's end of one SPSC channel. `offer` takes the element, or answers false when there is no credit; the doorbell of the
 * producer's host rings when credit comes back. Elements of one channel stay in order. A refused element is offered again by the caller.
 */
export interface ChannelWriter {
  offer(element: ChannelElement): boolean
  /** True when everything taken has been handed to the medium (a frame that spans several pages may be half written). */
  flush(): boolean
  /** Overtakes everything queued; false while the lane's one entry is unread. */
  offerPriority(element: ControlElement): boolean
  close(): void
}

/** Consumer's end of one SPSC channel. The returned frame belongs to the caller. */
export interface ChannelReader {
  poll(): ChannelElement | undefined
  pollPriority(): ControlElement | undefined
  /** Elements that could be polled now (at least; for metrics and for the source-ahead-of-sink test). */
  readonly queued: number
  close(): void
}

/** Wakes a slot or the I/O worker. Ringing a host that is awake costs one atomic load. */
export interface Doorbell {
  ring(): void
}
