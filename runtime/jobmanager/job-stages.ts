import { type Execution, type ExecutionGraph, isTerminal } from '../graph/execution-graph.ts'
import { consumedResults, currentStage, neededResults, schedulingStages, storedResults } from '../graph/scheduling.ts'

/**
 * Where a job stands between its stages (graph/scheduling.ts), and which blocking results its TaskManagers still hold for it.
 *
 * A result is released once its last reader has finished, or when its execution is replaced by another one; the others with the job.
 */
export interface JobStagesOptions {
  /** To their TaskManagers. */
  release(executions: readonly Execution[]): void
}

export class JobStages {
  private readonly options: JobStagesOptions
  /** By execution: released, or lost with their TaskManager. */
  private readonly gone = new Set<string>()

  constructor(options: JobStagesOptions) {
    this.options = options
  }

  /** Regions whose blocking inputs are there, as far as the job has come. */
  startable(graph: ExecutionGraph): ReadonlySet<number> {
    const stages = schedulingStages(graph.jobGraph).slice(0, currentStage(graph) + 1)
    const vertices = new Set(stages.flat())
    return new Set(graph.regions.filter((_, index) => vertices.has(graph.executions[index]?.vertexId ?? '')))
  }

  /** An execution has finished. */
  advance(graph: ExecutionGraph): void {
    this.release(consumedResults(graph))
  }

  /** Nobody can read what it has written any more. */
  isLost({ executionId, state }: Execution): boolean {
    return isTerminal(state) && (state.name !== 'FINISHED' || this.gone.has(executionId))
  }

  /** What is lost with a TaskManager although the tasks have finished, as far as somebody is still to read it. */
  lostWith(graph: ExecutionGraph, taskManagerId: string): readonly Execution[] {
    const isThere = ({ state }: Execution) => 'location' in state && state.location?.taskManagerId === taskManagerId
    // Also what nobody needs now: a reader that has finished may have to read again.
    for (const { executionId } of storedResults(graph).filter(isThere)) this.gone.add(executionId)
    return neededResults(graph).filter(isThere)
  }

  release(executions: readonly Execution[]): void {
    const fresh = executions.filter(({ executionId }) => !this.gone.has(executionId))
    for (const { executionId } of fresh) this.gone.add(executionId)
    if (fresh.length > 0) this.options.release(fresh)
  }
}
