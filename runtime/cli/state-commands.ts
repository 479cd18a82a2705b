import type { Command } from 'commander'
import { addDynamicProperties, type ConnectionOptions, clientEntriesOf } from './connection-options.ts'
import { CliArgsError, type CliContext } from './context.ts'
import { addProgramOptions, programRequest, type RunOptions } from './run-command.ts'

/** `state show` and `state plan`: what a savepoint holds, and what of it a program would take up. Both read the savepoint; no cluster is asked. */
export function addStateCommand(program: Command, context: CliContext, exit: (code: number) => void): void {
  const state = program.command('state').description('looks into savepoints, and into checkpoints that a job has left').enablePositionalOptions()
  addDynamicProperties(state.command('show'))
    .description('shows the operators and states in a savepoint')
    .argument('<path>', 'URI or absolute path of its folder')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  millrace state show file:///savepoints/savepoint-1a2b3c-0123456789ab')
    .action(async (path: string, options: ConnectionOptions & { json?: boolean }) => {
      const report = await context.showState(path, context.loadConfiguration(clientEntriesOf(options)))
      context.stdout(options.json === true ? report.json : report.text)
    })
  const plan = addDynamicProperties(state.command('plan')).argument('<path>', 'URI or absolute path of the folder of a savepoint')
  addProgramOptions(plan)
    .description('shows what would become of each state, were a job started with a savepoint: kept, new, dropped or incompatible')
    .option('-n, --allowNonRestoredState', 'dropped state is no reason against it')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
The job is not started. Options stand in front of the path. Exit code 0: it can be started with the savepoint; 1: it cannot, or something went wrong.

Examples:
  millrace state plan file:///savepoints/savepoint-1a2b3c-0123456789ab job.ts
  millrace state plan -n --json file:///savepoints/savepoint-1a2b3c-0123456789ab job.ts --input orders`,
    )
    .action(async (path: string, file: string | undefined, args: string[], options: RunOptions & { json?: boolean }) => {
      if (file === undefined) throw new CliArgsError('The job module should be specified, for example: millrace state plan <path> job.ts')
      const { allowNonRestoredState, ...rest } = options
      const report = await context.planState(path, programRequest(context, file, args, rest), allowNonRestoredState === true)
      context.stdout(options.json === true ? report.json : report.text)
      exit(report.restorable ? 0 : 1)
    })
}
