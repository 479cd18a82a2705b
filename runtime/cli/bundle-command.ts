import type { Command } from 'commander'
import { errorCodes, FlinkError } from '../common/errors.ts'
import { addDynamicProperties, connect } from './connection-options.ts'
import { CliArgsError, type CliContext, type ProgramSummary } from './context.ts'
import { addProgramOptions, programRequest, type RunOptions } from './run-command.ts'

/**
 * `millrace bundle`: what of a job travels to a cluster, as a file, and what the job needs, as JSON. The pods that the operator starts are its users: one bundles the
 * program where it will be run, or takes it to the JobManager of a session, another answers in its termination message, of which Kubernetes keeps SUMMARY_BYTES_MAX.
 *
 * A program that is refused is an answer too: it is written as `{"kind": "invalid"}` before the exit with 1. What may go better another time is none: nothing is written then.
 */
const SUMMARY_BYTES_MAX = 4096
const MESSAGE_BYTES_MAX = 3500

interface BundleOptions extends RunOptions {
  readonly output?: string
  readonly summary?: string
  readonly upload?: string
  readonly stateOf?: string
}

export function addBundleCommand(program: Command, context: CliContext, exit: (code: number) => void): void {
  addProgramOptions(addDynamicProperties(program.command('bundle')))
    .description('writes the bundle of a job, as POST /jars/upload takes it, or a summary of what the job needs')
    .option('-o, --output <file>', 'where the bundle goes')
    .option(
      '--upload <file>',
      'uploads the bundle to the JobManager, and writes to the file which jar it is there: {"kind": "uploaded", "jarId": "..."}',
    )
    .option('-m, --jobmanager <host:port>', 'of --upload: address of the JobManager; default: rest.address and rest.port of the configuration')
    .option('--summary <file>', 'where the summary goes as JSON, of at most 4 KiB: the program is run as info runs it, and nothing is submitted')
    .option('--stateOf <job-id>', 'adds to the summary what becomes of the state of the newest checkpoint of this job')
    .option('-n, --allowNonRestoredState', 'of --stateOf: state that the program has no place for may be dropped')
    .addHelpText(
      'after',
      '\nExamples:\n  millrace bundle -o word-count.mjs word-count.ts\n  millrace bundle --summary summary.json word-count.ts --input text.txt',
    )
    .action(async (file: string | undefined, args: string[], options: BundleOptions) => {
      const { output, summary, upload, stateOf, allowNonRestoredState, ...rest } = options
      if (output === undefined && summary === undefined && upload === undefined)
        throw new CliArgsError('There is nothing to write: specify --output, --summary or --upload.')
      if (options.jobmanager !== undefined && upload === undefined) throw new CliArgsError('The option -m is one of --upload: specify that.')
      if (stateOf !== undefined && summary === undefined) throw new CliArgsError('The option --stateOf says more in the summary: specify --summary.')
      const request = programRequest(context, file, args, rest)
      if (output !== undefined || upload !== undefined) {
        const { bytes, fileName } = await context.bundle(request)
        if (output !== undefined) await context.writeFile(output, bytes)
        if (upload !== undefined) {
          const jarId = await connect(context, rest, request.configuration).uploadJar(fileName, bytes)
          await context.writeFile(upload, new TextEncoder().encode(JSON.stringify({ kind: 'uploaded', jarId })))
        }
      }
      if (summary === undefined) return
      const answer = await context.summarize(request, stateOf, allowNonRestoredState === true).catch(refusalOf)
      await context.writeFile(summary, new TextEncoder().encode(fitted(answer)))
      if (answer.kind === 'invalid') {
        context.stderr(answer.message)
        exit(1)
      }
    })
}

function refusalOf(error: unknown): ProgramSummary {
  if (!(error instanceof FlinkError) || errorCodes[error.code].fault !== 'user') throw error
  return { kind: 'invalid', message: error.message }
}

/** States that stay are left out first: the worst ones stand in front. */
function fitted(summary: ProgramSummary): string {
  if (summary.kind === 'invalid') return JSON.stringify({ ...summary, message: cut(summary.message) })
  const { statePlan, parallelisms, ...rest } = summary
  // Of a very large program they are left out: it is not rescaled in place, but can be run.
  const isLarge = sizeOf(JSON.stringify({ ...rest, parallelisms })) > SUMMARY_BYTES_MAX / 2
  for (let count = statePlan?.states.length ?? 0; ; count--) {
    const text = JSON.stringify({
      ...rest,
      ...(isLarge ? {} : { parallelisms }),
      ...(statePlan === undefined ? {} : { statePlan: { ...statePlan, states: statePlan.states.slice(0, count) } }),
    })
    if (sizeOf(text) <= SUMMARY_BYTES_MAX) return text
    if (count <= 1)
      throw new FlinkError('UNSUPPORTED', `the summary of the program has more than ${SUMMARY_BYTES_MAX} bytes: ${text.slice(0, 200)}...`)
  }
}

function cut(message: string): string {
  let text = message
  while (sizeOf(JSON.stringify(text)) > MESSAGE_BYTES_MAX) text = text.slice(0, Math.floor(text.length * 0.9))
  return text === message ? text : `${text}...`
}

function sizeOf(text: string): number {
  return new TextEncoder().encode(text).length
}
