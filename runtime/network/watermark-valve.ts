/**
 * Combines the watermarks and statuses of the channels of one logical input, as Flink's StatusWatermarkValve does: the output is the
 * minimum over active channels and never goes back; an idle channel does not hold it back; one that becomes active again counts
 * ("is aligned") only when its watermark has caught up with the output; when all are idle the input is idle, and its watermark first
 * rises to the greatest of them.
 *
 * A finished channel (its watermark is MAX, or it has ended) holds nothing back. Unlike in Flink, its MAX never becomes the output
 * while another channel is merely idle: rows that come when that channel wakes would all be late.
 */
import { MAX_WATERMARK, MIN_WATERMARK } from './frame.ts'

export interface ValveOutput {
  watermark(timestamp: number): void
  status(idle: boolean): void
}

interface ChannelStatus {
  watermark: number
  idle: boolean
  aligned: boolean
  ended: boolean
}

export class WatermarkValve {
  private readonly channels: readonly ChannelStatus[]
  private readonly output: ValveOutput
  private lastWatermark = MIN_WATERMARK
  private lastIdle = false

  constructor(channelCount: number, output: ValveOutput) {
    this.channels = Array.from({ length: channelCount }, () => ({ watermark: MIN_WATERMARK, idle: false, aligned: true, ended: false }))
    this.output = output
  }

  inputWatermark(index: number, timestamp: number): void {
    const channel = this.channels[index]!
    if (channel.ended || timestamp <= channel.watermark) return
    // MAX is the last word of a source, which may end while it is idle; any other watermark of an idle channel is ignored.
    if (timestamp === MAX_WATERMARK) channel.idle = false
    else if (channel.idle) return
    const held = channel.watermark
    channel.watermark = timestamp
    if (timestamp >= this.lastWatermark) channel.aligned = true
    this.advance(held)
  }

  inputStatus(index: number, idle: boolean): void {
    const channel = this.channels[index]!
    if (channel.ended || channel.idle === idle) return
    channel.idle = idle
    if (idle) channel.aligned = false
    else if (channel.watermark >= this.lastWatermark) channel.aligned = true
    this.advance(channel.watermark)
  }

  inputEnd(index: number): void {
    const channel = this.channels[index]!
    channel.ended = true
    channel.idle = false
    this.advance(channel.watermark)
  }

  /** `held` is the watermark at which the channel that changed has stood until now. */
  private advance(held: number): void {
    let minimum = MAX_WATERMARK
    let idleMaximum = MIN_WATERMARK
    let aligned = 0
    let active = 0
    let idle = 0
    let atMaximum = true
    for (const channel of this.channels) {
      if (channel.watermark !== MAX_WATERMARK) atMaximum = false
      if (channel.ended || channel.watermark === MAX_WATERMARK) continue
      if (channel.idle) {
        idle++
        if (channel.watermark > idleMaximum) idleMaximum = channel.watermark
        continue
      }
      active++
      if (!channel.aligned) continue
      aligned++
      if (channel.watermark < minimum) minimum = channel.watermark
    }
    if (active > 0) {
      this.setIdle(false)
      if (aligned > 0) this.setWatermark(minimum)
    } else if (idle > 0) {
      // When the last active channel was the one that held the output, nobody is left who could be behind the idle ones.
      if (held === this.lastWatermark) this.setWatermark(idleMaximum)
      this.setIdle(true)
    } else if (atMaximum) {
      this.setIdle(false)
      this.setWatermark(MAX_WATERMARK)
    }
  }

  private setWatermark(timestamp: number): void {
    if (timestamp <= this.lastWatermark) return
    this.lastWatermark = timestamp
    this.output.watermark(timestamp)
  }

  private setIdle(idle: boolean): void {
    if (idle === this.lastIdle) return
    this.lastIdle = idle
    this.output.status(idle)
  }
}
