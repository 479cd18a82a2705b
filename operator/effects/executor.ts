import type { Action, ClusterProcesses, Executor, JobPrograms, ProcessAction } from './actions.ts'
import { rescale } from './rescale.ts'

/** The program of a FlinkJob and the processes that it runs in, together: processes of its own, or those of a session (session-processes.ts). */
export function createExecutor(processes: ClusterProcesses, programs: JobPrograms): Executor {
  return {
    observeCluster: () => processes.observeCluster(),
    observeProgram: spec => programs.observeProgram(spec),
    observeStatePlan: question => programs.observeStatePlan(question),
    catalogue: spec => programs.catalogue(spec),
    execute: action => (isOfProcesses(action) ? processes.execute(action) : executeJob(action, processes, programs)),
  }
}

function isOfProcesses(action: Action): action is ProcessAction {
  return ['startJobManager', 'startTaskManagers', 'applyLive', 'stopTaskManagers', 'stopJobManager'].includes(action.kind)
}

async function executeJob(action: Exclude<Action, ProcessAction>, processes: ClusterProcesses, programs: JobPrograms): Promise<void> {
  switch (action.kind) {
    case 'submitJob':
      return programs.submit(await processes.rest(), action)
    case 'cancelJob':
      return (await processes.rest()).cancelJob(action.jobId)
    case 'rescaleJob':
      return rescale(await processes.rest(), action)
    case 'stopJob': {
      const { jobId, triggerId } = action
      await (await processes.rest()).stopWithSavepoint(jobId, { drain: false, triggerId })
      return
    }
    case 'forgetResult':
      return (await programs.plannedCatalogue(action.spec)).forgetResult(action.jobId)
    case 'removeState':
      return (await programs.plannedCatalogue(action.spec)).removeJob(action.jobId)
  }
}
