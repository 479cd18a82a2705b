import type { Command } from 'commander'
import { nearestName } from '../common/errors.ts'
import { addBundleCommand } from './bundle-command.ts'
import { addClusterCommands } from './cluster-commands.ts'
import { CliArgsError, type CliContext } from './context.ts'
import { addCancelCommand, addInfoCommand, addListCommand } from './job-commands.ts'
import { createProgram, report } from './program.ts'
import { refusedCommands } from './refused.ts'
import { addRunCommand } from './run-command.ts'
import { addCheckpointCommand, addSavepointCommand, addStopCommand } from './savepoint-commands.ts'
import { addStateCommand } from './state-commands.ts'

/**
 * The `millrace` command, in the words of `bin/flink`. More commands (`up` and its kin) come in through `extensions`, which
 * `bin/millrace.ts` passes: this room must not know the operator.
 */
export type CliExtension = (program: Command, context: CliContext, exit: (code: number) => void) => void

const VALID_ACTIONS =
  'Valid actions are "run", "info", "list", "savepoint", "checkpoint", "stop", "cancel", "state", "bundle", "up", "get", "describe", "annotate", "delete", "operator", "validate", "start-cluster", "stop-cluster", "jobmanager", or "taskmanager".'

export async function runCli(argv: readonly string[], context: CliContext, extensions: readonly CliExtension[] = []): Promise<number> {
  let exitCode = 0
  const program = buildProgram(context, extensions, code => {
    exitCode = code
  })
  const action = argv[0]
  if (action === undefined) {
    context.stdout(program.helpInformation())
    context.stdout('Please specify an action.')
    return 1
  }
  try {
    const refusal = Object.hasOwn(refusedCommands, action) ? refusedCommands[action] : undefined
    if (refusal !== undefined) throw new CliArgsError(refusal)
    if (!action.startsWith('-') && action !== 'help' && !program.commands.some(command => command.name() === action)) {
      return unknownAction(context, program, action)
    }
    await program.parseAsync(expandShortOptions(argv), { from: 'user' })
    return exitCode
  } catch (error) {
    return report(context, error)
  }
}

function buildProgram(context: CliContext, extensions: readonly CliExtension[], exit: (code: number) => void): Command {
  const program = createProgram(context)
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Examples:
  millrace run -t local word-count.ts      run a job in this process
  millrace start-cluster --taskmanagers 2  start a cluster on this machine
  millrace run word-count.ts               run a job there
  millrace list                            what is running
  millrace <action> --help                 all options of an action`,
    )
  addRunCommand(program, context, exit)
  addInfoCommand(program, context)
  addListCommand(program, context)
  addSavepointCommand(program, context)
  addCheckpointCommand(program, context)
  addStopCommand(program, context)
  addCancelCommand(program, context)
  addStateCommand(program, context, exit)
  addBundleCommand(program, context, exit)
  addClusterCommands(program, context, exit)
  for (const extend of extensions) extend(program, context, exit)
  for (const command of program.commands)
    for (const each of [command, ...command.commands]) each.exitOverride().configureOutput(program.configureOutput())
  return program
}

/** Flink's two-letter short options, which are no short options to commander. Only before the program's file: its arguments are its own. */
const shortOptions: Readonly<Record<string, string>> = {
  '-sae': '--shutdownOnAttachedExit',
  '-cm': '--claimMode',
  '-type': '--type',
  '-detached': '--detached',
  '-full': '--full',
}

function expandShortOptions(argv: readonly string[]): string[] {
  const firstPositional = argv.findIndex((arg, at) => at > 0 && !arg.startsWith('-') && /\.[cm]?[jt]sx?$/.test(arg))
  return argv.map((arg, at) => ((firstPositional < 0 || at < firstPositional) && Object.hasOwn(shortOptions, arg) ? (shortOptions[arg] ?? arg) : arg))
}

function unknownAction(context: CliContext, program: Command, action: string): number {
  context.stdout(`"${action}" is not a valid action.`)
  context.stdout('')
  context.stdout(VALID_ACTIONS)
  const near = nearestName(
    action,
    program.commands.map(command => command.name()),
  )
  if (near !== undefined) context.stdout(`Did you mean "${near}"?`)
  context.stdout('')
  context.stdout('Specify the version option (-v or --version) to print the Millrace version.')
  context.stdout('')
  context.stdout('Specify the help option (-h or --help) to get help on the command.')
  return 1
}
