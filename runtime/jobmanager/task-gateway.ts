import { FlinkError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { SnapshotType } from '../common/snapshot-type.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import { type Execution, type ExecutionLocation, isTerminal } from '../graph/execution-graph.ts'
import type { RpcLink } from '../rpc/link.ts'
import { asJson, type OfJob, type TaskManagerMethods } from '../rpc/messages.ts'
import type { SplitMessage } from './source-coordinators.ts'

/**
 * How a JobMaster speaks to its tasks: in order for each TaskManager, each call exactly once as long as the connection lives. That a connection
 * is lost is told by the ResourceManager, with a better reason, so nothing here reports it.
 */
export interface TaskManagerHandle {
  readonly id: string
  readonly dataHost: string
  readonly dataPort: number
  readonly link: RpcLink<TaskManagerMethods>
}

export interface TriggeredSnapshot {
  readonly checkpointId: number
  readonly timestampMs: number
  readonly type: SnapshotType
  /** Of a savepoint: the URI of its folder. */
  readonly location: string | null
}

export interface TaskGatewayOptions {
  readonly log: Logger
  taskManager(id: string): TaskManagerHandle | undefined
  fence(): OfJob
}

export class TaskGateway {
  private readonly options: TaskGatewayOptions

  constructor(options: TaskGatewayOptions) {
    this.options = options
  }

  submit(deployment: SlotDeployment, { taskManagerId }: ExecutionLocation, failed: (error: FlinkError) => void): void {
    const { allocationId } = deployment
    const refused = (cause: unknown) =>
      failed(new FlinkError('EXTERNAL_SYSTEM', `tasks could not be deployed to taskmanager ${taskManagerId}`, { allocationId }, cause))
    const link = this.options.taskManager(taskManagerId)?.link
    if (link === undefined) {
      refused(new FlinkError('TASKMANAGER_LOST', 'the taskmanager is not registered any more'))
      return
    }
    link.callInOrder('submitTasks', { ...this.options.fence(), allocationId, deployment: asJson(deployment) }).catch(error => {
      if (!isConnectionLost(error)) refused(error)
    })
  }

  /** All of them in that slot. */
  cancel({ allocationId, taskManagerId }: ExecutionLocation, executionIds: readonly string[]): void {
    // Refused: the slot is gone, and its tasks were told to have ended or will be told to be lost.
    this.options
      .taskManager(taskManagerId)
      ?.link.callInOrder('cancelTasks', { ...this.options.fence(), allocationId, executionIds })
      .catch(error => this.options.log.debug('cancelling was not answered', { taskManagerId, reason: String(error) }))
  }

  sendSplits(execution: Execution, operatorId: string, message: SplitMessage, failed: (error: unknown) => void): void {
    const location = locationOf(execution)
    const link = location === undefined ? undefined : this.options.taskManager(location.taskManagerId)?.link
    if (location === undefined || link === undefined || isTerminal(execution.state)) return
    const to = { ...this.options.fence(), allocationId: location.allocationId, executionId: execution.executionId, operatorId }
    const sent =
      message.kind === 'assign' ? link.callInOrder('assignSplits', { ...to, splits: message.splits }) : link.callInOrder('noMoreSplits', to)
    sent.catch(error => {
      // A split that does not arrive is data that is not read.
      if (!isConnectionLost(error)) failed(error)
    })
  }

  /** Only a task that ends can miss it, and that is told by its end. */
  triggerCheckpoint(executions: readonly Execution[], snapshot: TriggeredSnapshot): void {
    for (const { link, allocationId, executionIds } of this.bySlot(executions))
      link.callInOrder('triggerCheckpoint', { ...this.options.fence(), allocationId, executionIds, ...snapshot }).catch(() => {})
  }

  notifyCheckpoint(executions: readonly Execution[], checkpointId: number, outcome: 'complete' | 'aborted'): void {
    for (const { link, allocationId, executionIds } of this.bySlot(executions))
      link.callInOrder('notifyCheckpoint', { ...this.options.fence(), allocationId, executionIds, checkpointId, outcome }).catch(() => {})
  }

  /** A TaskManager that cannot be told drops what it has of this JobManager's jobs. */
  releaseResults(executions: readonly Execution[]): void {
    const byTaskManager = Map.groupBy(executions, execution => locationOf(execution)?.taskManagerId ?? '')
    for (const [taskManagerId, ofIt] of byTaskManager) {
      this.options
        .taskManager(taskManagerId)
        ?.link.callInOrder('releaseResults', { ...this.options.fence(), executionIds: ofIt.map(({ executionId }) => executionId) })
        .catch(error => this.options.log.debug('releasing results was not answered', { taskManagerId, reason: String(error) }))
    }
  }

  private bySlot(executions: readonly Execution[]) {
    const slots = new Map<string, { readonly link: TaskManagerHandle['link']; readonly allocationId: string; readonly executionIds: string[] }>()
    for (const execution of executions) {
      const location = locationOf(execution)
      if (location === undefined || isTerminal(execution.state)) continue
      const { allocationId, taskManagerId } = location
      const link = this.options.taskManager(taskManagerId)?.link
      if (link === undefined) continue
      const slot = slots.get(allocationId) ?? { link, allocationId, executionIds: [] }
      slot.executionIds.push(execution.executionId)
      slots.set(allocationId, slot)
    }
    return slots.values()
  }

  freeSlot({ allocationId, taskManagerId }: { readonly allocationId: string; readonly taskManagerId: string }): void {
    // Lost or refused: the next heartbeat does not list the allocation, and the TaskManager frees it by itself.
    this.options
      .taskManager(taskManagerId)
      ?.link.call('freeSlot', { ...this.options.fence(), allocationId })
      .catch(() => {})
  }
}

export function locationOf({ state }: Execution): ExecutionLocation | undefined {
  return 'location' in state ? state.location : undefined
}

function isConnectionLost(error: unknown): boolean {
  return error instanceof FlinkError && error.code === 'CONNECTION_LOST'
}
