import { recoveryPath } from '../runtime/checkpoint/options.ts'
import { type ExternalSnapshot, readSnapshot } from '../runtime/checkpoint/savepoint.ts'
import { isRestorable, planState } from '../runtime/checkpoint/state-plan.ts'
import { type StateReport, showState, statePlanReport } from '../runtime/checkpoint/state-text.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { noLog } from '../runtime/common/log.ts'
import type { JobGraph } from '../runtime/graph/job-graph.ts'
import { storeOpener } from './stores.ts'

/** `millrace state`: savepoints read here, without a cluster. */
export async function showSavepoint(path: string, configuration: Configuration): Promise<StateReport> {
  return showState(await read(path, configuration))
}

/** The savepoint is read first: planning takes longer. */
export async function planSavepoint(
  path: string,
  configuration: Configuration,
  ignoresUnclaimedState: boolean,
  jobGraphOf: () => Promise<JobGraph>,
): Promise<StateReport & { readonly restorable: boolean }> {
  const { body, location } = await read(path, configuration)
  const jobGraph = await jobGraphOf()
  const plan = planState(body, jobGraph)
  return { ...statePlanReport(plan, location, jobGraph.jobName, ignoresUnclaimedState), restorable: isRestorable(plan, ignoresUnclaimedState) }
}

/** The path is an argument: what is wrong with it is said without the name of an option. */
async function read(path: string, configuration: Configuration): Promise<ExternalSnapshot> {
  const open = storeOpener(configuration, noLog)
  try {
    return await readSnapshot(path, uri => open(uri, configuration, recoveryPath.key, 'read'))
  } catch (error) {
    throw error instanceof FlinkError && error.cause instanceof FlinkError && 'key' in error.detail ? error.cause : error
  }
}
