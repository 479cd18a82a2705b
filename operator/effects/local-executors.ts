import { join } from 'node:path'
import { FlinkError } from '../../runtime/common/errors.ts'
import { type FlinkJob, type FlinkJobSpec, KIND } from '../api/flink-job.ts'
import { type FlinkSession, SESSION_KIND } from '../api/flink-session.ts'
import type { Executors } from '../manager/flink-job-controller.ts'
import type { SessionExecutors } from '../manager/flink-session-controller.ts'
import type { ObjectKey } from '../manager/manager.ts'
import type { SessionView } from '../session/view.ts'
import { displayName } from '../validation/problems.ts'
import type { Executor } from './actions.ts'
import { createExecutor } from './executor.ts'
import { createLocalExecutor, type LocalExecutorOptions } from './local-executor.ts'
import { createLocalProcesses, type JobOutputFile, type LocalProcesses, placesOfState, stateOptions, unlessConfigured } from './local-processes.ts'
import { createLocalPrograms, type Programs } from './local-programs.ts'
import { createSessionProcesses, programsOfSession } from './session-processes.ts'
import { holdDirectory, type UpDirectory } from './up-directory.ts'

/**
 * The clusters of the FlinkJobs and FlinkSessions of one `up`, each in a directory of its own that this process holds. A directory is held before the object is made: a job that another
 * `up` runs is refused with nothing done.
 */
export interface LocalExecutorsOptions
  extends Pick<LocalExecutorOptions, 'launcher' | 'env' | 'clock' | 'catalogue' | 'isConfigured' | 'startTimeoutMs' | 'stopTimeoutMs'> {
  readonly directory: string
  readonly pid: number
  readonly programs: (key: ObjectKey) => Programs
  readonly rest: (job: FlinkJob) => LocalExecutorOptions['rest']
  readonly restOfSession: (session: FlinkSession) => LocalExecutorOptions['rest']
  readonly note: (key: ObjectKey, text: string) => void
}

/** What the jobs of one FlinkJob print. */
export interface NamedOutputFile extends JobOutputFile {
  readonly job: string
}

export interface LocalExecutors extends Executors {
  /** CONFLICT: it is held by another process. */
  hold(object: Owner): Promise<void>
  isHeld(object: Owner): boolean
  /** Where the cluster lies that a FlinkJob or FlinkSession has, or that of the session of a job. */
  directoryOf(object: Owner): string
  readonly sessions: SessionExecutors
  outputs(): readonly NamedOutputFile[]
  /** Ends whatever still runs, and lets all directories go. */
  close(): Promise<void>
}

/** Of what there can be a cluster. */
export interface Owner {
  readonly kind: string
  readonly metadata: ObjectKey
}

interface Running {
  readonly label: string
  readonly outputs: () => readonly JobOutputFile[]
  close(): Promise<void>
}

interface RunningJob extends Running {
  readonly executor: Executor
  /** As the last pass has seen them. */
  job: FlinkJob
  session: SessionView | undefined
}

export function createLocalExecutors(options: LocalExecutorsOptions): LocalExecutors {
  const held = new Map<string, UpDirectory>()
  const heldBefore = new Set<string>()
  const jobs = new Map<string, RunningJob>()
  const sessions = new Map<string, Running & { readonly processes: LocalProcesses }>()
  /** Of clusters that have ended: what they printed is still to be read. */
  const ended: NamedOutputFile[] = []
  // No name of an object has a dot before it ends in one.
  const folderOf = ({ kind, metadata: { namespace, name } }: Owner) => join(namespace, kind === SESSION_KIND ? `session.${name}` : name)
  const directoryOf = (owner: Owner) => join(options.directory, folderOf(owner), 'cluster')

  const outputsOf = ({ label, outputs }: Running) => outputs().map(file => ({ ...file, job: label }))

  const release = async (owner: Owner): Promise<void> => {
    const folder = folderOf(owner)
    for (const running of [jobs.get(folder), sessions.get(folder)]) {
      if (running === undefined) continue
      await running.close()
      ended.push(...outputsOf(running))
    }
    jobs.delete(folder)
    sessions.delete(folder)
    held.get(folder)?.release()
    held.delete(folder)
  }

  const heldDirectory = (owner: Owner): string => {
    const directory = held.get(folderOf(owner))
    if (directory === undefined) throw new Error(`the directory of ${owner.kind} ${owner.metadata.name} is held before its object is made`)
    return directory.clusterDirectory
  }

  const ownCluster = (job: FlinkJob): RunningJob => {
    const { namespace, name } = job.metadata
    const executor = createLocalExecutor({
      ...options,
      directory: heldDirectory(job),
      jobName: name,
      rest: options.rest(job),
      programs: options.programs({ namespace, name }),
      note: note => options.note({ namespace, name }, note),
    })
    return {
      executor,
      label: displayName({ namespace, name }),
      outputs: () => executor.outputs(),
      close: () => executor.close(),
      job,
      session: undefined,
    }
  }

  /** Its processes are those of its session; held is the folder of the job all the same, so that one `up` has it. */
  const onSession = (job: FlinkJob, session: SessionView): RunningJob => {
    const { namespace, name } = job.metadata
    const owner = { kind: SESSION_KIND, metadata: { namespace, name: session.name } }
    const requireOptions = () => {
      const { spec, unavailable = `nothing is known of FlinkSession ${session.name}` } = running.session ?? {}
      if (spec === undefined) throw new FlinkError('NOT_FOUND', unavailable)
      return spec.flinkConfiguration
    }
    /** What somebody has set there or in config.yaml is not chosen here. */
    const ofSession = (entries: Readonly<Record<string, string>>) => {
      const set = requireOptions()
      return Object.fromEntries(Object.entries(unlessConfigured(options, entries)).filter(([key]) => !(key in set)))
    }
    const programs = createLocalPrograms({
      jobName: name,
      clock: options.clock,
      programs: options.programs({ namespace, name }),
      catalogue: options.catalogue,
      clusterOptions: () => ({
        ...ofSession(stateOptions({ directory: directoryOf(owner) })),
        ...ofSession(placesOfState(heldDirectory(job))),
        ...requireOptions(),
      }),
      jobOptions: ({ flinkConfiguration }) => ({ flinkConfiguration: { ...ofSession(placesOfState(heldDirectory(job))), ...flinkConfiguration } }),
    })
    const processes = createSessionProcesses({
      session: () => running.session ?? session,
      jobId: () => running.job.status?.jobStatus?.jobId,
      rest: options.rest(job),
      clock: options.clock,
      stopTimeoutMs: options.stopTimeoutMs,
    })
    const running: RunningJob = {
      executor: createExecutor(
        processes,
        programsOfSession(programs, () => running.session),
      ),
      label: displayName({ namespace, name }),
      outputs: () => [],
      close: () => programs.close(),
      job,
      session,
    }
    return running
  }

  return {
    async hold(owner) {
      const folder = folderOf(owner)
      if (held.has(folder)) return
      const { kind, metadata } = owner
      const note = (text: string) => options.note(metadata, text)
      const path = join(options.directory, folder)
      held.set(folder, await holdDirectory(path, `${kind} ${displayName(metadata)}`, options.clock, options.pid, note, heldBefore.has(folder)))
      heldBefore.add(folder)
    },
    isHeld: owner => held.has(folderOf(owner)),
    directoryOf,
    of(job, session) {
      const folder = folderOf(job)
      const running = jobs.get(folder) ?? (session === undefined ? ownCluster(job) : onSession(job, session))
      jobs.set(folder, running)
      running.job = job
      running.session = session
      return running.executor
    },
    release: metadata => release({ kind: KIND, metadata }),
    sessions: {
      of(session) {
        const folder = folderOf(session)
        const known = sessions.get(folder)
        if (known !== undefined) return known.processes
        const { namespace, name } = session.metadata
        const processes = createLocalProcesses({
          ...options,
          directory: heldDirectory(session),
          rest: options.restOfSession(session),
          note: note => options.note({ namespace, name }, note),
        })
        const label = displayName({ namespace, name })
        sessions.set(folder, { processes, label, outputs: () => processes.outputs(), close: () => processes.close() })
        return processes
      },
      release: metadata => release({ kind: SESSION_KIND, metadata }),
    },
    outputs: () => [...ended, ...[...jobs.values(), ...sessions.values()].flatMap(outputsOf)],
    async close() {
      // Jobs let go of their sessions by themselves; what is left ends with these.
      for (const all of [jobs, sessions]) await Promise.all([...all.values()].map(running => running.close()))
      for (const all of [jobs, sessions]) for (const running of all.values()) ended.push(...outputsOf(running))
      jobs.clear()
      sessions.clear()
      for (const directory of held.values()) directory.release()
      held.clear()
    },
  }
}

/** Where the text of a program stands in the files of people. */
export interface ProgramPlace {
  readonly folder: string
  readonly fileName: string
  readonly scriptLine: number | undefined
}

export type PlaceOf = (spec: FlinkJobSpec) => ProgramPlace
