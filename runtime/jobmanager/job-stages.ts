import { type Execution, type ExecutionGraph, executionsOfVertex } from '../graph/execution-graph.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { consumedResults, currentStage, neededResults, schedulingStages, stageGraph, storedResults } from '../graph/scheduling.ts'

/**
 * Where an attempt stands between its stages (graph/scheduling.ts), and which blocking results its TaskManagers still hold for it.
 *
 *   begin (its slots are asked for, its tasks are SCHEDULED) -> all of them finish -> `advance` -> begin ... -> the last has finished
 *
 * A result is released once its last reader has finished, the others at the attempt's end: the next one makes its own.
 */
export interface JobStagesOptions {
  /** To their TaskManagers. */
  release(executions: readonly Execution[]): void
}

export class JobStages {
  private readonly options: JobStagesOptions
  private index = 0
  private readonly released = new Set<string>()

  constructor(options: JobStagesOptions) {
    this.options = options
  }

  /** What is deployed together now. */
  get current(): number {
    return this.index
  }

  graph({ jobGraph }: ExecutionGraph): JobGraph {
    return stageGraph(jobGraph, schedulingStages(jobGraph)[this.index] ?? [])
  }

  executions(graph: ExecutionGraph): readonly Execution[] {
    return this.graph(graph).vertices.flatMap(({ id }) => executionsOfVertex(graph, id))
  }

  /** An execution has finished; true = the next stage is to begin. */
  advance(graph: ExecutionGraph): boolean {
    this.release(consumedResults(graph))
    const current = currentStage(graph)
    if (current === this.index || current === schedulingStages(graph.jobGraph).length) return false
    this.index = current
    return true
  }

  /** What was lost with a TaskManager although no task ran there any more. */
  lost(graph: ExecutionGraph, taskManagerId: string): Execution | undefined {
    return neededResults(graph).find(({ state }) => 'location' in state && state.location?.taskManagerId === taskManagerId)
  }

  /** The attempt is over. */
  end(graph: ExecutionGraph): void {
    this.release(storedResults(graph))
    this.released.clear()
    this.index = 0
  }

  private release(executions: readonly Execution[]): void {
    const fresh = executions.filter(({ executionId }) => !this.released.has(executionId))
    for (const { executionId } of fresh) this.released.add(executionId)
    if (fresh.length > 0) this.options.release(fresh)
  }
}
