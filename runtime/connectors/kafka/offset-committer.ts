import { withDeadline } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { FetcherSink, IoContext } from '../../stream/spi/io-host.ts'
import { isPermanent, type KafkaClient, messageOf } from './client.ts'
import { isRetriable, kafkaErrorName } from './error-codes.ts'
import type { PartitionOffset } from './protocol-groups.ts'
import { Backoff } from './retry.ts'
import type { KafkaSettings } from './settings.ts'

/**
 * Commits the offsets of one subtask under the source's group, in the I/O worker. One commit is under way, the newest waits for it, those between are
 * dropped: they say less. An attempt that a coordinator on the move refuses is repeated, until `default.api.timeout.ms` or until something newer waits.
 *
 * A commit that fails is logged and counted, nothing else: no restore looks at committed offsets. How many there were of each kind goes to the
 * reader as `commits` {succeeded, failed}, one such event at a time.
 */
export class OffsetCommitter {
  private readonly settings: KafkaSettings
  private readonly client: KafkaClient
  private readonly sink: FetcherSink
  private readonly context: IoContext
  private readonly subtaskIndex: number
  private readonly backoff: Backoff
  private waiting: readonly PartitionOffset[] | undefined
  private running: Promise<void> | undefined
  private succeeded = 0
  private failed = 0
  private reporting = false

  constructor(settings: KafkaSettings, client: KafkaClient, sink: FetcherSink, context: IoContext, subtaskIndex: number) {
    this.settings = settings
    this.client = client
    this.sink = sink
    this.context = context
    this.subtaskIndex = subtaskIndex
    this.backoff = new Backoff(settings, context.clock, context.log, context.signal)
  }

  commit(offsets: readonly PartitionOffset[]): void {
    // In Flink's words.
    if (this.waiting !== undefined)
      this.context.log.warn(
        "Committing offsets to Kafka takes longer than the checkpoint interval. Skipping commit of previous offsets because newer complete checkpoint offsets are available. This does not compromise Flink's checkpoint integrity.",
      )
    this.waiting = offsets
    this.running ??= this.run().finally(() => {
      this.running = undefined
    })
  }

  /** The commit of a job's last checkpoint is still made, if the coordinator answers soon. */
  async close(): Promise<void> {
    if (this.running !== undefined) await withDeadline(this.context.clock, CLOSE_WAIT_MS, this.running, tooLate).catch(() => {})
    this.waiting = undefined
  }

  private async run(): Promise<void> {
    for (let offsets = this.waiting; offsets !== undefined; offsets = this.waiting) {
      this.waiting = undefined
      const problem = await this.commitOrGiveUp(offsets)
      if (problem === undefined) this.succeeded++
      else {
        this.failed++
        // In Flink's words.
        this.context.log.warn(`Consumer subtask ${this.subtaskIndex} failed async Kafka commit.`, { reason: problem })
      }
      this.report()
    }
  }

  /** Why it failed. */
  private async commitOrGiveUp(offsets: readonly PartitionOffset[]): Promise<string | undefined> {
    const { clock, signal } = this.context
    const untilMs = clock.monotonicMs() + this.settings.defaultApiTimeoutMs
    for (;;) {
      const refusal = await this.attempt(offsets, Math.max(1, untilMs - clock.monotonicMs()))
      if (refusal === undefined) {
        this.backoff.reset()
        return undefined
      }
      const leftMs = untilMs - clock.monotonicMs()
      if (!refusal.retry || leftMs <= 0 || this.waiting !== undefined || signal.aborted) return refusal.reason
      await this.backoff.pause('kafka offsets cannot be committed at the moment, trying again', refusal.reason, leftMs).catch(() => {})
    }
  }

  private async attempt(
    offsets: readonly PartitionOffset[],
    timeoutMs: number,
  ): Promise<{ readonly reason: string; readonly retry: boolean } | undefined> {
    const groupId = this.settings.groupId ?? ''
    try {
      const answers = await withDeadline(
        this.context.clock,
        timeoutMs,
        this.client.commitOffsets(groupId, offsets),
        () => new FlinkError('TIMEOUT', `no answer within ${this.settings.defaultApiTimeoutMs} ms (default.api.timeout.ms)`),
      )
      const refused = answers.find(({ errorCode }) => errorCode !== 0)
      if (refused === undefined) return undefined
      const { topic, partition, errorCode } = refused
      return { reason: `group ${groupId}, topic ${topic}, partition ${partition}: ${kafkaErrorName(errorCode)}`, retry: isRetriable(errorCode) }
    } catch (error) {
      return { reason: `group ${groupId}: ${messageOf(error)}`, retry: !isPermanent(error) }
    }
  }

  private report(): void {
    if (this.reporting || this.succeeded + this.failed === 0) return
    const { succeeded, failed } = this
    this.succeeded = 0
    this.failed = 0
    this.reporting = true
    this.sink.event('commits', { succeeded, failed }).then(
      () => {
        this.reporting = false
        this.report()
      },
      () => {}, // the port is closed: nobody is left to tell
    )
  }
}

const CLOSE_WAIT_MS = 1_000

function tooLate(): Error {
  return new Error('the coordinator does not answer')
}
