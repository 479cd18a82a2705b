import type { PlannedState, StatePlan } from '../operator/effects/actions.ts'
import { catalogueLocations, createCatalogue } from '../runtime/checkpoint/catalogue.ts'
import { checkpointDirectory, ignoreUnclaimedState } from '../runtime/checkpoint/options.ts'
import { type ExternalSnapshot, readSnapshotHead } from '../runtime/checkpoint/savepoint.ts'
import { type OperatorPlan, planState } from '../runtime/checkpoint/state-plan.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { noLog } from '../runtime/common/log.ts'
import type { JobGraph } from '../runtime/graph/job-graph.ts'
import { storeOpener } from './stores.ts'

/** The plan of `millrace state plan` for what a job would go on from, as the operator reads it. `configuration` is the job's, on its cluster. */
export async function planNewest(
  jobId: string,
  jobGraph: JobGraph,
  configuration: Configuration,
  allowNonRestoredState: boolean,
): Promise<StatePlan> {
  const snapshot = await newestSnapshot(jobId, configuration)
  const states = snapshot === undefined ? [] : planState(snapshot.body, jobGraph).operators.flatMap(statesOf)
  const ignoresUnclaimedState = allowNonRestoredState || configuration.get(ignoreUnclaimedState)
  return { kind: 'ready', restorePoint: snapshot?.location, ignoresUnclaimedState, states }
}

async function newestSnapshot(jobId: string, configuration: Configuration): Promise<ExternalSnapshot | undefined> {
  const open = storeOpener(configuration, noLog)
  const openFolder = (uri: string) => open(uri, configuration, checkpointDirectory.key, 'read')
  const catalogue = createCatalogue(catalogueLocations(configuration), openFolder)
  for (;;) {
    const point = await catalogue.newest(jobId)
    if (point === undefined) return undefined
    try {
      return await readSnapshotHead(point.location, openFolder)
    } catch (error) {
      // The job runs meanwhile: overtaken by a later one, it may have been removed while it was read.
      if ((await catalogue.newest(jobId))?.epoch === point.epoch) throw error
    }
  }
}

function statesOf({ name: operator, uid, verdict, reason, suggestion, states }: OperatorPlan): readonly PlannedState[] {
  const whose = { operator, ...(uid === null ? {} : { uid }) }
  if (reason !== undefined) return [{ ...whose, name: '', outcome: verdict, why: reason }]
  return states.map(state => {
    const hint = state.suggestion ?? suggestion
    const why = state.reason ?? (state.verdict === 'dropped' ? hint : undefined)
    return { ...whose, name: state.name, outcome: state.verdict, ...(why === undefined ? {} : { why }) }
  })
}
