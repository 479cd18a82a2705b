import { join } from 'node:path'
import type { FlinkJob, FlinkJobSpec } from '../api/flink-job.ts'
import type { Executors } from '../manager/flink-job-controller.ts'
import type { ObjectKey } from '../manager/manager.ts'
import { displayName } from '../validation/problems.ts'
import { createLocalExecutor, type LocalExecutor, type LocalExecutorOptions } from './local-executor.ts'
import type { JobOutputFile } from './local-processes.ts'
import type { Programs } from './local-programs.ts'
import { holdDirectory, type UpDirectory } from './up-directory.ts'

/**
 * The clusters of the FlinkJobs of one `up`, each in a directory of its own that this process holds. A directory is held before the object is made: a job that another
 * `up` runs is refused with nothing done.
 */
export interface LocalExecutorsOptions
  extends Pick<LocalExecutorOptions, 'launcher' | 'env' | 'clock' | 'catalogue' | 'isConfigured' | 'startTimeoutMs' | 'stopTimeoutMs'> {
  readonly directory: string
  readonly pid: number
  readonly programs: (key: ObjectKey) => Programs
  readonly rest: (job: FlinkJob) => LocalExecutorOptions['rest']
  readonly note: (key: ObjectKey, text: string) => void
}

/** What the jobs of one FlinkJob print. */
export interface NamedOutputFile extends JobOutputFile {
  readonly job: string
}

export interface LocalExecutors extends Executors {
  /** CONFLICT: it is held by another process. */
  hold(key: ObjectKey): Promise<void>
  isHeld(key: ObjectKey): boolean
  /** Where the cluster of a FlinkJob lies. */
  directoryOf(key: ObjectKey): string
  outputs(): readonly NamedOutputFile[]
  /** Ends whatever still runs, and lets all directories go. */
  close(): Promise<void>
}

export function createLocalExecutors(options: LocalExecutorsOptions): LocalExecutors {
  const held = new Map<string, UpDirectory>()
  const executors = new Map<string, { readonly executor: LocalExecutor; readonly name: string }>()
  /** Of clusters that have ended: what they printed is still to be read. */
  const ended: NamedOutputFile[] = []
  const textOf = ({ namespace, name }: ObjectKey) => `${namespace}/${name}`
  const pathOf = ({ namespace, name }: ObjectKey) => join(options.directory, namespace, name)

  const outputsOf = ({ executor, name }: { readonly executor: LocalExecutor; readonly name: string }) =>
    executor.outputs().map(file => ({ ...file, job: name }))

  const release = async (text: string): Promise<void> => {
    const running = executors.get(text)
    executors.delete(text)
    if (running !== undefined) {
      await running.executor.close()
      ended.push(...outputsOf(running))
    }
    held.get(text)?.release()
    held.delete(text)
  }

  return {
    async hold(key) {
      const text = textOf(key)
      if (held.has(text)) return
      held.set(text, await holdDirectory(pathOf(key), displayName(key), options.clock, options.pid, note => options.note(key, note)))
    },
    isHeld: key => held.has(textOf(key)),
    directoryOf: key => join(pathOf(key), 'cluster'),
    of(job) {
      const { namespace, name } = job.metadata
      const text = textOf({ namespace, name })
      const known = executors.get(text)
      if (known !== undefined) return known.executor
      const directory = held.get(text)
      if (directory === undefined) throw new Error(`the directory of ${text} is held before its object is made`)
      const executor = createLocalExecutor({
        ...options,
        directory: directory.clusterDirectory,
        jobName: name,
        rest: options.rest(job),
        programs: options.programs({ namespace, name }),
        note: note => options.note({ namespace, name }, note),
      })
      executors.set(text, { executor, name: displayName({ namespace, name }) })
      return executor
    },
    release: key => release(textOf(key)),
    outputs: () => [...ended, ...[...executors.values()].flatMap(outputsOf)],
    async close() {
      await Promise.all([...held.keys()].map(release))
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
