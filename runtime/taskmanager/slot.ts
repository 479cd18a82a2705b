import type { Clock, Timer } from '../common/clock.ts'
import type { Task } from './task.ts'

/**
 * The scheduler of one slot: a run queue of the slot's tasks, downstream first, one time slice each. It never waits: when nothing is
 * runnable it tells its environment (`idle`), which rings back through `wakeAll`; between two turns of the queue the environment gets the
 * thread (`post`), so commands, promises of users' async functions and timers are served.
 *
 * Invariant: a task is queued, or parked with somebody who will wake it: the other side of a channel (same slot: `wake`; other threads: the
 * doorbell, which wakes all), an async half, a timer, or a command.
 */
export interface SlotEnvironment {
  readonly clock: Clock
  /** Runs `callback` on a later turn of the event loop (or of the simulation). */
  post(callback: () => void): void
  /** Nothing is runnable. The environment must call `wakeAll` when the doorbell rings, and at once if it rang since the last poll. */
  idle(): void
}

/** Slices between two turns of the event loop: bounds how late a command is seen (cancel has its own escalation). */
const SLICES_PER_TURN = 4

export class SlotScheduler {
  private readonly environment: SlotEnvironment
  /** Deepest last, so that `pop` takes what is most downstream. */
  private readonly queue: Task[] = []
  private readonly queued = new Set<Task>()
  private tasks: readonly Task[] = []
  private posted = false
  private timer: Timer | undefined
  private timerMs = Number.POSITIVE_INFINITY
  private stopped = false
  private running: Task | undefined
  private wokenWhileRunning = false

  constructor(environment: SlotEnvironment) {
    this.environment = environment
  }

  /** Beside those that run. */
  add(tasks: readonly Task[]): void {
    this.tasks = [...this.tasks.filter(task => !task.isClosed), ...tasks]
  }

  wake(task: Task): void {
    // A task that is woken while it runs must run once more: the cause may have come after it looked.
    if (task === this.running) {
      this.wokenWhileRunning = true
      return
    }
    if (this.stopped || this.queued.has(task) || !task.isRunning) return
    this.queued.add(task)
    let at = this.queue.length
    while (at > 0 && this.queue[at - 1]!.depth > task.depth) at--
    this.queue.splice(at, 0, task)
    this.post()
  }

  wakeAll(): void {
    for (const task of this.tasks) this.wake(task)
  }

  stop(): void {
    this.stopped = true
    this.queue.length = 0
    this.queued.clear()
    this.timer?.cancel()
  }

  private post(): void {
    if (this.posted || this.stopped) return
    this.posted = true
    this.environment.post(() => {
      this.posted = false
      this.turn()
    })
  }

  private turn(): void {
    for (let slices = 0; slices < SLICES_PER_TURN && !this.stopped; slices++) {
      const task = this.queue.pop()
      if (task === undefined) break
      this.queued.delete(task)
      this.running = task
      this.wokenWhileRunning = false
      const why = task.resume()
      this.running = undefined
      if (why === 'budget' || (this.wokenWhileRunning && why !== 'ended')) this.requeueBehind(task)
    }
    if (this.stopped) return
    this.armTimer()
    if (this.queue.length > 0) this.post()
    else this.environment.idle()
  }

  /** Behind the tasks of the same turn: a task that always has input must not starve those upstream of it. */
  private requeueBehind(task: Task): void {
    if (!task.isRunning) return
    this.queued.add(task)
    this.queue.unshift(task)
  }

  private armTimer(): void {
    let next = Number.POSITIVE_INFINITY
    for (const task of this.tasks) next = Math.min(next, task.nextTimerMs())
    if (next === this.timerMs && this.timer !== undefined) return
    this.timer?.cancel()
    this.timer = undefined
    this.timerMs = next
    if (next === Number.POSITIVE_INFINITY) return
    this.timer = this.environment.clock.schedule(
      Math.max(0, next - this.environment.clock.nowMs()),
      () => {
        this.timer = undefined
        // The others have nothing to do: downstream first, they would keep those that are due from their turn.
        const nowMs = this.environment.clock.nowMs()
        const due = this.tasks.filter(task => task.nextTimerMs() <= nowMs)
        for (const task of due) this.wake(task)
        // A clock that is asked in fractions may say that it is not yet time.
        if (due.length === 0) this.armTimer()
      },
      { ref: true },
    )
  }
}
