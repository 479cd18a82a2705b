import { FlinkError } from '../../common/errors.ts'
import type {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  ValueStateDescriptor,
} from '../../state/descriptors.ts'
import type { KeyedStateBackend } from '../../state/keyed-state-backend.ts'
import type { AggregatingState, ListState, MapState, ReducingState, ValueState } from '../../state/state.ts'
import type { MetricGroup, RuntimeContext } from '../functions.ts'
import type { OperatorContext } from '../operator.ts'

/** What `open(context)` receives; valid as long as the function. */
export class OperatorRuntimeContext implements RuntimeContext {
  private readonly context: OperatorContext
  private readonly backend: KeyedStateBackend | undefined

  constructor(context: OperatorContext, backend: KeyedStateBackend | undefined) {
    this.context = context
    this.backend = backend
  }

  getJobId(): string {
    return this.context.jobId
  }

  getJobName(): string {
    return this.context.jobName
  }

  getTaskName(): string {
    return this.context.taskNameWithSubtasks.replace(/ \(\d+\/\d+\)#\d+$/, '')
  }

  getTaskNameWithSubtasks(): string {
    return this.context.taskNameWithSubtasks
  }

  getOperatorName(): string {
    return this.context.operatorName
  }

  getIndexOfThisSubtask(): number {
    return this.context.subtaskIndex
  }

  getNumberOfParallelSubtasks(): number {
    return this.context.parallelism
  }

  getMaxNumberOfParallelSubtasks(): number {
    return this.context.maxParallelism
  }

  getAttemptNumber(): number {
    return this.context.attempt
  }

  getGlobalJobParameters(): Readonly<Record<string, unknown>> {
    return this.context.jobParameters
  }

  getMetricGroup(): MetricGroup {
    return this.context.metrics
  }

  getState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T> {
    return this.keyed().getState(descriptor)
  }

  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T> {
    return this.keyed().getListState(descriptor)
  }

  getMapState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V> {
    return this.keyed().getMapState(descriptor)
  }

  getReducingState<T>(descriptor: ReducingStateDescriptor<T>): ReducingState<T> {
    return this.keyed().getReducingState(descriptor)
  }

  getAggregatingState<IN, ACC, OUT>(descriptor: AggregatingStateDescriptor<IN, ACC, OUT>): AggregatingState<IN, OUT> {
    return this.keyed().getAggregatingState(descriptor)
  }

  private keyed(): KeyedStateBackend {
    if (this.backend === undefined)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.context.operatorName}: Keyed state can only be used on a 'keyed stream', i.e., after a 'keyBy()' operation. There, make its descriptor a field of the function object.`,
      )
    return this.backend
  }
}
