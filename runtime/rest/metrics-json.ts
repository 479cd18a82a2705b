import type { ClusterOverview, JobDetails, TaskManagerView, VertexDetails } from '../rpc/job-manager-gateway.ts'
import type { AggregatedMetric, Metric } from './types.ts'

/**
 * Metrics as Flink's REST shows them. Without `get` the names alone; with it name and value (text), unknown names left out. Aggregates are
 * numbers, and one requested name that no subtask has makes the whole answer empty: Flink does so, and its autoscaler counts on it.
 */
export type Values = Readonly<Record<string, number>>

export function metricList(values: Values, get: readonly string[] | undefined): Metric[] {
  if (get === undefined) return Object.keys(values).map(id => ({ id }))
  return get.flatMap(id => (Object.hasOwn(values, id) ? [{ id, value: metricText(values[id] ?? 0) }] : []))
}

/** Watermarks travel as numbers with infinities inside; Flink prints the ends of a long. */
export function metricText(value: number): string {
  if (value === Number.NEGATIVE_INFINITY) return '-9223372036854775808'
  if (value === Number.POSITIVE_INFINITY) return '9223372036854775807'
  return String(value)
}

const aggregations = ['min', 'max', 'avg', 'sum', 'skew'] as const
export type Aggregation = (typeof aggregations)[number]

export function isAggregation(text: string): text is Aggregation {
  return (aggregations as readonly string[]).includes(text)
}

export function aggregatedMetrics(
  stores: readonly Values[],
  get: readonly string[] | undefined,
  agg: readonly Aggregation[] | undefined,
): AggregatedMetric[] {
  if (get === undefined) return [...new Set(stores.flatMap(store => Object.keys(store)))].map(id => ({ id }))
  const wanted = agg ?? aggregations
  const result: AggregatedMetric[] = []
  for (const id of get) {
    const values = stores.flatMap(store => (Object.hasOwn(store, id) ? [store[id] ?? 0] : [])).filter(Number.isFinite)
    if (values.length === 0) return []
    result.push({ id, ...Object.fromEntries(wanted.map(name => [name, aggregateOf(name, values)])) })
  }
  return result
}

function aggregateOf(name: Aggregation, values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0)
  const average = sum / values.length
  switch (name) {
    case 'min':
      return Math.min(...values)
    case 'max':
      return Math.max(...values)
    case 'sum':
      return sum
    case 'avg':
      return average
    case 'skew':
      // The mean distance from the average in percent of it: 0 when all subtasks do the same.
      return average === 0 ? 0 : (values.reduce((total, value) => total + Math.abs(value - average), 0) / values.length / average) * 100
  }
}

/** One store per subtask: `numRecordsIn` and `Flat_Map.numRecordsIn`. */
export function subtaskStores(vertex: VertexDetails): Values[] {
  return vertex.subtasks.map(subtask => {
    const store: Record<string, number> = { ...subtask.taskMetrics }
    addScoped(store, vertex, subtask.operatorMetrics)
    return store
  })
}

/** The same with the subtask in front: `0.numRecordsIn`. */
export function vertexStore(vertex: VertexDetails): Values {
  const all: Record<string, number> = {}
  subtaskStores(vertex).forEach((store, at) => {
    const index = vertex.subtasks[at]?.subtaskIndex ?? at
    for (const [name, value] of Object.entries(store)) all[`${index}.${name}`] = value
  })
  return all
}

/** Of the split enumerators on the JobManager, in Flink's groups: `Source__orders.coordinator.enumerator.partitionDiscoveryFailures`. */
export function coordinatorStore(vertex: VertexDetails): Values {
  const store: Record<string, number> = {}
  addScoped(store, vertex, vertex.coordinatorMetrics, 'coordinator.enumerator.')
  return store
}

function addScoped(store: Record<string, number>, vertex: VertexDetails, byOperator: Readonly<Record<string, Values>>, group = ''): void {
  for (const [operatorId, metrics] of Object.entries(byOperator)) {
    const name = vertex.operators.find(operator => operator.operatorId === operatorId)?.name ?? operatorId
    for (const [metric, value] of Object.entries(metrics)) store[`${metricScope(name)}.${group}${metric}`] = value
  }
}

export function watermarks(vertex: VertexDetails): Metric[] {
  return vertex.subtasks.flatMap(subtask => {
    const value = subtask.taskMetrics['currentInputWatermark']
    return value === undefined ? [] : [{ id: `${subtask.subtaskIndex}.currentInputWatermark`, value: metricText(value) }]
  })
}

/** A metric id is a path: what would split it, and blanks, become `_`: `Source: words` is `Source__words`. */
export function metricScope(operatorName: string): string {
  return operatorName.replaceAll(/[ .:,]/g, '_')
}

export function jobMetrics(job: JobDetails): Values {
  const inState = (state: string): number => (job.state === state ? job.nowMs - (job.timestamps[job.state] || job.nowMs) : 0)
  return {
    runningTime: inState('RUNNING'),
    restartingTime: inState('RESTARTING'),
    failingTime: inState('FAILING'),
    cancellingTime: inState('CANCELLING'),
    initializingTime: inState('INITIALIZING'),
    createdTime: inState('CREATED'),
    uptime: job.state === 'RUNNING' ? inState('RUNNING') : job.endTimeMs > 0 ? -1 : 0,
    downtime: 0,
    numRestarts: job.attempt,
    fullRestarts: job.attempt,
    slotsNeeded: job.slotsNeeded,
  }
}

export function clusterMetrics(overview: ClusterOverview): Values {
  return {
    numRegisteredTaskManagers: overview.taskManagers,
    numRunningJobs: overview.jobsRunning,
    taskSlotsAvailable: overview.slotsAvailable,
    taskSlotsTotal: overview.slotsTotal,
  }
}

export function taskManagerMetrics(view: TaskManagerView): Values {
  return {
    'Status.Flink.Memory.Managed.Total': view.hardware.managedMemoryBytes,
    'Status.Shuffle.Netty.TotalMemory': view.hardware.networkMemoryBytes,
    'Status.Hardware.CpuCores': view.hardware.cpuCores,
    ...view.metrics,
  }
}
