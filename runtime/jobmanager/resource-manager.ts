import type { Clock, Timer } from '../common/clock.ts'
import { sleep } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { HardwareDescription } from '../rpc/job-manager-gateway.ts'
import type { RpcLink } from '../rpc/link.ts'
import type { Registration, SlotReport, TaskManagerMethods } from '../rpc/messages.ts'
import { type LoadBalanceMode, type SlotAction, SlotManagerCore, type SlotRequest } from './slot-manager-core.ts'

/**
 * Which TaskManagers there are, and which slot goes to whom (decided by slot-manager-core.ts, done here).
 *
 * - A TaskManager is a session from its registration until its connection ends, it misses its heartbeats, or it registers anew. The end
 *   of a session is final: its jobs are told, its slots are gone.
 * - `requestSlot` is repeated until it is answered; the TaskManager knows the allocation id and answers the same again.
 * - Every heartbeat tells a TaskManager what the JobMasters own there, and brings its slot report.
 */
export interface TaskManagerSession {
  readonly id: string
  readonly host: string
  readonly dataHost: string
  readonly dataPort: number
  readonly hardware: HardwareDescription
  readonly link: RpcLink<TaskManagerMethods>
  lastHeartbeatMs: number
  /** As it reported last. */
  metrics: Readonly<Record<string, number>>
  /** Grows with each offer that a JobMaster accepts; see `HeartbeatRequest`. */
  allocationVersion: number
}

export interface ResourceManagerOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly generation: number
  readonly loadBalanceMode: LoadBalanceMode
  readonly heartbeatIntervalMs: number
  readonly heartbeatTimeoutMs: number
  /** What all JobMasters own on a TaskManager. */
  allocationsOn(taskManagerId: string): readonly string[]
  onAllocationLost(jobId: string, allocationId: string): void
  onTaskManagerLost(taskManagerId: string, error: FlinkError): void
}

export class ResourceManager {
  private readonly options: ResourceManagerOptions
  private readonly core: SlotManagerCore
  private readonly sessions = new Map<string, TaskManagerSession>()
  private readonly timers = new Map<TaskManagerSession, Timer>()
  private readonly closing = new AbortController()

  constructor(options: ResourceManagerOptions) {
    this.options = options
    this.core = new SlotManagerCore(options.loadBalanceMode)
  }

  register(registration: Registration, link: RpcLink<TaskManagerMethods>): void {
    const { taskManagerId: id, host, dataHost, dataPort, hardware, report } = registration
    const known = this.sessions.get(id)
    if (known?.link === link) {
      // The registration was doubled on its way.
      this.run(this.core.report(id, report))
      return
    }
    if (known !== undefined) this.lose(known, `TaskManager with id ${id} registered again: its process or its connection was replaced.`)
    const session: TaskManagerSession = {
      id,
      host,
      dataHost,
      dataPort,
      hardware,
      link,
      lastHeartbeatMs: this.options.clock.nowMs(),
      metrics: {},
      allocationVersion: 0,
    }
    this.sessions.set(id, session)
    this.options.log.info('taskmanager registered', { taskManagerId: id, host, slots: report.slots.length })
    link.connection.onClose(reason => this.lose(session, `TaskManager with id ${id} is no longer reachable: ${reason.message}.`))
    this.watch(session, this.options.clock.monotonicMs())
    this.run(this.core.register(id, report))
  }

  session(taskManagerId: string): TaskManagerSession | undefined {
    return this.sessions.get(taskManagerId)
  }

  allSessions(): readonly TaskManagerSession[] {
    return [...this.sessions.values()]
  }

  slotsOf(taskManagerId: string) {
    return this.core.slotsOf(taskManagerId)
  }

  counts() {
    return this.core.counts()
  }

  requestSlot(request: SlotRequest): void {
    this.run(this.core.request(request))
  }

  cancelRequest(allocationId: string): void {
    this.core.cancelRequest(allocationId)
  }

  report(taskManagerId: string, report: SlotReport): void {
    this.run(this.core.report(taskManagerId, report))
  }

  reportMetrics(taskManagerId: string, metrics: Readonly<Record<string, number>>): void {
    const session = this.sessions.get(taskManagerId)
    if (session !== undefined) session.metrics = metrics
  }

  close(reason: string): void {
    this.closing.abort(new FlinkError('CANCELLED', reason))
    for (const timer of this.timers.values()) timer.cancel()
    this.timers.clear()
    for (const session of this.sessions.values()) session.link.connection.close(reason)
    this.sessions.clear()
  }

  private lose(session: TaskManagerSession, message: string): void {
    if (this.sessions.get(session.id) !== session || this.closing.signal.aborted) return
    this.sessions.delete(session.id)
    this.timers.get(session)?.cancel()
    this.timers.delete(session)
    this.options.log.warn('taskmanager lost', { taskManagerId: session.id, reason: message })
    session.link.connection.close('given up by the jobmanager')
    // Jobs first: they learn the true reason before single slots are reported gone.
    this.options.onTaskManagerLost(session.id, new FlinkError('TASKMANAGER_LOST', message, { taskManagerId: session.id }))
    this.run(this.core.unregister(session.id))
  }

  /** Sends the next heartbeat, unless the last answer is too old. `heardMs` is monotonic: a clock that is set must not lose anybody. */
  private watch(session: TaskManagerSession, heardMs: number): void {
    const { clock, generation, heartbeatIntervalMs, heartbeatTimeoutMs, allocationsOn } = this.options
    let lastHeardMs = heardMs
    const beat = () => {
      if (this.sessions.get(session.id) !== session) return
      if (clock.monotonicMs() - lastHeardMs > heartbeatTimeoutMs) {
        this.lose(session, `The heartbeat of TaskManager with id ${session.id} timed out.`)
        return
      }
      const { allocationVersion, link, id } = session
      link.call('heartbeat', { generation, allocations: allocationsOn(id), allocationVersion }, heartbeatTimeoutMs).then(
        ({ report }) => {
          if (this.sessions.get(id) !== session) return
          lastHeardMs = clock.monotonicMs()
          session.lastHeartbeatMs = clock.nowMs()
          this.run(this.core.report(id, report))
        },
        () => {
          // The silence is what counts; it is judged above.
        },
      )
      this.timers.set(session, clock.schedule(heartbeatIntervalMs, beat))
    }
    this.timers.set(session, clock.schedule(heartbeatIntervalMs, beat))
  }

  private run(actions: readonly SlotAction[]): void {
    for (const action of actions) {
      if (action.kind === 'requestSlot') void this.askFor(action)
      else this.options.onAllocationLost(action.jobId, action.allocationId)
    }
  }

  private async askFor({ taskManagerId, slotIndex, request }: Extract<SlotAction, { kind: 'requestSlot' }>): Promise<void> {
    const { clock, generation, log } = this.options
    for (;;) {
      const session = this.sessions.get(taskManagerId)
      if (session === undefined || !this.core.isPending(taskManagerId, slotIndex, request.allocationId)) return
      try {
        const { accepted, report } = await session.link.call('requestSlot', { generation, slotIndex, ...request })
        if (this.sessions.get(taskManagerId) === session)
          this.run(this.core.answered(taskManagerId, slotIndex, request.allocationId, accepted, report))
        return
      } catch (error) {
        if (this.closing.signal.aborted || this.sessions.get(taskManagerId) !== session) return
        log.debug('slot request was not answered', { taskManagerId, slotIndex, reason: error instanceof Error ? error.message : String(error) })
      }
      try {
        await sleep(clock, 1_000, this.closing.signal)
      } catch {
        return
      }
    }
  }
}
