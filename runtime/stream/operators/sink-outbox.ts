import type { JsonObject } from '../../common/json.ts'
import type { SinkPort } from '../spi/io-host.ts'

/**
 * The way of bytes and commands to a sink's async half, in their order. What finds no credit waits here and blocks the task, so that no more comes
 * than what the row or frame at work still gives.
 */
export class SinkOutbox {
  private readonly port: SinkPort
  private readonly blocking: { block(): void; unblock(): void }
  private waiting: (() => boolean)[] = []

  constructor(port: SinkPort, blocking: { block(): void; unblock(): void }) {
    this.port = port
    this.blocking = blocking
  }

  /** The bytes are the caller's again when it returns. */
  offer(bytes: Uint8Array, tag: number): void {
    const { port } = this
    if (this.waiting.length === 0 && port.offer(bytes, tag)) return
    const copy = bytes.slice()
    this.wait(() => port.offer(copy, tag))
  }

  send(what: string, data: JsonObject): void {
    const { port } = this
    if (this.waiting.length === 0 && port.send(what, data)) return
    this.wait(() => port.send(what, data))
  }

  /** True when nothing waits any more. Called whenever the task is awake. */
  flush(): boolean {
    if (this.waiting.length === 0) return true
    let sent = 0
    while (sent < this.waiting.length && this.waiting[sent]!()) sent++
    this.waiting = this.waiting.slice(sent)
    if (this.waiting.length > 0) return false
    this.blocking.unblock()
    return true
  }

  private wait(send: () => boolean): void {
    if (this.waiting.push(send) === 1) this.blocking.block()
  }
}
