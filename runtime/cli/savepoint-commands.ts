import { type Command, Option } from 'commander'
import { newId } from '../common/ids.ts'
import { addConnectionOptions, type ConnectionOptions, clientEntriesOf, connect, requireJobId } from './connection-options.ts'
import { CliArgsError, type CliContext } from './context.ts'
import { awaitOperation, awaitSavepoint, orFail } from './operations.ts'
import { parseTarget } from './refused.ts'

/** `savepoint`, `stop` and `checkpoint`, in Flink's words. */
interface FormatOptions extends ConnectionOptions {
  readonly type?: string
  readonly detached?: boolean
}

export function addFormatOption(command: Command): Command {
  return command.addOption(new Option('--type <format>', 'format of the savepoint (also -type): canonical is the only one').default('canonical'))
}

/** `Canonical`, in whatever case. */
export function requireCanonical(type: string | undefined): void {
  if (type === undefined || type.toLowerCase() === 'canonical') return
  throw new CliArgsError(`The savepoint format type "${type}" is not supported, expected canonical: savepoints have one format.`)
}

export function addSavepointCommand(program: Command, context: CliContext): void {
  addFormatOption(addConnectionOptions(program.command('savepoint')))
    .description('takes a savepoint of a running job, or disposes of one')
    .argument('[job-id]', 'as `millrace list` shows it')
    .argument('[target-directory]', 'file:///folder or s3://bucket/prefix; default: execution.checkpointing.savepoint-dir')
    .option('-d, --dispose <path>', 'removes this savepoint')
    .option('--detached', 'answers at once, with the id of the operation (also -detached)')
    .addHelpText(
      'after',
      '\nExamples:\n  millrace savepoint fd72014d4c864993a2e5a9287b4a9c5d file:///savepoints\n  millrace run -s file:///savepoints/savepoint-fd7201-0123456789ab job.ts\n  millrace savepoint -d file:///savepoints/savepoint-fd7201-0123456789ab',
    )
    .action(async (jobIdText: string | undefined, directory: string | undefined, options: FormatOptions & { dispose?: string }) => {
      parseTarget(options.target)
      requireCanonical(options.type)
      const configuration = context.loadConfiguration(clientEntriesOf(options))
      const { dispose } = options
      if (dispose !== undefined) {
        const rest = connect(context, options, configuration)
        context.stdout(`Disposing savepoint '${dispose}'.`)
        context.stdout('Waiting for response...')
        await orFail(
          `Disposing the savepoint '${dispose}' failed.`,
          (async () => {
            const triggerId = await rest.triggerDisposal(dispose)
            await awaitOperation(context, configuration, triggerId, () => rest.disposal(triggerId))
          })(),
        )
        context.stdout(`Savepoint '${dispose}' disposed.`)
        return
      }
      const jobId = requireJobId(jobIdText, 'Missing JobID. Specify a Job ID to trigger a savepoint.')
      const rest = connect(context, options, configuration)
      const request = { 'cancel-job': false, triggerId: newId(context.random), ...(directory === undefined ? {} : { 'target-directory': directory }) }
      const failed = `Triggering a savepoint for the job ${jobId} failed.`
      if (options.detached === true) {
        context.stdout(`Triggering savepoint in detached mode for job ${jobId}.`)
        context.stdout('Waiting for response...')
        const triggerId = await orFail(failed, rest.triggerSavepoint(jobId, request))
        context.stdout(`Successfully trigger manual savepoint, triggerId: ${triggerId}`)
        return
      }
      context.stdout(`Triggering savepoint for job ${jobId}.`)
      context.stdout('Waiting for response...')
      const path = await orFail(
        failed,
        rest.triggerSavepoint(jobId, request).then(triggerId => awaitSavepoint(context, rest, configuration, jobId, triggerId)),
      )
      context.stdout(`Savepoint completed. Path: ${path}`)
      context.stdout('You can resume your program from this savepoint with the run command.')
    })
}

export function addStopCommand(program: Command, context: CliContext): void {
  addFormatOption(addConnectionOptions(program.command('stop')))
    .description('stops a running job behind a savepoint')
    .argument('[job-id]', 'as `millrace list` shows it')
    .option('-p, --savepointPath <directory>', 'file:///folder or s3://bucket/prefix; default: execution.checkpointing.savepoint-dir')
    .option('-d, --drain', 'ends the inputs first: event-time timers fire and windows give their results. Only for a job that will not go on')
    .option('--detached', 'answers at once, with the id of the operation (also -detached)')
    .addHelpText('after', '\nExample:\n  millrace stop -p file:///savepoints fd72014d4c864993a2e5a9287b4a9c5d')
    .action(async (jobIdText: string | undefined, options: FormatOptions & { savepointPath?: string; drain?: boolean }) => {
      parseTarget(options.target)
      requireCanonical(options.type)
      const configuration = context.loadConfiguration(clientEntriesOf(options))
      const jobId = requireJobId(jobIdText, 'Missing JobId')
      const rest = connect(context, options, configuration)
      const drain = options.drain === true
      const request = {
        drain,
        triggerId: newId(context.random),
        ...(options.savepointPath === undefined ? {} : { targetDirectory: options.savepointPath }),
      }
      context.stdout(`${drain ? 'Draining job' : 'Suspending job'} "${jobId}" with a CANONICAL savepoint.`)
      const failed = `Could not stop with a savepoint job "${jobId}".`
      if (options.detached === true) {
        context.stdout(`Triggering stop-with-savepoint in detached mode for job ${jobId}.`)
        context.stdout('Waiting for response...')
        const triggerId = await orFail(failed, rest.stopWithSavepoint(jobId, request))
        context.stdout(`Successfully trigger stop-with-savepoint in detached mode, triggerId: ${triggerId}`)
        return
      }
      context.stdout(`Triggering stop-with-savepoint for job ${jobId}.`)
      context.stdout('Waiting for response...')
      const path = await orFail(
        failed,
        rest.stopWithSavepoint(jobId, request).then(triggerId => awaitSavepoint(context, rest, configuration, jobId, triggerId)),
      )
      context.stdout(`Savepoint completed. Path: ${path}`)
    })
}

export function addCheckpointCommand(program: Command, context: CliContext): void {
  addConnectionOptions(program.command('checkpoint'))
    .description('takes a checkpoint of a running job now')
    .argument('[job-id]', 'as `millrace list` shows it')
    .option('--full', 'one that stands alone (also -full)')
    .addHelpText('after', '\nExample:\n  millrace checkpoint fd72014d4c864993a2e5a9287b4a9c5d')
    .action(async (jobIdText: string | undefined, options: ConnectionOptions & { full?: boolean }) => {
      parseTarget(options.target)
      const configuration = context.loadConfiguration(clientEntriesOf(options))
      const jobId = requireJobId(jobIdText, 'Missing JobID. Specify a Job ID to manipulate a checkpoint.')
      const rest = connect(context, options, configuration)
      const full = options.full === true
      context.stdout(`Triggering checkpoint for job ${jobId}.`)
      context.stdout('Waiting for response...')
      const request = { checkpointType: full ? 'FULL' : 'CONFIGURED', triggerId: newId(context.random) } as const
      const result = await orFail(
        `Triggering a checkpoint for the job ${jobId} failed.`,
        rest
          .triggerCheckpoint(jobId, request)
          .then(triggerId => awaitOperation(context, configuration, triggerId, () => rest.operation('checkpoint', jobId, triggerId))),
      )
      context.stdout(`Checkpoint${full ? '(FULL)' : ''} ${String(result['checkpointId'])} for job ${jobId} completed.`)
      context.stdout('You can resume your program from this checkpoint with the run command.')
    })
}
