import { assert } from '../common/assert.ts'
import type { JsonObject } from '../common/json.ts'
import { channelId, consumersOf, producersOf, resultChannelId } from './channels.ts'
import type { ArtifactRef, ChannelDeployment, ChannelPeer, InputDeployment, OutputDeployment, SlotDeployment, TaskDeployment } from './deployment.ts'
import { type Execution, type ExecutionGraph, type ExecutionLocation, executionOfSubtask, vertexById } from './execution-graph.ts'
import type { JobEdge, JobVertex } from './job-graph.ts'
import type { PlannedSlot } from './slot-assignment.ts'

/** A planned slot that has been given a place. */
export interface AllocatedSlot {
  readonly planned: PlannedSlot
  readonly location: ExecutionLocation
}

export interface DeploymentOptions {
  readonly generation: number
  readonly artifact: ArtifactRef
  readonly args: readonly string[]
  /** Those to deploy; absent = all. */
  readonly regions?: ReadonlySet<number>
  /** What a task begins with; absent = it begins empty. */
  readonly restoreOf?: ((vertex: JobVertex, subtaskIndex: number) => JsonObject) | undefined
}

/**
 * One deployment for each slot and region, in the order of `slots`. Subtasks that are connected by pipelined edges must all have a slot: channels name both
 * of their ends. What is read from a blocking edge was written by an execution that has finished, and lies where that ran.
 */
export function buildSlotDeployments(graph: ExecutionGraph, slots: readonly AllocatedSlot[], options: DeploymentOptions): SlotDeployment[] {
  const places = placesOf(slots)
  const executions = new Map(
    graph.executions.map((execution, index) => [
      subtaskKey(execution.vertexId, execution.subtaskIndex),
      { ...execution, region: graph.regions[index] ?? -1 },
    ]),
  )
  const { jobGraph } = graph
  return slots.flatMap(({ planned, location }) => {
    const own = planned.subtasks.map(({ vertexId, subtaskIndex }) => {
      const execution = executions.get(subtaskKey(vertexId, subtaskIndex))
      assert(execution !== undefined, `subtask ${subtaskIndex} of vertex ${vertexId} has an execution`)
      return execution
    })
    const regions = new Map(own.map(({ region, attempt }) => [region, attempt]))
    return [...regions]
      .filter(([region]) => options.regions?.has(region) !== false)
      .map(
        ([region, attempt]): SlotDeployment => ({
          jobId: graph.jobId,
          jobName: jobGraph.jobName,
          generation: options.generation,
          region,
          attempt,
          allocationId: location.allocationId,
          artifact: options.artifact,
          args: options.args,
          configuration: jobGraph.configuration,
          runtimeMode: jobGraph.runtimeMode,
          tasks: own
            .filter(execution => execution.region === region)
            .map(({ vertexId, subtaskIndex }) => {
              const vertex = vertexById(jobGraph, vertexId)
              const restore = options.restoreOf?.(vertex, subtaskIndex) ?? null
              return { ...taskDeployment(graph, vertex, subtaskIndex, location, places), restore }
            }),
        }),
      )
  })
}

type Places = ReadonlyMap<string, ExecutionLocation>

function taskDeployment(
  graph: ExecutionGraph,
  vertex: JobVertex,
  subtaskIndex: number,
  own: ExecutionLocation,
  places: Places,
): Omit<TaskDeployment, 'restore'> {
  const { jobGraph } = graph
  const { executionId } = executionOfSubtask(graph, vertex.id, subtaskIndex)
  const inputOf = (edge: JobEdge): InputDeployment => {
    const producerVertex = vertexById(jobGraph, edge.source.vertexId)
    return {
      edge,
      channels: producersOf(edge.partitioner, subtaskIndex, producerVertex.parallelism, vertex.parallelism).map((producer): ChannelDeployment => {
        const channel = { peerSubtaskIndex: producer }
        if (edge.exchange === 'blocking') {
          const execution = executionOfSubtask(graph, producerVertex.id, producer)
          return { ...channel, channelId: resultChannelId(edge.id, producer, subtaskIndex, execution.executionId), peer: resultPeer(execution, own) }
        }
        return { ...channel, channelId: channelId(edge.id, producer, subtaskIndex), peer: peerOf(producerVertex.id, producer, own, places) }
      }),
    }
  }
  const outputOf = (edge: JobEdge): OutputDeployment => {
    const consumer = vertexById(jobGraph, edge.target.vertexId)
    return {
      edge,
      channels: consumersOf(edge.partitioner, subtaskIndex, vertex.parallelism, consumer.parallelism).map((target): ChannelDeployment => {
        const channel = { peerSubtaskIndex: target }
        if (edge.exchange === 'blocking')
          return { ...channel, channelId: resultChannelId(edge.id, subtaskIndex, target, executionId), peer: { kind: 'result' } }
        return { ...channel, channelId: channelId(edge.id, subtaskIndex, target), peer: peerOf(consumer.id, target, own, places) }
      }),
      consumerParallelism: consumer.parallelism,
      consumerMaxParallelism: consumer.maxParallelism,
    }
  }
  return {
    executionId,
    vertex,
    subtaskIndex,
    inputs: jobGraph.edges.filter(edge => edge.target.vertexId === vertex.id).map(inputOf),
    outputs: jobGraph.edges.filter(edge => edge.source.vertexId === vertex.id).map(outputOf),
  }
}

function resultPeer({ state, vertexId, subtaskIndex }: Execution, own: ExecutionLocation): ChannelPeer {
  const location = state.name === 'FINISHED' ? state.location : undefined
  assert(location !== undefined, `subtask ${subtaskIndex} of vertex ${vertexId} has finished, so that its blocking result can be read`)
  if (location.taskManagerId === own.taskManagerId) return { kind: 'result' }
  return { kind: 'remote', taskManagerId: location.taskManagerId, host: location.host, dataPort: location.dataPort }
}

function peerOf(vertexId: string, subtaskIndex: number, own: ExecutionLocation, places: Places): ChannelPeer {
  const place = places.get(subtaskKey(vertexId, subtaskIndex))
  assert(place !== undefined, `subtask ${subtaskIndex} of vertex ${vertexId} has a slot`)
  if (place.allocationId === own.allocationId) return { kind: 'slot' }
  if (place.taskManagerId === own.taskManagerId) return { kind: 'local', allocationId: place.allocationId }
  return { kind: 'remote', taskManagerId: place.taskManagerId, host: place.host, dataPort: place.dataPort }
}

function placesOf(slots: readonly AllocatedSlot[]): Places {
  const places = new Map<string, ExecutionLocation>()
  for (const { planned, location } of slots) {
    for (const { vertexId, subtaskIndex } of planned.subtasks) places.set(subtaskKey(vertexId, subtaskIndex), location)
  }
  return places
}

function subtaskKey(vertexId: string, subtaskIndex: number): string {
  return `${vertexId}/${subtaskIndex}`
}
