import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomStreamGraph } from '../../test/support/random-stream-graph.ts'
import { StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import type { SlotDeployment } from './deployment.ts'
import { type AllocatedSlot, buildSlotDeployments } from './deployment-builder.ts'
import { createExecutionGraph, type ExecutionLocation, transition } from './execution-graph.ts'
import type { JobGraph } from './job-graph.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { schedulingStages, stageGraph } from './scheduling.ts'
import { planSlots } from './slot-assignment.ts'

const artifact = { digest: 'd', entry: 'default' }

/** Slot i on TaskManager i modulo `taskManagers`. */
function deploy(jobGraph: JobGraph, taskManagers: number): SlotDeployment[] {
  let next = 0
  const graph = createExecutionGraph('job', jobGraph, { attempt: 3, nowMs: 0, newExecutionId: () => `e${next++}` })
  const slots = planSlots(jobGraph).map(
    (planned, i): AllocatedSlot => ({
      planned,
      location: {
        allocationId: `slot-${i}`,
        taskManagerId: `tm-${i % taskManagers}`,
        host: `host-${i % taskManagers}`,
        dataPort: 6000 + (i % taskManagers),
      },
    }),
  )
  return buildSlotDeployments(graph, slots, { generation: 5, artifact, args: ['--x'] })
}

function wordCount(): JobGraph {
  const graph = new StreamGraphBuilder()
  graph.source('words').keyed('sum', { maxParallelism: 64 })
  return buildJobGraph(graph.build({ parallelism: 4 }), { client: { 'pipeline.name': 'x' } })
}

test('says of each channel whether its other side is in the slot, on the TaskManager or elsewhere', () => {
  const [first] = deploy(wordCount(), 2)
  expect(first).toMatchObject({
    jobId: 'job',
    generation: 5,
    attempt: 3,
    allocationId: 'slot-0',
    artifact,
    args: ['--x'],
    configuration: { 'pipeline.name': 'x' },
  })
  const [source, sum] = first?.tasks ?? []
  expect(source).toMatchObject({ executionId: 'e0', subtaskIndex: 0, inputs: [], restore: null })
  expect(source?.outputs).toMatchObject([
    {
      consumerParallelism: 4,
      consumerMaxParallelism: 64,
      channels: [
        { channelId: '0/0/0', peer: { kind: 'slot' }, peerSubtaskIndex: 0 },
        { channelId: '0/0/1', peer: { kind: 'remote', taskManagerId: 'tm-1', host: 'host-1', dataPort: 6001 }, peerSubtaskIndex: 1 },
        { channelId: '0/0/2', peer: { kind: 'local', allocationId: 'slot-2' }, peerSubtaskIndex: 2 },
        { channelId: '0/0/3', peer: { kind: 'remote', taskManagerId: 'tm-1' }, peerSubtaskIndex: 3 },
      ],
    },
  ])
  expect(sum?.inputs[0]?.channels.map(channel => channel.channelId)).toEqual(['0/0/0', '0/1/0', '0/2/0', '0/3/0'])
})

test('on random graphs each channel has exactly one producer and one consumer, who agree about each other', () => {
  fc.assert(
    fc.property(randomStreamGraph(), fc.integer({ min: 1, max: 3 }), (streamGraph, taskManagers) => {
      const slots = deploy(buildJobGraph(streamGraph), taskManagers)
      const ends = (side: 'inputs' | 'outputs') =>
        new Map(
          slots.flatMap(slot =>
            slot.tasks.flatMap(task =>
              task[side].flatMap(({ channels }) =>
                channels.map(
                  channel =>
                    [
                      channel.channelId,
                      {
                        allocationId: slot.allocationId,
                        taskManager: Number(slot.allocationId.slice('slot-'.length)) % taskManagers,
                        subtask: task.subtaskIndex,
                        channel,
                      },
                    ] as const,
                ),
              ),
            ),
          ),
        )
      const producers = ends('outputs')
      const consumers = ends('inputs')
      expect([...producers.keys()].sort()).toEqual([...consumers.keys()].sort())
      const channelTotal = slots.flatMap(slot => slot.tasks.flatMap(task => task.outputs.flatMap(output => output.channels))).length
      expect(producers.size).toBe(channelTotal)
      for (const [id, producer] of producers) {
        const consumer = consumers.get(id)
        expect(producer.channel.peerSubtaskIndex).toBe(consumer?.subtask)
        expect(consumer?.channel.peerSubtaskIndex).toBe(producer.subtask)
        const kind = producer.allocationId === consumer?.allocationId ? 'slot' : producer.taskManager === consumer?.taskManager ? 'local' : 'remote'
        expect([producer.channel.peer.kind, consumer?.channel.peer.kind]).toEqual([kind, kind])
      }
    }),
  )
})

test('a deployment is the same after JSON', () => {
  const slots = deploy(wordCount(), 2)
  expect(JSON.parse(JSON.stringify(slots))).toEqual(slots)
})

test('a blocking edge is written to the results of its own TaskManager, and read from where its producer ran', () => {
  const stream = new StreamGraphBuilder()
  stream.source('words').keyed('sum')
  const jobGraph = buildJobGraph(stream.build({ parallelism: 2, runtimeMode: 'BATCH' }))
  let next = 0
  let graph = createExecutionGraph('job', jobGraph, { attempt: 0, nowMs: 0, newExecutionId: () => `e${next++}` })
  const stages = schedulingStages(jobGraph)
  const options = { generation: 5, artifact, args: [] }
  const slotsOf = (stage: number) =>
    planSlots(stageGraph(jobGraph, stages[stage] ?? [])).map((planned, i): AllocatedSlot => ({ planned, location: locationOn(i) }))
  const written = buildSlotDeployments(graph, slotsOf(0), options)
  expect(written.map(({ region, tasks }) => [region, tasks.map(task => task.executionId)])).toEqual([
    [0, ['e0']],
    [1, ['e1']],
  ])
  expect(written[1]?.tasks[0]?.outputs[0]?.channels).toEqual([
    { channelId: '0/1/0@e1', peer: { kind: 'result' }, peerSubtaskIndex: 0 },
    { channelId: '0/1/1@e1', peer: { kind: 'result' }, peerSubtaskIndex: 1 },
  ])
  expect(() => buildSlotDeployments(graph, slotsOf(1), options)).toThrow('has finished, so that its blocking result can be read')

  for (const [i, executionId] of ['e0', 'e1'].entries()) {
    for (const state of [
      { name: 'SCHEDULED' },
      { name: 'DEPLOYING', location: locationOn(i) },
      { name: 'FINISHED', location: locationOn(i) },
    ] as const)
      graph = transition(graph, executionId, state, 1)?.graph ?? graph
  }
  const read = buildSlotDeployments(graph, slotsOf(1), options)
  expect(read[1]?.tasks[0]?.inputs[0]?.channels).toEqual([
    { channelId: '0/0/1@e0', peer: { kind: 'remote', taskManagerId: 'tm-0', host: 'host-0', dataPort: 6000 }, peerSubtaskIndex: 0 },
    { channelId: '0/1/1@e1', peer: { kind: 'result' }, peerSubtaskIndex: 1 },
  ])
})

function locationOn(i: number): ExecutionLocation {
  return { allocationId: `slot-${i}`, taskManagerId: `tm-${i}`, host: `host-${i}`, dataPort: 6000 + i }
}
