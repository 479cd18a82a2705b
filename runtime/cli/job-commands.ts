import type { Command } from 'commander'
import { newId } from '../common/ids.ts'
import { addConnectionOptions, type ConnectionOptions, clientEntriesOf, connect, requireJobId } from './connection-options.ts'
import type { CliContext } from './context.ts'
import { listingLines } from './job-listing.ts'
import { awaitSavepoint, orFail } from './operations.ts'
import { parseTarget } from './refused.ts'
import { addProgramOptions, programRequest, type RunOptions } from './run-command.ts'
import { addFormatOption, requireCanonical } from './savepoint-commands.ts'

/** `list`, `cancel` and `info`. */
export function addListCommand(program: Command, context: CliContext): void {
  addConnectionOptions(program.command('list'))
    .description('lists running and scheduled jobs')
    .option('-r, --running', 'only running jobs')
    .option('-s, --scheduled', 'only scheduled jobs')
    .option('-a, --all', 'all jobs, ended ones too')
    .addHelpText('after', '\nExamples:\n  millrace list\n  millrace list -a -m jobmanager:8081')
    .action(async (options: ConnectionOptions & { running?: boolean; scheduled?: boolean; all?: boolean }) => {
      parseTarget(options.target)
      const rest = connect(context, options, context.loadConfiguration(clientEntriesOf(options)))
      context.stdout('Waiting for response...')
      const { jobs } = await rest.jobsOverview()
      const wanted = { running: options.running === true, scheduled: options.scheduled === true, all: options.all === true }
      for (const line of listingLines(jobs, wanted, context.timeZone)) context.stdout(line)
    })
}

export function addCancelCommand(program: Command, context: CliContext): void {
  addFormatOption(addConnectionOptions(program.command('cancel')))
    .description('cancels a running job')
    .argument('[job-id]', 'as `millrace list` shows it')
    .option('-s, --withSavepoint [directory]', 'takes a savepoint first (deprecated: use stop); default: execution.checkpointing.savepoint-dir')
    .addHelpText('after', '\nExample:\n  millrace cancel fd72014d4c864993a2e5a9287b4a9c5d')
    .action(async (jobIdText: string | undefined, options: ConnectionOptions & { withSavepoint?: string | boolean; type?: string }) => {
      parseTarget(options.target)
      requireCanonical(options.type)
      const jobId = requireJobId(jobIdText, 'Missing JobID. Specify a JobID to cancel a job.')
      const configuration = context.loadConfiguration(clientEntriesOf(options))
      const rest = connect(context, options, configuration)
      const { withSavepoint } = options
      if (withSavepoint !== undefined) {
        const directory = typeof withSavepoint === 'string' ? withSavepoint : undefined
        context.stdout('DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use "stop" instead.')
        context.stdout(`Cancelling job ${jobId} with CANONICAL savepoint to ${directory ?? 'default savepoint directory'}.`)
        const request = {
          'cancel-job': true,
          triggerId: newId(context.random),
          ...(directory === undefined ? {} : { 'target-directory': directory }),
        }
        const path = await orFail(
          `Could not cancel job ${jobId}.`,
          rest.triggerSavepoint(jobId, request).then(triggerId => awaitSavepoint(context, rest, configuration, jobId, triggerId)),
        )
        context.stdout(`Cancelled job ${jobId}. Savepoint stored in ${path}.`)
        return
      }
      context.stdout(`Cancelling job ${jobId}.`)
      await orFail(`Could not cancel job ${jobId}.`, rest.cancelJob(jobId))
      context.stdout(`Cancelled job ${jobId}.`)
    })
}

export function addInfoCommand(program: Command, context: CliContext): void {
  addProgramOptions(addConnectionOptions(program.command('info')))
    .description('shows the plan of a job module without running it')
    .option('--json', 'only the plan as JSON')
    .option('--text', 'only the plan as text: chains, parallelism and where it comes from')
    .addHelpText('after', '\nExamples:\n  millrace info -p 4 word-count.ts\n  millrace info --text word-count.ts --input text.txt')
    .action(async (file: string | undefined, args: string[], options: RunOptions & { json?: boolean; text?: boolean }) => {
      const local = parseTarget(options.target) === 'local'
      const request = programRequest(context, file, args, options)
      const plan = await context.plan({ ...request, defaultParallelism: local ? context.cpuCores : 1 })
      if (options.json === true) return context.stdout(plan.json)
      if (options.text === true) return context.stdout(plan.text)
      context.stdout('----------------------- Execution Plan -----------------------')
      context.stdout(plan.json)
      context.stdout('--------------------------------------------------------------')
      context.stdout('')
      context.stdout('No description provided.')
      context.stdout('')
      context.stdout(plan.text)
    })
}
