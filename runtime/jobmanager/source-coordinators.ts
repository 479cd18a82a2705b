import type { Clock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { MetricGroup } from '../metrics/metric-group.ts'
import type { SourceDescription, SourceSplit, SplitEnumerator, SplitEnumeratorFactory } from '../stream/spi/source.ts'
import { AssignedSplits } from './assigned-splits.ts'

/**
 * One SplitEnumerator per source operator, from one restart of the whole job to the next. What an enumerator hands out before its reader runs is kept and
 * sent when the reader has started, in order; afterwards it goes out at once. Where only some readers fail, the enumerator goes on, and gets back what
 * they have been handed since the checkpoint that they go back to.
 */
export type EnumeratorRegistry = Readonly<Record<string, SplitEnumeratorFactory>>

export interface SourceCoordinatorsOptions {
  readonly jobGraph: JobGraph
  readonly enumerators: EnumeratorRegistry
  readonly clock: Clock
  readonly log: Logger
  send(vertexId: string, subtaskIndex: number, operatorId: string, message: SplitMessage): void
  /** Fails the job. */
  fail(error: unknown): void
}

export type SplitMessage = { readonly kind: 'assign'; readonly splits: readonly SourceSplit[] } | { readonly kind: 'noMore' }

interface Coordinator {
  readonly vertexId: string
  readonly operatorId: string
  readonly metrics: MetricGroup
  enumerator: SplitEnumerator | undefined
  readonly readers: Reader[]
  readonly assigned: AssignedSplits
}

interface Reader {
  started: boolean
  readonly kept: SplitMessage[]
}

/** Names of enumerators that the graph wants and the registry lacks: refused when the job is submitted. */
export function missingEnumerators(jobGraph: JobGraph, enumerators: EnumeratorRegistry): readonly string[] {
  const missing = new Set<string>()
  for (const { description } of sourcesOf(jobGraph)) if (!Object.hasOwn(enumerators, description.enumerator)) missing.add(description.enumerator)
  return [...missing]
}

export class SourceCoordinators {
  private readonly options: SourceCoordinatorsOptions
  private readonly coordinators: Coordinator[] = []
  private readonly abort = new AbortController()

  constructor(options: SourceCoordinatorsOptions) {
    this.options = options
  }

  /** `restored`: what the enumerator of an operator had said in the checkpoint that the attempt begins with. */
  start(restored: (operatorId: string) => JsonObject | undefined = () => undefined): void {
    for (const { vertexId, operatorId, parallelism, description } of sourcesOf(this.options.jobGraph)) {
      const coordinator: Coordinator = {
        vertexId,
        operatorId,
        metrics: new MetricGroup(),
        enumerator: undefined,
        readers: Array.from({ length: parallelism }, () => ({ started: false, kept: [] })),
        assigned: new AssignedSplits(),
      }
      this.coordinators.push(coordinator)
      this.guard(() => this.startOne(coordinator, parallelism, description, restored(operatorId)))
    }
  }

  readerStarted(vertexId: string, subtaskIndex: number): void {
    for (const coordinator of this.coordinators) {
      const reader = coordinator.vertexId === vertexId ? coordinator.readers[subtaskIndex] : undefined
      if (reader === undefined || reader.started) continue
      reader.started = true
      for (const message of reader.kept.splice(0)) this.options.send(vertexId, subtaskIndex, coordinator.operatorId, message)
      this.guard(() => coordinator.enumerator?.addReader(subtaskIndex))
    }
  }

  /** A reader begins again with what it had in this checkpoint; undefined = with nothing. */
  reset(vertexId: string, subtaskIndex: number, checkpointId: number | undefined): void {
    for (const { vertexId: own, enumerator, readers, assigned } of this.coordinators) {
      const reader = own === vertexId ? readers[subtaskIndex] : undefined
      if (reader === undefined) continue
      reader.started = false
      reader.kept.length = 0
      this.guard(() => enumerator?.addSplitsBack(subtaskIndex, assigned.takeBack(subtaskIndex, checkpointId)))
    }
  }

  /** By operator id. What an enumerator hands out from now on is in none of these. */
  snapshot(checkpointId: number): ReadonlyMap<string, JsonObject> {
    for (const { assigned } of this.coordinators) assigned.snapshot(checkpointId)
    return new Map(
      this.coordinators.flatMap(({ operatorId, enumerator }) => (enumerator === undefined ? [] : [[operatorId, enumerator.snapshot()] as const])),
    )
  }

  checkpointComplete(checkpointId: number): void {
    for (const { assigned } of this.coordinators) assigned.completed(checkpointId)
  }

  splitRequest(vertexId: string, subtaskIndex: number, operatorId: string): void {
    const coordinator = this.coordinators.find(candidate => candidate.vertexId === vertexId && candidate.operatorId === operatorId)
    if (coordinator !== undefined) this.guard(() => coordinator.enumerator?.handleSplitRequest(subtaskIndex))
  }

  /** Of the enumerators of one vertex, by operator. */
  metricsOf(vertexId: string): Record<string, Record<string, number>> {
    const own = this.coordinators.filter(coordinator => coordinator.vertexId === vertexId)
    return Object.fromEntries(own.map(({ operatorId, metrics }) => [operatorId, metrics.values()]))
  }

  async close(): Promise<void> {
    if (this.abort.signal.aborted) return
    this.abort.abort(new FlinkError('CANCELLED', 'the job has ended'))
    for (const { enumerator, operatorId } of this.coordinators) {
      try {
        await enumerator?.close()
      } catch (error) {
        this.options.log.warn('a split enumerator did not close in order', { operatorId, error: String(error) })
      }
    }
  }

  private startOne(
    coordinator: Coordinator,
    parallelism: number,
    description: SourceDescription,
    restored: JsonObject | undefined,
  ): Promise<void> | void {
    const { enumerators, clock, log } = this.options
    const factory = enumerators[description.enumerator]
    if (factory === undefined) throw new FlinkError('UNSUPPORTED', `this jobmanager has no split enumerator ${description.enumerator}`)
    const context = {
      parallelism,
      clock,
      log: log.child({ operatorId: coordinator.operatorId, enumerator: description.enumerator }),
      signal: this.abort.signal,
      metrics: coordinator.metrics,
      assignSplits: (subtaskIndex: number, splits: readonly SourceSplit[]) => this.deliver(coordinator, subtaskIndex, { kind: 'assign', splits }),
      signalNoMoreSplits: (subtaskIndex: number) => this.deliver(coordinator, subtaskIndex, { kind: 'noMore' }),
      fail: (error: unknown) => this.fail(error),
    }
    coordinator.enumerator = factory(description.options, context, restored)
    return coordinator.enumerator.start()
  }

  private deliver(coordinator: Coordinator, subtaskIndex: number, message: SplitMessage): void {
    const reader = coordinator.readers[subtaskIndex]
    if (message.kind === 'assign') coordinator.assigned.add(subtaskIndex, message.splits)
    if (reader === undefined) {
      this.fail(new FlinkError('INTERNAL', `a split enumerator names reader ${subtaskIndex} of ${coordinator.readers.length}`))
    } else if (reader.started) {
      if (!this.abort.signal.aborted) this.options.send(coordinator.vertexId, subtaskIndex, coordinator.operatorId, message)
    } else {
      reader.kept.push(message)
    }
  }

  /** An enumerator that throws or rejects fails its job, not the JobManager. */
  private guard(work: () => Promise<void> | void): void {
    try {
      work()?.catch((error: unknown) => this.fail(error))
    } catch (error) {
      this.fail(error)
    }
  }

  private fail(error: unknown): void {
    if (!this.abort.signal.aborted) this.options.fail(error)
  }
}

function sourcesOf(jobGraph: JobGraph) {
  return jobGraph.vertices.flatMap(vertex =>
    vertex.operators.flatMap(operator => {
      const description = operator.source
      if (description === undefined || description === null) return []
      // Written by the source's connector as a SourceDescription; JSON keeps no types.
      return [
        { vertexId: vertex.id, operatorId: operator.operatorId, parallelism: vertex.parallelism, description: description as SourceDescription },
      ]
    }),
  )
}
