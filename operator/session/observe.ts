import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { isUnreachable } from '../snapshot/observe.ts'
import type { SessionLoad } from './input.ts'

/** What the JobManager of a session says of its slots; undefined = it cannot be asked. */
export async function observeLoad(rest: RestClient): Promise<SessionLoad | undefined> {
  try {
    const { 'millrace-slots-required': slotsRequired, 'slots-total': slotsTotal } = await rest.overview()
    const busy = (await rest.taskManagers()).filter(({ slotsNumber, freeSlots }) => freeSlots < slotsNumber)
    return { slotsRequired, slotsTotal, busyUpTo: Math.max(0, ...busy.map(({ id }) => 1 + ordinalOf(id))) }
  } catch (error) {
    if (error instanceof FlinkError && isUnreachable(error)) return undefined
    throw error
  }
}

/** `taskmanager-3`, on every platform. */
function ordinalOf(taskManagerId: string): number {
  return Number(/-(\d+)$/.exec(taskManagerId)?.[1] ?? -1)
}
