import type {
  ExceptionEntry,
  ExecutionStateName,
  IoMetrics,
  JobDetails,
  JobResult,
  JobSummary,
  SubtaskView,
  TaskManagerView,
  VertexDetails,
  VertexSummary,
} from '../rpc/job-manager-gateway.ts'
import { executionStates } from '../rpc/job-manager-gateway.ts'
import { throwableJson } from './checkpoint-json.ts'
import type {
  Aggregated,
  ExceptionRow,
  ExecutionResult,
  Io,
  JobExceptions,
  JobInfo,
  JobRow,
  Plan,
  ResourceJson,
  Stat,
  SubtaskRow,
  TaskManagerRow,
  VertexInfo,
  VertexRow,
} from './types.ts'

/** The gateway's views as Flink's JSON: pure, one function per answer. */
export function jobRow(job: JobSummary): JobRow {
  const tasks: Record<string, number> = { total: job.tasksTotal }
  for (const state of executionStates) tasks[state.toLowerCase()] = job.taskCounts[state]
  return {
    jid: job.jobId,
    name: job.name,
    jobType: job.jobType,
    schedulerType: 'Default',
    'start-time': job.startTimeMs,
    'end-time': job.endTimeMs,
    duration: job.durationMs,
    state: job.state,
    'last-modification': job.lastModificationMs,
    tasks,
    'pending-operators': 0,
    ...(job.message === undefined ? {} : { 'millrace-message': job.message }),
  }
}

export function jobInfo(job: JobDetails, plan: Plan): JobInfo {
  return {
    jid: job.jobId,
    name: job.name,
    isStoppable: false,
    state: job.state,
    'job-type': job.jobType,
    schedulerType: 'Default',
    'start-time': job.startTimeMs,
    'end-time': job.endTimeMs,
    duration: job.durationMs,
    maxParallelism: -1,
    now: job.nowMs,
    timestamps: job.timestamps,
    vertices: job.vertices.map(vertexRow),
    'status-counts': statusCounts(job.vertices),
    plan,
    'pending-operators': 0,
    ...(job.message === undefined ? {} : { 'millrace-message': job.message }),
    ...(job.checkpointProblem === undefined ? {} : { 'millrace-checkpoint-problem': job.checkpointProblem }),
  }
}

function vertexRow(vertex: VertexSummary): VertexRow {
  return {
    id: vertex.id,
    slotSharingGroupId: vertex.slotSharingGroup,
    name: vertex.name,
    maxParallelism: vertex.maxParallelism,
    parallelism: vertex.parallelism,
    status: vertex.status,
    'start-time': vertex.startTimeMs,
    'end-time': vertex.endTimeMs,
    duration: vertex.durationMs,
    tasks: vertex.taskCounts,
    metrics: io(vertex.metrics),
  }
}

/** Vertices per state, not subtasks: what Flink counts there. */
function statusCounts(vertices: readonly VertexSummary[]): Record<string, number> {
  const counts: Record<string, number> = Object.fromEntries(executionStates.map(state => [state, 0]))
  for (const vertex of vertices) counts[vertex.status] = (counts[vertex.status] ?? 0) + 1
  return counts
}

export function io(metrics: IoMetrics): Io {
  return {
    'read-bytes': metrics.readBytes,
    'read-bytes-complete': metrics.complete,
    'write-bytes': metrics.writeBytes,
    'write-bytes-complete': metrics.complete,
    'read-records': metrics.readRecords,
    'read-records-complete': metrics.complete,
    'write-records': metrics.writeRecords,
    'write-records-complete': metrics.complete,
    'accumulated-backpressured-time': metrics.accumulatedBackPressuredMs,
    'accumulated-idle-time': metrics.accumulatedIdleMs,
    'accumulated-busy-time': metrics.accumulatedBusyMs,
  }
}

export function vertexInfo(vertex: VertexDetails): VertexInfo {
  const subtasks = vertex.subtasks.map(subtask => subtaskRow(subtask, vertex.nowMs))
  return {
    id: vertex.id,
    name: vertex.name,
    parallelism: vertex.parallelism,
    maxParallelism: vertex.maxParallelism,
    now: vertex.nowMs,
    subtasks,
    aggregated: aggregate(subtasks),
  }
}

export function subtaskRow(subtask: SubtaskView, nowMs: number): SubtaskRow {
  return {
    subtask: subtask.subtaskIndex,
    status: subtask.status,
    attempt: subtask.attempt,
    endpoint: subtask.host === '' ? '(unassigned)' : subtask.host,
    'start-time': subtask.startTimeMs,
    'end-time': subtask.endTimeMs,
    duration: subtask.durationMs,
    metrics: io(subtask.metrics),
    'taskmanager-id': subtask.taskManagerId === '' ? '(unassigned)' : subtask.taskManagerId,
    'status-duration': statusDurations(subtask, nowMs),
    start_time: subtask.startTimeMs,
  }
}

const lifecycle = ['CREATED', 'SCHEDULED', 'DEPLOYING', 'INITIALIZING', 'RUNNING'] as const satisfies readonly ExecutionStateName[]

/** How long the subtask was in each state of its way up; -1 for those it never reached. */
function statusDurations(subtask: SubtaskView, nowMs: number): Record<string, number> {
  const durations: Record<string, number> = {}
  lifecycle.forEach((state, at) => {
    const entered = subtask.timestamps[state]
    if (entered <= 0) {
      durations[state] = -1
      return
    }
    const later = lifecycle.slice(at + 1).map(next => subtask.timestamps[next])
    const left = later.find(time => time > 0) ?? (subtask.endTimeMs > 0 ? subtask.endTimeMs : nowMs)
    durations[state] = Math.max(0, left - entered)
  })
  return durations
}

function aggregate(subtasks: readonly SubtaskRow[]): Aggregated {
  const names = [
    'read-bytes',
    'write-bytes',
    'read-records',
    'write-records',
    'accumulated-backpressured-time',
    'accumulated-idle-time',
    'accumulated-busy-time',
  ] as const
  return {
    metrics: Object.fromEntries(names.map(name => [name, stat(subtasks.map(subtask => subtask.metrics[name]))])),
    'status-duration': Object.fromEntries(lifecycle.map(state => [state, stat(subtasks.map(subtask => subtask['status-duration'][state] ?? -1))])),
  }
}

export function stat(values: readonly number[]): Stat {
  const sorted = values.filter(value => !Number.isNaN(value)).sort((a, b) => a - b)
  const sum = sorted.reduce((total, value) => total + value, 0)
  const at = (fraction: number) => sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)] ?? 0
  return {
    min: sorted[0] ?? 0,
    max: sorted[sorted.length - 1] ?? 0,
    avg: sorted.length === 0 ? 0 : Math.trunc(sum / sorted.length),
    sum,
    median: at(0.5),
    p25: at(0.25),
    p75: at(0.75),
    p95: at(0.95),
  }
}

export function subtaskTimes(vertex: VertexDetails) {
  return {
    id: vertex.id,
    name: vertex.name,
    now: vertex.nowMs,
    subtasks: vertex.subtasks.map(subtask => ({
      subtask: subtask.subtaskIndex,
      endpoint: subtask.host === '' ? '(unassigned)' : subtask.host,
      duration: subtask.durationMs,
      timestamps: subtask.timestamps,
    })),
  }
}

export function vertexTaskManagers(vertex: VertexDetails) {
  const groups = new Map<string, SubtaskView[]>()
  for (const subtask of vertex.subtasks) {
    const id = subtask.taskManagerId === '' ? '(unassigned)' : subtask.taskManagerId
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [subtask])
    else group.push(subtask)
  }
  return {
    id: vertex.id,
    name: vertex.name,
    now: vertex.nowMs,
    taskmanagers: [...groups].map(([id, subtasks]) => {
      const rows = subtasks.map(subtask => subtaskRow(subtask, vertex.nowMs))
      const counts: Record<string, number> = Object.fromEntries(executionStates.map(state => [state, 0]))
      for (const row of rows) counts[row.status] = (counts[row.status] ?? 0) + 1
      const starts = rows.map(row => row['start-time']).filter(time => time > 0)
      const start = starts.length === 0 ? -1 : Math.min(...starts)
      const ended = rows.every(row => row['end-time'] > 0)
      const end = ended ? Math.max(...rows.map(row => row['end-time'])) : -1
      return {
        endpoint: subtasks[0]?.endpoint ?? '(unassigned)',
        status: aggregateState(rows.map(row => row.status)),
        'start-time': start,
        'end-time': end,
        duration: start < 0 ? -1 : (ended ? end : vertex.nowMs) - start,
        metrics: sumIo(rows.map(row => row.metrics)),
        'status-counts': counts,
        'taskmanager-id': id,
        aggregated: aggregate(rows),
      }
    }),
  }
}

/** Flink's rule for several subtasks: failed before canceling, canceled, running, finished, … */
export function aggregateState(states: readonly string[]): string {
  for (const state of ['FAILED', 'CANCELING', 'CANCELED']) if (states.includes(state)) return state
  if (states.length > 0 && states.every(state => state === 'FINISHED')) return 'FINISHED'
  for (const state of ['RUNNING', 'INITIALIZING', 'DEPLOYING', 'SCHEDULED']) if (states.includes(state)) return state
  return states.includes('FINISHED') ? 'RUNNING' : 'CREATED'
}

function sumIo(all: readonly Io[]): Io {
  const sum = (pick: (one: Io) => number) => all.reduce((total, one) => total + pick(one), 0)
  const complete = all.every(one => one['read-bytes-complete'])
  return io({
    readBytes: sum(one => one['read-bytes']),
    writeBytes: sum(one => one['write-bytes']),
    readRecords: sum(one => one['read-records']),
    writeRecords: sum(one => one['write-records']),
    accumulatedBackPressuredMs: sum(one => one['accumulated-backpressured-time']),
    accumulatedIdleMs: sum(one => one['accumulated-idle-time']),
    accumulatedBusyMs: sum(one => one['accumulated-busy-time']),
    complete,
  })
}

export function jobExceptions(entries: readonly ExceptionEntry[], maxExceptions: number): JobExceptions {
  const newestFirst = [...entries].sort((a, b) => b.timestampMs - a.timestampMs)
  return {
    exceptionHistory: {
      entries: newestFirst.slice(0, maxExceptions).map(entry => ({
        ...exceptionRow(entry),
        concurrentExceptions: entry.concurrentExceptions.map(exceptionRow),
      })),
      truncated: newestFirst.length > maxExceptions,
    },
  }
}

function exceptionRow(entry: Omit<ExceptionEntry, 'concurrentExceptions'>): ExceptionRow {
  return {
    exceptionName: entry.exceptionName,
    stacktrace: entry.stacktrace,
    timestamp: entry.timestampMs,
    failureLabels: {},
    taskName: entry.taskName ?? null,
    endpoint: entry.endpoint ?? null,
    taskManagerId: entry.taskManagerId ?? null,
  }
}

const applicationStatus = { FINISHED: 'SUCCEEDED', FAILED: 'FAILED', CANCELED: 'CANCELED' } as const

export function executionResult(result: JobResult): ExecutionResult {
  if (result.kind === 'in-progress') return { status: { id: 'IN_PROGRESS' } }
  const cause = result.failureCause
  return {
    status: { id: 'COMPLETED' },
    'job-execution-result': {
      id: result.jobId,
      name: result.name,
      'application-status': applicationStatus[result.state],
      'accumulator-results': {},
      'net-runtime': result.endTimeMs - result.startTimeMs,
      ...(cause === undefined ? {} : { 'failure-cause': throwableJson(cause) }),
      'start-time': result.startTimeMs,
      'end-time': result.endTimeMs,
    },
  }
}

const MEBIBYTE = 2 ** 20

export function taskManagerRow(view: TaskManagerView): TaskManagerRow {
  const { hardware } = view
  const share = view.slotsTotal === 0 ? 0 : view.slotsFree / view.slotsTotal
  const resource = (fraction: number): ResourceJson => ({
    cpuCores: hardware.cpuCores * fraction,
    taskHeapMemory: 0,
    taskOffHeapMemory: 0,
    managedMemory: Math.floor((hardware.managedMemoryBytes / MEBIBYTE) * fraction),
    networkMemory: Math.floor((hardware.networkMemoryBytes / MEBIBYTE) * fraction),
    extendedResources: {},
  })
  return {
    id: view.id,
    path: `millrace.tcp://${view.host}/taskmanager/${view.id}`,
    dataPort: view.dataPort,
    jmxPort: -1,
    timeSinceLastHeartbeat: view.lastHeartbeatMs,
    slotsNumber: view.slotsTotal,
    freeSlots: view.slotsFree,
    assignedTasks: view.slots.reduce((total, slot) => total + slot.assignedTasks, 0),
    totalResource: resource(1),
    freeResource: resource(share),
    hardware: {
      cpuCores: hardware.cpuCores,
      physicalMemory: hardware.physicalMemoryBytes,
      freeMemory: hardware.freeMemoryBytes,
      managedMemory: hardware.managedMemoryBytes,
    },
    memoryConfiguration: {
      frameworkHeap: 0,
      taskHeap: 0,
      frameworkOffHeap: 0,
      taskOffHeap: 0,
      networkMemory: hardware.networkMemoryBytes,
      managedMemory: hardware.managedMemoryBytes,
      jvmMetaspace: 0,
      jvmOverhead: 0,
      totalFlinkMemory: hardware.networkMemoryBytes + hardware.managedMemoryBytes,
      totalProcessMemory: hardware.networkMemoryBytes + hardware.managedMemoryBytes,
    },
  }
}

/** Flink's fields and the metrics they show; those that a Node process has not are 0. */
const taskManagerFigures = {
  heapUsed: 'Status.JVM.Memory.Heap.Used',
  heapCommitted: 'Status.JVM.Memory.Heap.Committed',
  heapMax: 'Status.JVM.Memory.Heap.Max',
  nonHeapUsed: 'Status.JVM.Memory.NonHeap.Used',
  nonHeapCommitted: 'Status.JVM.Memory.NonHeap.Committed',
  nonHeapMax: 'Status.JVM.Memory.NonHeap.Max',
  directCount: 'Status.JVM.Memory.Direct.Count',
  directUsed: 'Status.JVM.Memory.Direct.MemoryUsed',
  directMax: 'Status.JVM.Memory.Direct.TotalCapacity',
  mappedCount: 'Status.JVM.Memory.Mapped.Count',
  mappedUsed: 'Status.JVM.Memory.Mapped.MemoryUsed',
  mappedMax: 'Status.JVM.Memory.Mapped.TotalCapacity',
  nettyShuffleMemorySegmentsAvailable: 'Status.Shuffle.Netty.AvailableMemorySegments',
  nettyShuffleMemorySegmentsUsed: 'Status.Shuffle.Netty.UsedMemorySegments',
  nettyShuffleMemorySegmentsTotal: 'Status.Shuffle.Netty.TotalMemorySegments',
  nettyShuffleMemoryAvailable: 'Status.Shuffle.Netty.AvailableMemory',
  nettyShuffleMemoryUsed: 'Status.Shuffle.Netty.UsedMemory',
} as const

/** `/taskmanagers/:id` adds the slots and Flink's JVM figures. */
export function taskManagerInfo(view: TaskManagerView) {
  const row = taskManagerRow(view)
  const figures = Object.entries(taskManagerFigures).map(([field, metric]) => [field, view.metrics[metric] ?? 0] as const)
  return {
    ...row,
    allocatedSlots: view.slots
      .filter(slot => slot.jobId !== undefined)
      .map(slot => ({ jobId: slot.jobId, resource: perSlot(row, view.slotsTotal), assignedTasks: slot.assignedTasks })),
    metrics: { ...Object.fromEntries(figures), nettyShuffleMemoryTotal: view.hardware.networkMemoryBytes, garbageCollectors: [] },
  }
}

function perSlot(row: TaskManagerRow, slots: number): ResourceJson {
  const total = row.totalResource
  return {
    ...total,
    cpuCores: total.cpuCores / slots,
    managedMemory: Math.floor(total.managedMemory / slots),
    networkMemory: Math.floor(total.networkMemory / slots),
  }
}
