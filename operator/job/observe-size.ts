import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJobStatus } from '../api/flink-job.ts'
import type { ObservedCluster } from '../effects/actions.ts'
import type { ObservedJob, ObservedSize } from './input.ts'

/** The size of a cluster decides something: the job waits for slots, is brought to another size, or TaskManagers are to go. */
export function asksForSize({ rescale, taskManager }: FlinkJobStatus, { taskManagers }: ObservedCluster, job: ObservedJob): boolean {
  if (job.kind !== 'present') return false
  return rescale !== undefined || job.message !== undefined || taskManagers.running > (taskManager?.replicas ?? taskManagers.running)
}

/** Over REST; undefined = nobody could be asked. */
export async function observeSize(rest: RestClient): Promise<ObservedSize | undefined> {
  try {
    const taskManagers = await rest.taskManagers()
    const { 'millrace-slots-required': slotsRequired } = await rest.overview()
    return {
      slots: taskManagers.reduce((sum, { slotsNumber }) => sum + slotsNumber, 0),
      slotsRequired,
      usedTaskManagers: taskManagers.filter(({ slotsNumber, freeSlots }) => freeSlots < slotsNumber).map(({ id }) => id),
    }
  } catch (error) {
    if (error instanceof FlinkError && ['NOT_FOUND', 'CONNECTION_REFUSED', 'CONNECTION_LOST', 'TIMEOUT'].includes(error.code)) return undefined
    throw error
  }
}
