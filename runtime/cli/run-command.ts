import type { Command } from 'commander'
import { sleep } from '../common/clock.ts'
import { FlinkError, stackWithCauses } from '../common/errors.ts'
import { newId } from '../common/ids.ts'
import type { ExecutionResult, JobResultJson, RestClient } from '../rest/types.ts'
import { addConnectionOptions, type ConnectionOptions, clientEntriesOf, connect } from './connection-options.ts'
import { CliArgsError, type CliContext, type ProgramRequest } from './context.ts'
import { cliOptions } from './options.ts'
import { parseTarget, refuseYarnAddress } from './refused.ts'

/**
 * `millrace run`: bundle the module, upload it, run it, and (attached) wait for its end. With `-t local` the same without a cluster.
 * The job's id is chosen here: a run whose answer was lost is sent again and cannot start the job twice.
 */
export interface RunOptions extends ConnectionOptions {
  readonly class: string
  readonly parallelism?: string
  readonly digest?: string
  readonly detached?: boolean
  readonly shutdownOnAttachedExit?: boolean
  readonly fromSavepoint?: string
  readonly allowNonRestoredState?: boolean
  readonly claimMode?: string
}

const POLL_INTERVAL_MS = 200

export function addRunCommand(program: Command, context: CliContext, exit: (code: number) => void): void {
  addProgramOptions(addConnectionOptions(program.command('run')))
    .description('compiles and runs a job module')
    .option('-d, --detached', 'answers once the job is submitted; it goes on in the cluster')
    .option('--shutdownOnAttachedExit', 'attached only (also -sae): Ctrl-C ends the cluster')
    .option('-s, --fromSavepoint <path>', 'begins with the state of this savepoint, or checkpoint left by a job: URI or absolute path of its folder')
    .option('-n, --allowNonRestoredState', 'also when it has state that the program does not have any more, which is lost')
    .option('--claimMode <mode>', "what becomes of the savepoint (also -cm): no_claim (default) leaves it alone, claim makes it the job's own")
    .addHelpText(
      'after',
      `
Examples:
  millrace run -t local word-count.ts --input text.txt     this process is the cluster
  millrace run -p 4 word-count.ts                          the cluster of start-cluster
  millrace run -d -m jobmanager:8081 -c main job.ts        another one, another export, not waiting
  millrace run -D pipeline.name=counts job.ts              an option for this job
  millrace run -s file:///savepoints/savepoint-1a2b3c-0123456789ab job.ts   with the state of a savepoint`,
    )
    .action(async (file: string | undefined, args: string[], options: RunOptions) => exit(await run(context, file, args, options)))
}

export function addProgramOptions(command: Command): Command {
  return command
    .argument('[job-file]', 'the job module (.ts, .mts, .js, .mjs) or a SQL script (.sql): a file, or s3://bucket/path')
    .argument('[arguments...]', "the program's own arguments; everything after the file is theirs")
    .passThroughOptions()
    .option('-c, --class <export>', 'the export that is the program', 'default')
    .option('-p, --parallelism <n>', 'parallelism of operators that set none')
    .option('--digest <sha256:...>', 'of a job file by its address: exactly this text, or none')
}

export function programRequest(context: CliContext, file: string | undefined, args: readonly string[], options: RunOptions): ProgramRequest {
  if (file === undefined) throw new CliArgsError('The job module should be specified, for example: millrace run job.ts')
  const parallelism = options.parallelism === undefined ? undefined : Number(options.parallelism)
  if (parallelism !== undefined && (!Number.isInteger(parallelism) || parallelism < 1)) {
    throw new CliArgsError(`The parallelism must be a positive number: ${options.parallelism}`)
  }
  const clientEntries = { ...clientEntriesOf(options), ...recoveryEntries(options) }
  const configuration = context.loadConfiguration(clientEntries)
  const isAddress = file.includes('://')
  if (!isAddress && !context.fileExists(file)) throw new CliArgsError(`Job file does not exist: ${file}`)
  return {
    modulePath: file,
    ...digestOf(options, isAddress),
    entry: options.class,
    args,
    parallelism,
    defaultParallelism: 1,
    configuration,
    clientEntries,
  }
}

function digestOf({ digest }: RunOptions, isAddress: boolean): Pick<ProgramRequest, 'moduleDigest'> {
  if (digest === undefined) return {}
  if (!isAddress) throw new CliArgsError('The option --digest is one of a job file by its address: a file imports others, which no digest would say.')
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new CliArgsError(`The digest must be sha256: and 64 hexadecimal digits: ${digest}`)
  return { moduleDigest: digest }
}

/** `-s`, `-n` and `-cm` are options of the job. */
function recoveryEntries({ fromSavepoint, allowNonRestoredState, claimMode }: RunOptions): Record<string, string> {
  if (fromSavepoint === undefined && (allowNonRestoredState === true || claimMode !== undefined))
    throw new CliArgsError('The options -n and -cm say how to begin with a savepoint: specify it with -s.')
  return {
    ...(fromSavepoint === undefined ? {} : { 'execution.state-recovery.path': fromSavepoint }),
    ...(allowNonRestoredState === true ? { 'execution.state-recovery.ignore-unclaimed-state': 'true' } : {}),
    ...(claimMode === undefined ? {} : { 'execution.state-recovery.claim-mode': claimMode }),
  }
}

async function run(context: CliContext, file: string | undefined, args: readonly string[], options: RunOptions): Promise<number> {
  refuseYarnAddress(options.jobmanager)
  parseTarget(options.target)
  const request = programRequest(context, file, args, options)
  const target = parseTarget(options.target ?? request.configuration.get(cliOptions.target))
  return target === 'local' ? runLocal(context, request, options) : runRemote(context, request, options)
}

async function runLocal(context: CliContext, request: ProgramRequest, options: RunOptions): Promise<number> {
  if (options.detached === true) throw new CliArgsError('The options -d and -t local exclude each other: the local cluster ends with this process.')
  if (options.jobmanager !== undefined) throw new CliArgsError('The options -m and -t local exclude each other.')
  const outcome = await context.runLocal(
    { ...request, defaultParallelism: context.cpuCores },
    { onSubmitted: jobId => context.stdout(`Job has been submitted with JobID ${jobId}`), signal: context.interrupted },
  )
  if (outcome.state === 'FINISHED') {
    printFinished(context, outcome.jobId, outcome.runtimeMs)
    return 0
  }
  if (outcome.state === 'CANCELED' && context.interrupted.aborted) return 130
  throw jobFailed(outcome.name, outcome.jobId, outcome.state, outcome.failure === undefined ? undefined : stackWithCauses(outcome.failure))
}

async function runRemote(context: CliContext, request: ProgramRequest, options: RunOptions): Promise<number> {
  const rest = connect(context, options, request.configuration)
  const bundle = await context.bundle(request)
  const jobId = await submit(rest, bundle, request, newId(context.random))
  context.stdout(`Job has been submitted with JobID ${jobId}`)
  if (options.detached === true || !request.configuration.get(cliOptions.attached)) return 0
  const endsCluster = options.shutdownOnAttachedExit === true || request.configuration.get(cliOptions.shutdownOnAttachedExit)
  const result = await awaitResult(context, rest, jobId)
  if (result === 'interrupted') {
    if (endsCluster) await rest.shutDownCluster()
    else context.stderr(`Job ${jobId} goes on in the cluster at ${rest.address}. To end it: millrace cancel ${jobId}`)
    return 130
  }
  if (result['application-status'] === 'SUCCEEDED') {
    printFinished(context, jobId, result['net-runtime'])
    return 0
  }
  throw jobFailed(result.name, jobId, result['application-status'], result['failure-cause']?.['stack-trace'])
}

async function submit(rest: RestClient, bundle: { bytes: Uint8Array; fileName: string }, request: ProgramRequest, jobId: string): Promise<string> {
  const jarId = await rest.uploadJar(bundle.fileName, bundle.bytes)
  try {
    return await rest.runJar(jarId, {
      entryClass: request.entry,
      programArgsList: request.args,
      jobId,
      flinkConfiguration: jobEntries(request.clientEntries),
      ...(request.parallelism === undefined ? {} : { parallelism: request.parallelism }),
    })
  } finally {
    // The cluster keeps the artefact by its digest; an upload that stays behind is only untidy.
    await rest.deleteJar(jarId).catch(() => {})
  }
}

/** Options of the client itself are no business of the job. */
function jobEntries(entries: Readonly<Record<string, string>>): Record<string, string> {
  const own = new Set(Object.values(cliOptions).map(option => option.key))
  return Object.fromEntries(Object.entries(entries).filter(([key]) => !own.has(key) && !key.startsWith('rest.')))
}

async function awaitResult(context: CliContext, rest: RestClient, jobId: string): Promise<JobResultJson | 'interrupted'> {
  for (;;) {
    if (context.interrupted.aborted) return 'interrupted'
    const answer: ExecutionResult = await rest.executionResult(jobId)
    if ('job-execution-result' in answer) return answer['job-execution-result']
    // Ctrl-C ends the sleep early and is seen at the top.
    await sleep(context.clock, POLL_INTERVAL_MS, context.interrupted).catch(() => {})
  }
}

function printFinished(context: CliContext, jobId: string, runtimeMs: number): void {
  context.stdout('Program execution finished')
  context.stdout(`Job with JobID ${jobId} has finished.`)
  context.stdout(`Job Runtime: ${runtimeMs} ms`)
}

function jobFailed(name: string, jobId: string, status: string, cause: string | undefined): FlinkError {
  const message = status === 'CANCELED' ? `Job '${name}' was cancelled (JobID: ${jobId})` : `Job '${name}' failed (JobID: ${jobId})`
  const error = new FlinkError(status === 'CANCELED' ? 'CANCELLED' : 'USER_FUNCTION', message)
  // What happened is the cause's stack, on the machine where it happened; ours would only show this function.
  error.stack = cause === undefined ? message : `${message}\nCaused by: ${cause}`
  return error
}
