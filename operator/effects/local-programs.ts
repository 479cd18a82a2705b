import type { Catalogue } from '../../runtime/checkpoint/catalogue.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { JarRunRequest } from '../../runtime/rest/types.ts'
import type { FlinkJobSpec } from '../api/flink-job.ts'
import type { JobPrograms, ObservedProgram, StatePlan, StatePlanQuestion } from './actions.ts'
import { createStatePlans } from './state-plans.ts'

/** The program of a FlinkJob, bundled and planned on this machine, and what its state is to it. */
export interface LocalProgramsOptions {
  readonly jobName: string
  readonly clock: Clock
  readonly programs: Programs
  /** Of jobs that run with these options over config.yaml. */
  readonly catalogue: (options: Readonly<Record<string, string>>) => Catalogue
  /** What its cluster is told beside the options of the spec, which win. */
  readonly clusterOptions: () => Readonly<Record<string, string>>
  /** What its cluster has to be told of the spec with the job. */
  readonly jobOptions: (spec: FlinkJobSpec) => Pick<JarRunRequest, 'flinkConfiguration'>
}

export interface LocalPrograms extends JobPrograms {
  /** Ends what is being planned. */
  close(): Promise<void>
}

/** Bundles and plans, in a process of its own. Rejects with a `FlinkError` that says what the user did wrong. */
export interface Programs {
  prepare(spec: FlinkJobSpec, signal: AbortSignal): Promise<PreparedProgram>
}

export interface PreparedProgram {
  readonly bytes: Uint8Array
  readonly jobName: string
  readonly slotsNeeded: number
  /** Of the manifest, else of config.yaml. */
  readonly slotsPerTaskManager: number
  /** By vertex id. */
  readonly parallelisms: Readonly<Record<string, number>>
  readonly entry: string
  /** Where a cluster with the spec's options keeps its checkpoints; undefined = nowhere that outlives a JobManager. */
  readonly checkpointDirectory: string | undefined
  /** What becomes of the state of the job's newest checkpoint in this program: read at the store, no user code runs. */
  planState(jobId: string): Promise<StatePlan>
  /** What the program says itself, over everything else. */
  readonly configuration: Readonly<Record<string, string>>
}

const PROGRAMS_KEPT = 2

interface Program {
  readonly key: string
  readonly prepared: Promise<PreparedProgram>
  observed: ObservedProgram
}

export function createLocalPrograms(options: LocalProgramsOptions): LocalPrograms {
  /** The program that runs and the one that an edit leads to. */
  let programs: Program[] = []
  const closing = new AbortController()

  const programOf = (spec: FlinkJobSpec) => {
    const clusterOptions = options.clusterOptions()
    const key = JSON.stringify([spec, clusterOptions])
    const known = programs.find(program => program.key === key)
    if (known !== undefined) return known
    // As its cluster sees it, which is told more than the spec says.
    const flinkConfiguration = { ...clusterOptions, ...spec.flinkConfiguration }
    const prepared = options.programs.prepare({ ...spec, flinkConfiguration }, closing.signal)
    const made: Program = { key, prepared, observed: { kind: 'pending' } }
    prepared.then(
      ({ jobName, slotsNeeded, slotsPerTaskManager, parallelisms }) => {
        made.observed = { kind: 'ready', jobName, slotsNeeded, slotsPerTaskManager, parallelisms }
      },
      (error: unknown) => {
        made.observed = { kind: 'invalid', message: error instanceof Error ? error.message : String(error) }
      },
    )
    programs = [...programs.slice(1 - PROGRAMS_KEPT), made]
    return made
  }

  const statePlans = createStatePlans(options.clock)
  const planState = async ({ jobId, before, after }: StatePlanQuestion): Promise<StatePlan> => {
    const to = await programOf(after).prepared
    // One that cannot be made any more says nothing about where it kept its state.
    const from = await programOf(before).prepared.catch(() => to)
    if (from.checkpointDirectory === to.checkpointDirectory) return to.planState(jobId)
    const plan = await from.planState(jobId)
    if (plan.restorePoint === undefined) return plan
    const why = `it lies in ${from.checkpointDirectory}, and the edited job looks for it in ${to.checkpointDirectory ?? 'no store'}: execution.checkpointing.dir of a job with state cannot change`
    return { ...plan, states: [{ operator: to.jobName, name: '', outcome: 'incompatible', why }] }
  }

  const catalogueOf = async (spec: FlinkJobSpec) => {
    return programOf(spec).observed.kind === 'pending' ? undefined : plannedCatalogue(spec)
  }
  const plannedCatalogue = async (spec: FlinkJobSpec) => {
    // A program that cannot be planned says nothing: what the manifest says counts.
    const { configuration } = await programOf(spec).prepared.catch(() => ({ configuration: {} }))
    return options.catalogue({ ...options.clusterOptions(), ...spec.flinkConfiguration, ...configuration })
  }

  return {
    // Looked at, not waited for: a program may take a minute to build its graph, and Ctrl-C must not.
    observeProgram: async spec => programOf(spec).observed,
    observeStatePlan: async question => statePlans.observe(JSON.stringify(question), () => planState(question)),
    catalogue: catalogueOf,
    plannedCatalogue,
    async submit(rest, { spec, jobId, initialSavepointPath, allowNonRestoredState: isApproved }) {
      const { bytes, entry } = await programOf(spec).prepared
      // The name of the upload is the job's, unless the program or pipeline.name gives it another one.
      const jarId = await rest.uploadJar(`${options.jobName}.mjs`, bytes)
      const { args, parallelism, allowNonRestoredState = isApproved } = spec.job
      await rest.runJar(jarId, {
        entryClass: entry,
        programArgsList: args,
        jobId,
        ...options.jobOptions(spec),
        ...(parallelism === undefined ? {} : { parallelism }),
        ...(allowNonRestoredState === undefined ? {} : { allowNonRestoredState }),
        ...(initialSavepointPath === undefined ? {} : { savepointPath: initialSavepointPath }),
      })
      // The cluster keeps the artefact by its digest; an upload that stays behind is only untidy.
      await rest.deleteJar(jarId).catch(() => {})
    },
    async close() {
      closing.abort(new FlinkError('CANCELLED', 'stopped while the program was planned'))
      await Promise.all(programs.map(({ prepared }) => prepared.catch(() => {})))
      await statePlans.settled()
    },
  }
}
