import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { FlinkJobSpec } from '../operator/api/flink-job.ts'
import { Terminal } from '../operator/cli/terminal.ts'
import { up } from '../operator/cli/up.ts'
import type { UpRequest } from '../operator/cli/up-command.ts'
import type { PlaceOf, ProgramPlace } from '../operator/effects/local-executors.ts'
import type { PreparedProgram, Programs } from '../operator/effects/local-programs.ts'
import { type Catalogue, catalogueLocations, createCatalogue } from '../runtime/checkpoint/catalogue.ts'
import { checkpointDirectory } from '../runtime/checkpoint/options.ts'
import type { CliContext } from '../runtime/cli/context.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { createOwnedFolder } from '../runtime/common/owned-folder.ts'
import { parallelismsById } from '../runtime/graph/rescale.ts'
import { slotsRequired } from '../runtime/graph/slot-assignment.ts'
import { type Artifact, buildArtifact } from '../runtime/planner/artifact.ts'
import { restOptions } from '../runtime/rest/options.ts'
import { numberOfTaskSlots } from '../runtime/taskmanager/task-executor-options.ts'
import { bundleModule, bundleSql } from './bundle-module.ts'
import { createProcessLog, type Environment } from './environment.ts'
import { planNewest } from './job-state-plan.ts'
import { isAddress } from './module-address.ts'
import { optionTables } from './option-tables.ts'
import { Planner } from './program-planner.ts'
import { storeOpener } from './stores.ts'

/** `millrace up` in the real world: the operator's loop with bundler, planner and this machine's processes. */
export async function runUp(request: UpRequest, context: CliContext, environment: Environment, launcher: readonly string[]): Promise<number> {
  const configuration = context.loadConfiguration({})
  return up(request, {
    directory: environment.directory,
    launcher,
    env: process.env,
    pid: process.pid,
    optionTables,
    isConfigured: key => configuration.has(key),
    catalogue: entries => catalogueOf(configuration.with(entries, 'file')),
    programs: placeOf => createPrograms(configuration, placeOf),
    rest: (address, entries, directory) => context.rest(address, configuration.with({ ...tokenOf(directory), ...entries }, 'client')),
    terminal: new Terminal({
      write: text => new Promise(done => process.stdout.write(text, () => done())),
      writeError: text => process.stderr.write(text),
      isTerminal: process.stdout.isTTY === true,
      columns: () => process.stdout.columns || 80,
    }),
    clock: context.clock,
    random: context.random,
    log: createProcessLog('pretty', 'warn'),
    interrupted: context.interrupted,
  })
}

/** Credentials of stores are this process's. */
export function catalogueOf(configuration: Configuration): Catalogue {
  const open = storeOpener(configuration, createProcessLog('pretty', 'warn'))
  return createCatalogue(catalogueLocations(configuration), uri => open(uri, configuration, checkpointDirectory.key, 'read'))
}

/** The cluster in this directory takes its own token, whatever else it asks for; before its first start it has none. */
export function tokenOf(directory: string): Readonly<Record<string, string>> {
  try {
    return { [restOptions.token.key]: readFileSync(join(directory, 'cluster-token'), 'utf8').trim() }
  } catch {
    return {}
  }
}

export function createPrograms(configuration: Configuration, placeOf: PlaceOf): Programs {
  return {
    async prepare(spec, signal): Promise<PreparedProgram> {
      const { entryClass: entry, args, parallelism } = spec.job
      const place = placeOf(spec)
      const configured = configuration.with(spec.flinkConfiguration, 'file')
      const bundle = await bundleOf(spec, place, configured)
      const directory = createOwnedFolder(tmpdir(), 'millrace-')
      const planner = new Planner(configured, directory, false, createProcessLog('pretty', 'warn'))
      const stop = () => void planner.close()
      signal.addEventListener('abort', stop)
      try {
        signal.throwIfAborted()
        const { plan, artifact } = await planner.planWithText({
          artifact: bundle,
          entry,
          args,
          parallelism,
          configuration: {},
          fallbackJobName: place.fileName,
          defaultParallelism: 1,
        })
        if (plan.output !== '') process.stdout.write(plan.output)
        const jobConfiguration = configured.with(plan.jobGraph.configuration, 'client')
        return {
          bytes: artifact.bytes,
          jobName: plan.jobGraph.jobName,
          slotsNeeded: slotsRequired(plan.jobGraph),
          slotsPerTaskManager: configured.get(numberOfTaskSlots),
          parallelisms: parallelismsById(plan.jobGraph),
          entry,
          checkpointDirectory: catalogueLocations(jobConfiguration).checkpoints,
          planState: jobId => planNewest(jobId, plan.jobGraph, jobConfiguration, spec.job.allowNonRestoredState === true),
          configuration: plan.jobGraph.configuration,
        }
      } finally {
        signal.removeEventListener('abort', stop)
        await planner.close()
        await rm(directory, { recursive: true, force: true })
      }
    },
  }
}

function bundleOf(spec: FlinkJobSpec, { folder, fileName, scriptLine }: ProgramPlace, configuration: Configuration): Promise<Artifact> {
  const { script, module, moduleDigest, sql, entryClass: entry } = spec.job
  if (module !== undefined && isAddress(module))
    return bundleModule({ modulePath: module, entry, configuration, ...(moduleDigest === undefined ? {} : { moduleDigest }) })
  if (module !== undefined) return buildArtifact({ kind: 'module', path: resolve(folder, module) }, { entry })
  // Lines of a block in the manifest keep their numbers, so that errors point into the file that the author wrote.
  const text = `${'\n'.repeat(Math.max(0, (scriptLine ?? 1) - 1))}${sql ?? script ?? ''}`
  if (sql !== undefined) return bundleSql(text, fileName, folder, entry)
  return buildArtifact({ kind: 'script', text, name: scriptLine === undefined ? `${fileName}.script.ts` : fileName, folder }, { entry })
}
