import { expect, test } from 'vitest'
import type { SlotDeployment } from '../graph/deployment.ts'
import { type CheckpointAck, DeployedTasks } from './deployed-tasks.ts'

test('state that waits behind other state is not written any more once the tasks are cancelled', async () => {
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
  for (const checkpointId of [1, 2]) tasks.writeCheckpoint({ kind: 'checkpoint-ack', executionId: 'a', checkpointId } as unknown as CheckpointAck)
  await Promise.resolve()
  tasks.cancel()
  first.resolve()
  for (let i = 0; i < 10; i++) await Promise.resolve()
  expect(begun).toEqual([1])
})
