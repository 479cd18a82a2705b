import { expect, test } from 'vitest'
import { SimClock } from '../../test/support/sim-clock.ts'
import { SlotScheduler } from './slot.ts'
import type { Task } from './task.ts'

test('a task whose timer is due has its turn, however many others stand behind it and however soon timers fire', async () => {
  const clock = new SimClock()
  // A turn comes later than a timer that is due.
  const scheduler = new SlotScheduler({ clock, post: callback => void clock.schedule(1, callback), idle: () => {} })
  const resumed: number[] = []
  let dueMs = clock.nowMs() + 10
  const tasks = Array.from({ length: 9 }, (_, depth) => {
    const task = {
      depth,
      isRunning: true,
      nextTimerMs: () => (depth === 0 ? dueMs : Number.POSITIVE_INFINITY),
      resume() {
        resumed.push(depth)
        if (depth === 0 && dueMs <= clock.nowMs()) dueMs = Number.POSITIVE_INFINITY
        return 'nothing'
      },
    }
    return task as unknown as Task
  })
  scheduler.add(tasks)
  scheduler.wakeAll()
  await clock.runUntil(() => false, 100)
  expect(dueMs).toBe(Number.POSITIVE_INFINITY)
  expect(resumed.length).toBeLessThan(4 * tasks.length)
})
