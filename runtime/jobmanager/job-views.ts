import { type Execution, type ExecutionGraph, executionsOfVertex, isTerminal, vertexState } from '../graph/execution-graph.ts'
import type { JobVertex } from '../graph/job-graph.ts'
import { slotsRequired } from '../graph/slot-assignment.ts'
import {
  type ExecutionStateName,
  executionStates,
  type IoMetrics,
  type JobDetails,
  type JobResult,
  type JobStatus,
  type JobSummary,
  jobStatuses,
  type OperatorView,
  type SubtaskView,
  type TaskManagerView,
  type VertexDetails,
  type VertexSummary,
} from '../rpc/job-manager-gateway.ts'
import { asJson, type TaskMetrics } from '../rpc/messages.ts'
import type { JobMaster } from './job-master.ts'
import { isTerminalStatus } from './job-status.ts'
import type { ResourceManager, TaskManagerSession } from './resource-manager.ts'
import { restartStrategyText } from './restart-strategy.ts'

/** Plain data about jobs and TaskManagers, made when somebody asks. Nothing is cached: a cluster of some hundred subtasks costs microseconds. */
export function jobSummary(job: JobMaster, nowMs: number): JobSummary {
  const { executions, jobGraph } = job.graph
  const startTimeMs = job.timestamps.INITIALIZING ?? nowMs
  const endTimeMs = isTerminalStatus(job.state) ? (job.timestamps[job.state] ?? nowMs) : -1
  return {
    jobId: job.job.jobId,
    name: jobGraph.jobName,
    jobType: jobGraph.runtimeMode,
    state: job.state,
    startTimeMs,
    endTimeMs,
    durationMs: (endTimeMs < 0 ? nowMs : endTimeMs) - startTimeMs,
    lastModificationMs: lastModification(job),
    taskCounts: counts(executions),
    tasksTotal: executions.length,
    message: job.state === 'RUNNING' ? job.shortage() : undefined,
  }
}

export function jobDetails(job: JobMaster, nowMs: number): JobDetails {
  const { jobGraph } = job.graph
  return {
    ...jobSummary(job, nowMs),
    nowMs,
    timestamps: Object.fromEntries(jobStatuses.map(status => [status, job.timestamps[status] ?? 0])) as Record<JobStatus, number>,
    vertices: jobGraph.vertices.map(vertex => vertexSummary(job, vertex, nowMs)),
    jobGraph: asJson(jobGraph),
    slotsNeeded: slotsRequired(jobGraph),
    parallelism: jobGraph.parallelism,
    configuration: jobGraph.configuration,
    args: job.job.args,
    attempt: job.attempt,
    restartStrategy: restartStrategyText(job.restartStrategy),
    checkpointProblem: isTerminalStatus(job.state) ? undefined : job.checkpointCoordinator?.problem,
  }
}

export function vertexDetails(job: JobMaster, vertexId: string, nowMs: number): VertexDetails | undefined {
  const vertex = job.graph.jobGraph.vertices.find(candidate => candidate.id === vertexId)
  if (vertex === undefined) return undefined
  const subtasks = executionsOfVertex(job.graph, vertexId).map(execution => subtaskView(execution, job.metrics.get(execution.executionId), nowMs))
  return { ...vertexSummary(job, vertex, nowMs), nowMs, subtasks, coordinatorMetrics: job.coordinatorMetrics(vertexId) }
}

export function jobResult(job: JobMaster): JobResult {
  if (!isTerminalStatus(job.state)) return { kind: 'in-progress' }
  return {
    kind: 'completed',
    jobId: job.job.jobId,
    name: job.graph.jobGraph.jobName,
    state: job.state,
    startTimeMs: job.timestamps.INITIALIZING ?? -1,
    endTimeMs: job.timestamps[job.state] ?? -1,
    failureCause: job.state === 'FAILED' ? job.failureCause : undefined,
  }
}

export function taskManagerView(session: TaskManagerSession, resources: ResourceManager, jobs: readonly JobMaster[]): TaskManagerView {
  const tasks = tasksByAllocation(jobs)
  const slots = resources.slotsOf(session.id).map((slot, slotIndex) => ({
    slotIndex,
    ...slot,
    assignedTasks: slot.allocationId === undefined ? 0 : (tasks.get(slot.allocationId) ?? 0),
  }))
  return {
    id: session.id,
    host: session.host,
    dataPort: session.dataPort,
    lastHeartbeatMs: session.lastHeartbeatMs,
    slotsTotal: slots.length,
    slotsFree: slots.filter(slot => slot.allocationId === undefined).length,
    hardware: session.hardware,
    metrics: session.metrics,
    slots,
  }
}

function vertexSummary(job: JobMaster, vertex: JobVertex, nowMs: number): VertexSummary {
  const executions = executionsOfVertex(job.graph, vertex.id)
  const metrics = executions.map(execution => job.metrics.get(execution.executionId))
  const starts = executions.flatMap(execution => execution.enteredMs.DEPLOYING ?? [])
  const startTimeMs = starts.length === 0 ? -1 : Math.min(...starts)
  const ended = executions.every(execution => isTerminal(execution.state))
  const endTimeMs = ended && startTimeMs >= 0 ? Math.max(...executions.map(endOf)) : -1
  return {
    id: vertex.id,
    name: vertex.name,
    slotSharingGroup: vertex.slotSharingGroup,
    parallelism: vertex.parallelism,
    maxParallelism: vertex.maxParallelism,
    status: vertexState(executions),
    startTimeMs,
    endTimeMs,
    durationMs: startTimeMs < 0 ? -1 : (endTimeMs < 0 ? nowMs : endTimeMs) - startTimeMs,
    taskCounts: counts(executions),
    metrics: sumIo(metrics.map(ioMetrics)),
    operators: vertex.operators.map((operator): OperatorView => {
      const summed: Record<string, number> = {}
      for (const task of metrics) {
        for (const [name, value] of Object.entries(task?.operators[operator.operatorId] ?? {})) summed[name] = (summed[name] ?? 0) + value
      }
      return { operatorId: operator.operatorId, name: operator.name, metrics: summed }
    }),
  }
}

function subtaskView(execution: Execution, metrics: TaskMetrics | undefined, nowMs: number): SubtaskView {
  const { state, enteredMs } = execution
  const location = 'location' in state ? state.location : undefined
  const startTimeMs = enteredMs.DEPLOYING ?? -1
  const endTimeMs = isTerminal(state) ? endOf(execution) : -1
  return {
    subtaskIndex: execution.subtaskIndex,
    attempt: execution.attempt,
    executionId: execution.executionId,
    status: state.name,
    host: location?.host ?? '',
    taskManagerId: location?.taskManagerId ?? '',
    endpoint: location === undefined ? '(unassigned)' : `${location.host}:${location.dataPort}`,
    startTimeMs,
    endTimeMs,
    durationMs: startTimeMs < 0 ? -1 : (endTimeMs < 0 ? nowMs : endTimeMs) - startTimeMs,
    timestamps: Object.fromEntries(executionStates.map(name => [name, name === 'RECONCILING' ? 0 : (enteredMs[name] ?? 0)])) as Record<
      ExecutionStateName,
      number
    >,
    metrics: ioMetrics(metrics),
    taskMetrics: metrics?.task ?? {},
    operatorMetrics: metrics?.operators ?? {},
  }
}

function ioMetrics(metrics: TaskMetrics | undefined): IoMetrics {
  const value = (name: string) => metrics?.task[name] ?? 0
  return {
    readBytes: value('numBytesIn'),
    writeBytes: value('numBytesOut'),
    readRecords: value('numRecordsIn'),
    writeRecords: value('numRecordsOut'),
    accumulatedBusyMs: value('accumulateBusyTimeMs'),
    accumulatedIdleMs: value('accumulateIdleTimeMs'),
    accumulatedBackPressuredMs: value('accumulateBackPressuredTimeMs'),
    complete: metrics !== undefined,
  }
}

function sumIo(parts: readonly IoMetrics[]): IoMetrics {
  const sum = (pick: (part: IoMetrics) => number) => parts.reduce((total, part) => total + pick(part), 0)
  return {
    readBytes: sum(part => part.readBytes),
    writeBytes: sum(part => part.writeBytes),
    readRecords: sum(part => part.readRecords),
    writeRecords: sum(part => part.writeRecords),
    accumulatedBusyMs: sum(part => part.accumulatedBusyMs),
    accumulatedIdleMs: sum(part => part.accumulatedIdleMs),
    accumulatedBackPressuredMs: sum(part => part.accumulatedBackPressuredMs),
    complete: parts.every(part => part.complete),
  }
}

function counts(executions: readonly Execution[]): Record<ExecutionStateName, number> {
  const result = Object.fromEntries(executionStates.map(name => [name, 0])) as Record<ExecutionStateName, number>
  for (const { state } of executions) result[state.name]++
  return result
}

function endOf({ state, enteredMs }: Execution): number {
  return enteredMs[state.name] ?? -1
}

function lastModification(job: JobMaster): number {
  let last = Math.max(0, ...Object.values(job.timestamps))
  for (const { enteredMs, state } of job.graph.executions) last = Math.max(last, enteredMs[state.name] ?? 0)
  return last
}

function tasksByAllocation(jobs: readonly JobMaster[]): ReadonlyMap<string, number> {
  const tasks = new Map<string, number>()
  for (const job of jobs) for (const allocationId of allocationsOf(job.graph)) tasks.set(allocationId, (tasks.get(allocationId) ?? 0) + 1)
  return tasks
}

function allocationsOf(graph: ExecutionGraph): readonly string[] {
  return graph.executions.flatMap(({ state }) =>
    !isTerminal(state) && 'location' in state && state.location !== undefined ? [state.location.allocationId] : [],
  )
}
