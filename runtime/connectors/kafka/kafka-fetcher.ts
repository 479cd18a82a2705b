import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { FetcherSink, IoContext, SourceFetcher } from '../../stream/spi/io-host.ts'
import { reportError } from '../port-events.ts'
import { BatchCutter, type Piece } from './batch-cutter.ts'
import { isPermanent, type KafkaClient, messageOf } from './client.ts'
import { isRetriable, kafkaErrorName, OFFSET_OUT_OF_RANGE } from './error-codes.ts'
import { OffsetCommitter } from './offset-committer.ts'
import type { BrokerNode, FetchedPartition, FetchResponse } from './protocol.ts'
import type { PartitionOffset } from './protocol-groups.ts'
import { Backoff } from './retry.ts'
import { type KafkaSettings, settingsFromJson } from './settings.ts'
import { acquireClient, newLane } from './shared-client.ts'
import type { OffsetReset } from './starting-offsets.ts'

/**
 * Async half of the Kafka source: the partitions of one subtask, read from their leaders without any consumer group.
 *
 * 1. `split` {tag, topic, partition, startingOffset, stoppingOffset} adds a partition. Metadata says who leads it.
 * 2. One loop a broker asks for all partitions that it leads, cuts the answers into whole record batches and hands them to the slot as
 *    they are: tag = split, position = first offset. The next answer is fetched while one is handed over, and no further ahead: what the
 *    slot does not take stays in Kafka.
 * 3. Where a broker is lost or leads no longer, its partitions wait, with back-off, for new metadata; the job stays running, as in Flink.
 * 4. `commit` {offsets} tells Kafka how far the subtask has read (offset-committer.ts).
 * 5. Stretches without anything for the slot (aborted transactions, offsets that the log no longer has) become `skipped` {tag, position}.
 *
 * All fetchers of a TaskManager that have the same settings share one client. Each has connections of its own for fetching, since a
 * broker answers the requests of one connection in order and an idle long poll would hold up the others.
 */
export interface KafkaFetcherOptions extends JsonObject {
  readonly settings: JsonObject
  readonly offsetReset: OffsetReset
  readonly subtaskIndex: number
}

export function kafkaFetcher(options: JsonObject, sink: FetcherSink, context: IoContext): SourceFetcher {
  // Written by KafkaReader; JSON keeps no types.
  const { settings, offsetReset, subtaskIndex } = options as KafkaFetcherOptions
  const parsed = settingsFromJson(settings)
  const shared = acquireClient(parsed)
  const fetcher = new KafkaFetcher(parsed, { offsetReset, subtaskIndex }, sink, context, shared.client)
  return {
    command: (what, data) => fetcher.command(what, data),
    async close() {
      await fetcher.close()
      shared.release()
    },
  }
}

interface PartitionState {
  readonly tag: number
  readonly topic: string
  readonly partition: number
  readonly stoppingOffset: number
  nextOffset: number
  leader: BrokerNode | undefined
  readonly cutter: BatchCutter
}

export class KafkaFetcher implements SourceFetcher {
  private readonly settings: KafkaSettings
  private readonly offsetReset: OffsetReset
  private readonly sink: FetcherSink
  private readonly context: IoContext
  private readonly client: KafkaClient
  private readonly lane = newLane()
  private readonly backoff: Backoff
  private readonly committer: OffsetCommitter
  private readonly partitions: PartitionState[] = []
  /** By node id. */
  private readonly loops = new Map<number, Promise<void>>()
  private resolving: Promise<void> | undefined
  /** Why leaders are looked for again; undefined = partitions are new. */
  private lostReason: string | undefined
  /** In the order in which offsets were taken, also when a partition moves between loops. */
  private delivering: Promise<void> = Promise.resolve()
  private failed = false

  constructor(
    settings: KafkaSettings,
    given: { readonly offsetReset: OffsetReset; readonly subtaskIndex: number },
    sink: FetcherSink,
    context: IoContext,
    client: KafkaClient,
  ) {
    this.settings = settings
    this.offsetReset = given.offsetReset
    this.committer = new OffsetCommitter(settings, client, sink, context, given.subtaskIndex)
    this.sink = sink
    this.context = context
    this.client = client
    this.backoff = new Backoff(settings, context.clock, context.log, context.signal)
    context.signal.addEventListener('abort', () => client.closeLane(this.lane), { once: true })
  }

  command(what: string, data: JsonObject): void {
    if (what === 'commit') {
      // Written by KafkaReader; JSON keeps no types.
      this.committer.commit(data['offsets'] as readonly (PartitionOffset & JsonObject)[])
      return
    }
    if (what !== 'split') throw new FlinkError('INTERNAL', `the kafka fetcher does not know the command ${what}`)
    const stop = data['stoppingOffset']
    this.partitions.push({
      tag: Number(data['tag']),
      topic: String(data['topic']),
      partition: Number(data['partition']),
      stoppingOffset: typeof stop === 'number' ? stop : Number.POSITIVE_INFINITY,
      nextOffset: Number(data['startingOffset']),
      leader: undefined,
      cutter: new BatchCutter(this.settings.isolation),
    })
    this.resolveLeaders()
  }

  async close(): Promise<void> {
    this.client.closeLane(this.lane)
    await this.committer.close()
    await Promise.allSettled([...this.loops.values(), this.resolving, this.delivering])
  }

  private get ended(): boolean {
    return this.failed || this.context.signal.aborted
  }

  private resolveLeaders(): void {
    this.resolving ??= this.findLeaders()
      .catch(error => this.fail(error))
      .finally(() => {
        this.resolving = undefined
        if (!this.ended && this.partitions.some(needsLeader)) this.resolveLeaders()
      })
  }

  private async findLeaders(): Promise<void> {
    // Several splits come one command after the other: one request for all of them.
    await Promise.resolve()
    while (!this.ended) {
      const reason = this.lostReason
      this.lostReason = undefined
      if (reason !== undefined) await this.backoff.pause('kafka partitions cannot be read at the moment, trying again', reason)
      const waiting = this.partitions.filter(needsLeader)
      if (waiting.length === 0) return
      this.lostReason = await this.assignLeaders(waiting)
      if (this.lostReason === undefined) return
    }
  }

  /** Why some have none yet; undefined = all have one. */
  private async assignLeaders(waiting: readonly PartitionState[]): Promise<string | undefined> {
    try {
      const { brokers, topics } = await this.client.metadata([...new Set(waiting.map(({ topic }) => topic))])
      let without: string | undefined
      for (const state of waiting) {
        const topic = topics.find(candidate => candidate.topic === state.topic)
        const described = topic?.partitions.find(candidate => candidate.partition === state.partition)
        const leader = brokers.find(broker => broker.nodeId === described?.leader)
        if (leader === undefined) {
          const code = topic?.errorCode || described?.errorCode || 0
          without = `topic ${state.topic}, partition ${state.partition} has no leader${code === 0 ? '' : ` (${kafkaErrorName(code)})`}`
          continue
        }
        state.leader = leader
        if (!this.loops.has(leader.nodeId))
          this.loops.set(
            leader.nodeId,
            this.readBroker(leader).catch(error => this.fail(error)),
          )
      }
      return without
    } catch (error) {
      if (isPermanent(error)) throw error
      return messageOf(error)
    }
  }

  private async readBroker(node: BrokerNode): Promise<void> {
    let handedOver: Promise<void> = Promise.resolve()
    while (!this.ended) {
      const wanted = this.partitions.filter(state => state.leader?.nodeId === node.nodeId && !isDone(state))
      if (wanted.length === 0) break
      const response = await this.fetchFrom(node, wanted)
      if (response === undefined) continue
      const pieces = this.takePieces(node, wanted, response)
      if (pieces.length === 0) continue
      await handedOver
      handedOver = this.handOver(pieces)
    }
    // Before anything is awaited: a partition that comes back to this broker starts a new loop.
    this.loops.delete(node.nodeId)
    await handedOver
  }

  private async fetchFrom(node: BrokerNode, wanted: readonly PartitionState[]): Promise<FetchResponse | undefined> {
    const { fetchMaxWaitMs, fetchMinBytes, fetchMaxBytes, maxPartitionFetchBytes, isolation } = this.settings
    try {
      const response = await this.client.fetch(
        node,
        {
          maxWaitMs: fetchMaxWaitMs,
          minBytes: fetchMinBytes,
          maxBytes: fetchMaxBytes,
          maxPartitionBytes: maxPartitionFetchBytes,
          isolation,
          partitions: wanted.map(({ topic, partition, nextOffset }) => ({ topic, partition, offset: nextOffset })),
        },
        this.lane,
      )
      if (response.errorCode === 0) return response
      if (!isRetriable(response.errorCode))
        throw new FlinkError('EXTERNAL_SYSTEM', `kafka broker ${node.host}:${node.port} refused to be read: ${kafkaErrorName(response.errorCode)}`)
      this.lose(wanted, `broker ${node.host}:${node.port} answered ${kafkaErrorName(response.errorCode)}`)
    } catch (error) {
      if (isPermanent(error)) throw error
      this.lose(wanted, messageOf(error))
    }
    return undefined
  }

  /** Moves the partitions' offsets on: what this answers must be handed over. */
  private takePieces(node: BrokerNode, wanted: readonly PartitionState[], response: FetchResponse): OwnedPiece[] {
    const pieces: OwnedPiece[] = []
    let healthy = true
    for (const fetched of response.partitions) {
      const state = wanted.find(candidate => candidate.topic === fetched.topic && candidate.partition === fetched.partition)
      if (state === undefined) continue
      if (fetched.errorCode === 0) {
        const cut = this.cut(state, fetched)
        for (const piece of cut.pieces) pieces.push({ tag: state.tag, piece })
        state.nextOffset = cut.nextOffset
      } else {
        healthy = false
        this.refused(node, state, fetched.errorCode)
      }
    }
    if (healthy) this.backoff.reset()
    return pieces
  }

  private cut(state: PartitionState, fetched: FetchedPartition) {
    try {
      return state.cutter.cut(fetched.records, state.nextOffset, state.stoppingOffset, fetched.abortedTransactions)
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
      throw new FlinkError(
        error.code,
        `topic ${state.topic}, partition ${state.partition}: ${error.message}`,
        { ...error.detail, topic: state.topic, partition: state.partition },
        error,
      )
    }
  }

  private refused(node: BrokerNode, state: PartitionState, errorCode: number): void {
    const where = `topic ${state.topic}, partition ${state.partition}`
    if (errorCode === OFFSET_OUT_OF_RANGE) {
      state.leader = undefined
      void this.resetOffset(node, state).catch(error => this.fail(error))
      return
    }
    if (!isRetriable(errorCode))
      throw new FlinkError(
        'EXTERNAL_SYSTEM',
        `${where} cannot be read at offset ${state.nextOffset}: kafka broker ${node.host}:${node.port} answered ${kafkaErrorName(errorCode)}`,
      )
    this.lose([state], `${where}: broker ${node.host}:${node.port} answered ${kafkaErrorName(errorCode)}`)
  }

  /** The log begins later than where reading should go on, or ends before it. */
  private async resetOffset(node: BrokerNode, state: PartitionState): Promise<void> {
    const { topic, partition, nextOffset: from } = state
    const where = `topic ${topic}, partition ${partition}`
    if (this.offsetReset === 'none')
      throw new FlinkError(
        'EXTERNAL_SYSTEM',
        `${where} has no offset ${from} any more, and auto.offset.reset is none (kafka broker ${node.host}:${node.port})`,
        { topic, partition, offset: from },
      )
    let reason = 'its offset was out of range'
    try {
      const [listed] = await this.client.listOffsets(node, [{ topic, partition }], this.offsetReset, this.settings.isolation)
      if (listed !== undefined && listed.errorCode === 0) {
        this.context.log.warn('kafka offset out of range, reset', { topic, partition, from, to: listed.offset, reset: this.offsetReset })
        state.nextOffset = listed.offset
        await this.handOver([{ tag: state.tag, piece: { kind: 'skipped', nextOffset: listed.offset } }])
      } else if (listed !== undefined) reason = `broker ${node.host}:${node.port} answered ${kafkaErrorName(listed.errorCode)}`
    } catch (error) {
      if (isPermanent(error)) throw error
      reason = messageOf(error)
    }
    this.lose([state], `${where}: ${reason}`)
  }

  private lose(states: readonly PartitionState[], reason: string): void {
    for (const state of states) state.leader = undefined
    this.lostReason ??= reason
    if (!this.ended) this.resolveLeaders()
  }

  private handOver(pieces: readonly OwnedPiece[]): Promise<void> {
    const done = this.delivering.then(async () => {
      for (const { tag, piece } of pieces) {
        if (piece.kind === 'batches') await this.sink.write(tag, piece.position, piece.bytes)
        else await this.sink.event('skipped', { tag, position: piece.nextOffset })
      }
    })
    this.delivering = done
    // Whoever awaits `done` handles its failure; this keeps one that nobody awaits any more from ending the process.
    done.catch(() => {})
    return done
  }

  private async fail(error: unknown): Promise<void> {
    if (this.ended) return
    this.failed = true
    this.client.closeLane(this.lane)
    await reportError(this.sink, -1, error)
  }
}

interface OwnedPiece {
  readonly tag: number
  readonly piece: Piece
}

function isDone(state: PartitionState): boolean {
  return state.nextOffset >= state.stoppingOffset
}

function needsLeader(state: PartitionState): boolean {
  return state.leader === undefined && !isDone(state)
}
