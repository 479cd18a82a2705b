import type { Executor } from './actions.ts'
import { createExecutor } from './executor.ts'
import { createLocalProcesses, type LocalProcesses, type LocalProcessesOptions, stateOptions, unlessConfigured } from './local-processes.ts'
import { createLocalPrograms, type LocalProgramsOptions } from './local-programs.ts'

/** A FlinkJob on a cluster of its own on this machine. */
export type LocalExecutorOptions = LocalProcessesOptions & Pick<LocalProgramsOptions, 'jobName' | 'programs' | 'catalogue'>

export interface LocalExecutor extends Executor, Pick<LocalProcesses, 'outputs' | 'close'> {}

export function createLocalExecutor(options: LocalExecutorOptions): LocalExecutor {
  const processes = createLocalProcesses(options)
  const programs = createLocalPrograms({
    ...options,
    clusterOptions: () => unlessConfigured(options, stateOptions(options)),
    // It is started with all of them.
    jobOptions: () => ({}),
  })
  return {
    ...createExecutor(processes, programs),
    outputs: () => processes.outputs(),
    async close() {
      await programs.close()
      await processes.close()
    },
  }
}
