import { assert } from '../../common/assert.ts'
import { ByteWriter } from '../../common/bytes.ts'
import { type ErrorCode, errorCodes, FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { RECORD_SIZE_MAX } from '../../network/frame.ts'
import { emptySnapshot, type UnkeyedSnapshot } from '../../state/snapshot.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../operator.ts'
import type { SinkPort } from '../spi/io-host.ts'

/**
 * Sync half of print and file sinks: encodes rows into a batch and offers it to the async half in the I/O worker.
 *
 * - A batch leaves when it is large enough, after a short linger, before a barrier and at the end of the input; whole rows only.
 * - A refused batch blocks the task (`context.block`) until credit is back: rows that one record still produces are appended to it,
 *   which bounds what waits here to one batch and the outputs of one record.
 * - At the end of the input `end` follows the last batch, and the input counts as ended when the async half says `finished`: then the
 *   bytes are where they belong. A task that is cancelled or fails hands over the rows it had taken, but never sends `end`: they are
 *   printed, and a file sink leaves them in its .inprogress file.
 * - An async half that works on by itself (`acknowledges`) is sent `begin` first, so that it can report a failure when nothing is offered. With
 *   'barriers' a barrier waits until it has answered `flush` by `flushed`: what came before the barrier is then where it belongs.
 */
export interface TransportSinkSpec {
  /** Async half in the registry: 'print', 'file'. */
  readonly type: string
  /** For the async half; subtaskIndex, parallelism and attempt are added. */
  readonly options: JsonObject
  readonly acknowledges?: 'end' | 'barriers'
  encode(value: unknown, context: OperatorContext, writer: ByteWriter): void
}

export class TransportSinkOperator implements StreamOperator {
  private readonly spec: TransportSinkSpec
  private readonly batch = new ByteWriter(BATCH_SIZE_BYTES * 2)
  private context: OperatorContext | undefined
  private port: SinkPort | undefined
  /** Row borders of `batch` at which it is offered in pieces, and the bytes offered already. */
  private readonly cuts: number[] = []
  private sent = 0
  /** Bytes of `batch` that are whole rows: a row whose encoding threw has left its beginning behind them. */
  private wholeRows = 0
  /** Epoch ms at which a batch that has begun leaves; Infinity = empty or refused. */
  private lingerEndMs = Number.POSITIVE_INFINITY
  private blocked = false
  private ending: 'no' | 'sent' | 'finished' = 'no'
  private flushing: 'no' | 'sent' | 'flushed' = 'no'

  constructor(spec: TransportSinkSpec) {
    this.spec = spec
  }

  setup(context: OperatorContext, _output: OperatorOutput): void {
    this.context = context
  }

  open(): void {
    const context = this.ctx()
    const { subtaskIndex, parallelism, attempt } = context
    this.port = context.io.openSink(this.spec.type, { ...this.spec.options, subtaskIndex, parallelism, attempt })
    if (this.spec.acknowledges !== undefined) assert(this.port.send('begin', {}), 'a port that was just opened has credit')
  }

  processElement(value: unknown, _timestamp: number): void {
    const { batch } = this
    const context = this.ctx()
    const start = batch.length
    this.spec.encode(value, context, batch)
    checkRecordSize(batch.length - start, context)
    this.wholeRows = batch.length
    if (start === 0) this.lingerEndMs = context.clock.nowMs() + LINGER_MS
    // A large record goes alone: with others in front it would exceed the largest frame.
    if (batch.length - start >= BATCH_SIZE_BYTES && start > (this.cuts.at(-1) ?? 0)) this.cuts.push(start)
    if (batch.length - (this.cuts.at(-1) ?? 0) < BATCH_SIZE_BYTES) return
    this.cuts.push(batch.length)
    if (!this.blocked) this.flush()
  }

  processWatermark(): boolean {
    return true
  }

  pollAsyncHalf(): void {
    const { port } = this
    if (port === undefined) return
    for (let element = port.poll(); element !== undefined; element = port.poll()) {
      if (element.kind !== 'event') continue
      if (element.what === 'error') throw asyncHalfError(element.data)
      if (element.what === 'finished') this.ending = 'finished'
      if (element.what === 'flushed') this.flushing = 'flushed'
    }
    if (this.blocked) this.flush()
  }

  processTimers(nowMs: number): boolean {
    if (nowMs >= this.lingerEndMs) this.flush()
    return true
  }

  nextTimerMs(): number {
    return this.lingerEndMs
  }

  endInput(): boolean {
    if (this.ending === 'finished') return true
    if (!this.flush()) return false
    if (this.ending === 'no' && this.openPort().send('end', {})) this.ending = 'sent'
    this.pollAsyncHalf()
    return (this.ending as string) === 'finished'
  }

  prepareSnapshotPreBarrier(): boolean {
    if (!this.flush()) return false
    if (this.spec.acknowledges !== 'barriers') return true
    if (this.flushing === 'no' && this.openPort().send('flush', {})) this.flushing = 'sent'
    this.pollAsyncHalf()
    if ((this.flushing as string) !== 'flushed') return false
    this.flushing = 'no'
    return true
  }

  snapshot(): UnkeyedSnapshot {
    return emptySnapshot
  }

  close(): void {
    const { port } = this
    this.port = undefined
    if (port === undefined) return
    this.offerRest(port)
    port.close()
  }

  /** A task that fails or is cancelled: the rows that came before still arrive, as far as there is credit. Nobody waits for more. */
  private offerRest(port: SinkPort): void {
    for (const end of [...this.cuts.filter(cut => cut < this.wholeRows), this.wholeRows]) {
      if (end <= this.sent) continue
      if (!port.offer(this.batch.bytes.subarray(this.sent, end))) return
      this.sent = end
    }
  }

  private flush(): boolean {
    const { batch, cuts } = this
    const context = this.ctx()
    if (batch.length > (cuts.at(-1) ?? 0)) cuts.push(batch.length)
    while (cuts.length > 0) {
      const end = cuts[0]!
      if (!this.openPort().offer(batch.bytes.subarray(this.sent, end))) {
        if (!this.blocked) context.block()
        this.blocked = true
        this.lingerEndMs = Number.POSITIVE_INFINITY
        return false
      }
      this.sent = end
      cuts.shift()
    }
    this.sent = 0
    this.wholeRows = 0
    batch.reset()
    this.lingerEndMs = Number.POSITIVE_INFINITY
    if (this.blocked) context.unblock()
    this.blocked = false
    return true
  }

  private openPort(): SinkPort {
    assert(this.port !== undefined, 'a sink is open before rows come')
    return this.port
  }

  private ctx(): OperatorContext {
    assert(this.context !== undefined, 'setup comes first')
    return this.context
  }
}

/** Bytes that go to the async half at once. */
export const BATCH_SIZE_BYTES = 32 * 1024
/** How long a row may wait for company; `execution.buffer-timeout`'s default. */
const LINGER_MS = 100

export function checkRecordSize(sizeBytes: number, { operatorName }: OperatorContext): void {
  if (sizeBytes > RECORD_SIZE_MAX)
    throw new FlinkError('RECORD_TOO_LARGE', `a record of ${sizeBytes} bytes is larger than ${RECORD_SIZE_MAX} bytes`, { operator: operatorName })
}

/** Of an `error` event. */
export function asyncHalfError(data: string): FlinkError {
  const { code, message } = JSON.parse(data) as { code?: string; message?: string }
  return new FlinkError(code !== undefined && code in errorCodes ? (code as ErrorCode) : 'EXTERNAL_SYSTEM', message ?? 'a sink failed')
}
