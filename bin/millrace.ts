import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { addObjectCommands, type ObjectCommands } from '../operator/cli/object-commands.ts'
import { addOperatorCommand } from '../operator/cli/operator-command.ts'
import { addUpCommand } from '../operator/cli/up-command.ts'
import { addValidateCommand } from '../operator/cli/validate-command.ts'
import type { CliContext, ProgramRequest } from '../runtime/cli/context.ts'
import { createLocalCluster, runningRecords } from '../runtime/cli/local-cluster.ts'
import { type CliExtension, runCli } from '../runtime/cli/main.ts'
import { systemClock } from '../runtime/common/clock.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { noLog } from '../runtime/common/log.ts'
import { createOwnedFolder } from '../runtime/common/owned-folder.ts'
import { systemRandom } from '../runtime/common/random.ts'
import { planJson } from '../runtime/graph/plan-json.ts'
import type { Artifact } from '../runtime/planner/artifact.ts'
import type { PlanResult } from '../runtime/planner/planner-client.ts'
import { baseUrl } from '../runtime/rest/client.ts'
import { restOptions } from '../runtime/rest/options.ts'
import { isLoopback } from '../runtime/rest/request-guard.ts'
import { bundleModule, mayRegisterFiles, type NamedArtifact } from './bundle-module.ts'
import { loadConfiguration } from './configuration.ts'
import { clusterToken, createLocalJobLog, logDirectory, readEnvironment, restToken } from './environment.ts'
import { interruptedBySignals } from './interruption.ts'
import { restOf } from './rest.ts'
import { commit, version } from './version.ts'

/** The command line's entry: the real world for runtime/cli. What only some commands need is imported when they run. */

/** Commands of other rooms are registered here: `up` and its kin. */
const extensions: readonly CliExtension[] = [
  (program, context, exit) =>
    addUpCommand(
      program,
      async request => {
        const { runUp } = await import('./up.ts')
        return runUp(request, context, environment, launcher)
      },
      exit,
    ),
  (program, context, exit) => {
    const through =
      <Request>(pick: (commands: ObjectCommands) => (request: Request) => Promise<number>) =>
      async (request: Request) => {
        const { withObjectCommands } = await import('./objects.ts')
        return withObjectCommands(context, environment, commands => pick(commands)(request))
      }
    const commands: ObjectCommands = {
      get: through(({ get }) => get),
      describe: through(({ describe }) => describe),
      annotate: through(({ annotate }) => annotate),
      delete: through(({ delete: remove }) => remove),
    }
    addObjectCommands(program, commands, exit)
  },
  (program, { interrupted }, exit) =>
    addOperatorCommand(
      program,
      async request => {
        const { runOperator } = await import('./operator.ts')
        return runOperator(request, interrupted, process.env)
      },
      process.env,
      exit,
    ),
  (program, _context, exit) =>
    addValidateCommand(
      program,
      async paths => {
        const [{ validate }, { optionTables }] = await Promise.all([import('../operator/cli/validate.ts'), import('./option-tables.ts')])
        return validate(paths, { optionTables, print: line => process.stdout.write(`${line}\n`), printError: stderr })
      },
      exit,
    ),
]

/** How this program is started again. */
const launcher = [
  process.execPath,
  ...process.execArgv,
  fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './millrace.ts' : './millrace.js', import.meta.url)),
]

const environment = readEnvironment()
const interruption = interruptedBySignals()

const stderr = (line: string) => process.stderr.write(`${line}\n`)

// Whoever reads what is printed has gone (`| head`): the same end in order as by Ctrl-C, not a crash that leaves folders behind.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE' && !interruption.signal.aborted) stderr(`stdout cannot be written: ${error.message}`)
  interruption.abort(error)
})
// What worker threads still print is let go: one that waits for it to be written would keep the job from ending.
process.stdout.on('unpipe', (source: Readable) => source.resume())
process.stderr.on('error', () => {})

function rest(address: string, configuration: Configuration) {
  const given = address === '' ? defaultAddress(configuration) : address
  return restOf(given, restToken(configuration) ?? ownToken(given, configuration), configuration)
}

/** What was configured, else the cluster that start-cluster runs here, else Flink's default. */
function defaultAddress(configuration: Configuration): string {
  if (!configuration.has(restOptions.address.key) && !configuration.has(restOptions.port.key)) {
    const jobManager = runningRecords(environment.directory).find(({ record }) => record.kind === 'jobmanager')
    if (jobManager?.record.webAddress !== undefined) return jobManager.record.webAddress
  }
  return `${configuration.get(restOptions.address)}:${configuration.get(restOptions.port)}`
}

/** That of the cluster that runs here, for requests to that cluster: nobody else gets to see it. */
function ownToken(address: string, configuration: Configuration): string | undefined {
  const { hostname, port } = new URL(baseUrl(address))
  const isHere = runningRecords(environment.directory).some(({ record }) => {
    if (record.kind !== 'jobmanager' || record.webAddress === undefined || record.webAddress === '') return false
    const own = new URL(record.webAddress)
    return own.port === port && (own.hostname === hostname || (isLoopback(own.hostname) && isLoopback(hostname)))
  })
  if (!isHere) return undefined
  try {
    return clusterToken(environment, configuration)
  } catch {
    // Somebody else's, who has not said that it is needed.
    return undefined
  }
}

/** Bundles the program and runs it in a child on this machine. */
async function planHere(request: ProgramRequest, bundle: NamedArtifact): Promise<{ plan: PlanResult; artifact: Artifact }> {
  const { Planner } = await import('./program-planner.ts')
  const directory = createOwnedFolder(tmpdir(), 'millrace-')
  const planner = new Planner(request.configuration, directory, false, noLog)
  try {
    return await planner.planRequest(request, bundle)
  } finally {
    await planner.close()
    await rm(directory, { recursive: true, force: true })
  }
}

const context: CliContext = {
  stdout: line => process.stdout.write(`${line}\n`),
  stderr,
  clock: systemClock,
  random: systemRandom,
  version,
  commit,
  cpuCores: availableParallelism(),
  timeZone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
  interrupted: interruption.signal,
  loadConfiguration: entries => loadConfiguration(environment.confDir, entries, text => stderr(`warning: ${text}`)).configuration,
  rest,
  fileExists: existsSync,
  bundle: async request => {
    const bundle = await bundleModule(request)
    // Files that the program registers lie on this machine, not on the JobManager's: only then is it run here first.
    const { bytes } = mayRegisterFiles(bundle) ? (await planHere(request, bundle)).artifact : bundle
    return { bytes, fileName: `${bundle.name}.mjs` }
  },
  plan: async request => {
    const { plan } = await planHere(request, await bundleModule(request))
    return { json: JSON.stringify(planJson('0'.repeat(32), plan.jobGraph)), text: plan.planText }
  },
  summarize: async (request, stateOf, allowNonRestoredState) => {
    const { summaryOf } = await import('./program-summary.ts')
    const { plan } = await planHere(request, await bundleModule(request))
    return summaryOf(request, plan, stateOf, allowNonRestoredState)
  },
  writeFile: async (path, bytes) => {
    await mkdir(dirname(path), { recursive: true })
    // What is no file, as the one for a pod's last words, cannot be replaced.
    if (existsSync(path)) return writeFile(path, bytes)
    await writeFile(`${path}.part`, bytes)
    await rename(`${path}.part`, path)
  },
  showState: async (path, configuration) => {
    const { showSavepoint } = await import('./state.ts')
    return showSavepoint(path, configuration)
  },
  planState: async (path, request, ignoresUnclaimedState) => {
    const { planSavepoint } = await import('./state.ts')
    return planSavepoint(path, request.configuration, ignoresUnclaimedState, async () => {
      const { plan } = await planHere(request, await bundleModule(request))
      return plan.jobGraph
    })
  },
  runLocal: async (request, events) => {
    const { runLocal } = await import('./local-job.ts')
    return runLocal(request, events, createLocalJobLog())
  },
  cluster: createLocalCluster({
    directory: environment.directory,
    logDirectory: configuration => logDirectory(environment, configuration),
    launcher,
    startTimeoutMs: 60_000,
    clock: systemClock,
    interrupted: interruption.signal,
    rest,
  }),
  runProcess: async (kind, request) => {
    const { runProcess } = await import('./foreground.ts')
    return runProcess(kind, request, environment, interruption.signal)
  },
}

process.exitCode = await runCli(process.argv.slice(2), context, extensions)
// Every command has closed what it opened; a handle that a library keeps must not keep the process.
process.stdout.write('', () => process.exit())
