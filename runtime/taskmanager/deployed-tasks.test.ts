import { expect, test } from 'vitest'
import type { SlotDeployment } from '../graph/deployment.ts'
import { type CheckpointAck, DeployedTasks } from './deployed-tasks.ts'

/** One task whose state is written when the test says so. */
function taskWithState() {
  const begun: number[] = []
  const first = Promise.withResolvers<void>()
  const deployment = { tasks: [{ executionId: 'a', outputs: [] }] } as unknown as SlotDeployment
  const tasks = new DeployedTasks(deployment, {
    onTaskState: () => {},
    onSplitRequest: () => {},
    onAwaitsCheckpoint: () => {},
    onCheckpointComplete: () => {},
    storeResult: async () => {},
    readRestored: async () => new Map(),
    onCheckpoint: ({ checkpointId }) => {
      begun.push(checkpointId)
      return first.promise
    },
  })
  const write = (checkpointId: number) =>
    tasks.writeCheckpoint({ kind: 'checkpoint-ack', executionId: 'a', checkpointId } as unknown as CheckpointAck)
  return { tasks, write, begun, finishFirst: first.resolve }
}

async function someTurns(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

test('state that waits behind other state is not written any more once the tasks are cancelled', async () => {
  const { tasks, write, begun, finishFirst } = taskWithState()
  for (const checkpointId of [1, 2]) void write(checkpointId)
  await Promise.resolve()
  tasks.cancel()
  finishFirst()
  await someTurns()
  expect(begun).toEqual([1])
})

test('state counts as written, and its memory may go back, when it is: not while it waits behind other state', async () => {
  const { write, begun, finishFirst } = taskWithState()
  const written: number[] = []
  for (const checkpointId of [1, 2]) void write(checkpointId).then(() => written.push(checkpointId))
  await someTurns()
  expect([begun, written]).toEqual([[1], []])
  finishFirst()
  await someTurns()
  expect([begun, written]).toEqual([
    [1, 2],
    [1, 2],
  ])
})
