import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ProgramRequest } from '../runtime/cli/context.ts'
import { systemClock } from '../runtime/common/clock.ts'
import { Configuration, requireNoProblems } from '../runtime/common/config.ts'
import { newId } from '../runtime/common/ids.ts'
import type { JsonObject } from '../runtime/common/json.ts'
import type { Logger } from '../runtime/common/log.ts'
import { processOptions } from '../runtime/common/options.ts'
import { systemRandom } from '../runtime/common/random.ts'
import { type Artifact, withFiles } from '../runtime/planner/artifact.ts'
import { PlannerClient, type PlanResult } from '../runtime/planner/planner-client.ts'
import type { PlannedProgram, ProgramPlanner, ProgramPlanRequest } from '../runtime/rest/program-planner.ts'
import type { NamedArtifact } from './bundle-module.ts'
import { jobEntries } from './configuration.ts'
import { entryUrl } from './entries.ts'
import { optionTables } from './option-tables.ts'

/** Joins artefact, planner child and configuration: what REST and the local runner call planning. */
export interface PlanningRequest extends ProgramPlanRequest {
  readonly defaultParallelism: number
}

export class Planner implements ProgramPlanner {
  private readonly client: PlannerClient
  private readonly directory: string
  private readonly configuration: Configuration
  private readonly log: Logger

  constructor(configuration: Configuration, directory: string, keepSpare: boolean, log: Logger) {
    this.log = log
    this.configuration = configuration
    this.directory = directory
    this.client = new PlannerClient({
      entry: entryUrl('planner'),
      clock: systemClock,
      execPath: process.execPath,
      timeoutMs: configuration.get(processOptions.plannerTimeout),
      heapMb: Math.ceil(configuration.get(processOptions.plannerHeapSize) / 2 ** 20),
      keepSpare,
    })
  }

  async plan(request: ProgramPlanRequest): Promise<PlannedProgram> {
    const { plan, artifact } = await this.planWithText({ ...request, defaultParallelism: 1 })
    // Nobody stands at the JobManager's terminal; the log is where the program's output can be found.
    if (plan.output !== '') this.log.info('the program printed while it built its graph', { job: plan.jobGraph.jobName, output: plan.output })
    // A JobGraph is JSON by its contract; its interface has no index signature.
    return { jobGraph: plan.jobGraph as unknown as JsonObject, jobName: plan.jobGraph.jobName, artifact }
  }

  /** For a command line's request, whose program is bundled already. */
  planRequest(request: ProgramRequest, bundle: NamedArtifact): Promise<{ readonly plan: PlanResult; readonly artifact: Artifact }> {
    return this.planWithText({
      artifact: bundle,
      entry: request.entry,
      args: request.args,
      parallelism: request.parallelism,
      configuration: jobEntries(request.clientEntries),
      fallbackJobName: bundle.name,
      defaultParallelism: request.defaultParallelism,
    })
  }

  async planWithText(request: PlanningRequest): Promise<{ readonly plan: PlanResult; readonly artifact: Artifact }> {
    const client = { ...request.configuration, ...(request.parallelism === undefined ? {} : { 'parallelism.default': String(request.parallelism) }) }
    requireNoProblems(Configuration.parse(client, optionTables).problems)
    const folder = join(this.directory, 'planner', newId(systemRandom))
    await mkdir(folder, { recursive: true })
    try {
      const artifactPath = join(folder, 'artifact')
      await writeFile(artifactPath, request.artifact.bytes)
      const plan = await this.client.plan({
        artifactPath,
        digest: request.artifact.digest,
        workFolder: join(folder, 'work'),
        entry: request.entry,
        args: request.args,
        clientConfiguration: client,
        clusterConfiguration: jobEntries(this.configuration.toObject()),
        defaultParallelism: request.defaultParallelism,
        defaultJobName: request.fallbackJobName,
      })
      const declared = Object.keys(plan.cachedFiles).length > 0
      return { plan, artifact: declared ? await withFiles(request.artifact.bytes, plan.cachedFiles) : request.artifact }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  close(): Promise<void> {
    return this.client.close()
  }
}
