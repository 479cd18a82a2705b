import { Command, CommanderError } from 'commander'
import { errorCodes, FlinkError, nearestName, serializeError, stackWithCauses } from '../common/errors.ts'
import { addBundleCommand } from './bundle-command.ts'
import { addClusterCommands } from './cluster-commands.ts'
import { CliArgsError, type CliContext } from './context.ts'
import { addCancelCommand, addInfoCommand, addListCommand } from './job-commands.ts'
import { refusedCommands } from './refused.ts'
import { addRunCommand } from './run-command.ts'
import { addCheckpointCommand, addSavepointCommand, addStopCommand } from './savepoint-commands.ts'
import { addStateCommand } from './state-commands.ts'

/**
 * The `millrace` command, in the words of `bin/flink`.
 *
 * - Answers go to stdout. Bad arguments too, with a hint, exit 1, as at Flink's.
 * - Everything else that goes wrong goes to stderr under a ruler, exit 1. What a user or the outside did wrong is said by its message and
 *   causes; a stack trace of ours is shown only for our own bugs.
 * - More commands (`up` and its kin) come in through `extensions`, which `bin/millrace.ts` passes: this room must not know the operator.
 */
export type CliExtension = (program: Command, context: CliContext, exit: (code: number) => void) => void

const HELP_HINT = 'Use the help option (-h or --help) to get help on the command.'
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
  const program = new Command('millrace')
    .description('stream jobs with the model of Apache Flink')
    .version(`Version: ${context.version}, Commit ID: ${context.commit}`, '-v, --version', 'prints version and commit')
    .helpOption('-h, --help', 'prints this help')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: text => context.stdout(text.replace(/\n$/, '')), writeErr: () => {} })
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

function report(context: CliContext, error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    return badArguments(context, commanderMessage(error))
  }
  if (error instanceof CliArgsError) return badArguments(context, error.message)
  if (error instanceof FlinkError && (error.code === 'INVALID_ARGUMENT' || error.code === 'INVALID_CONFIGURATION') && !('status' in error.detail)) {
    return badArguments(context, error.message)
  }
  context.stderr('')
  context.stderr('-'.repeat(60))
  context.stderr(' The program finished with the following exception:')
  context.stderr('')
  context.stderr(describe(error))
  return 1
}

function badArguments(context: CliContext, message: string): number {
  context.stdout(message)
  context.stdout('')
  context.stdout(HELP_HINT)
  return 1
}

/** In the words of Flink's parser. */
function commanderMessage(error: CommanderError): string {
  const text = error.message.replace(/^error: /, '')
  const flag = /'([^' ,]+)[^']*'/.exec(text)?.[1] ?? ''
  const suggestion = /\(Did you mean (.+)\?\)/.exec(text)?.[1]
  if (error.code === 'commander.unknownOption')
    return `Unrecognized option: ${flag}${suggestion === undefined ? '' : ` (did you mean ${suggestion}?)`}`
  if (error.code === 'commander.optionMissingArgument') return `Missing argument for option: ${flag.replace(/^-+/, '')}`
  return text
}

function describe(error: unknown): string {
  if (!(error instanceof FlinkError)) return error instanceof Error ? stackWithCauses(serializeError(error)) : String(error)
  if (errorCodes[error.code].fault === 'internal') return stackWithCauses(serializeError(error))
  // A job's failure carries the stack of where it happened; a stack that was made here would only show our own code.
  const madeHere = error.stack?.startsWith(`${error.name}: `) === true
  const own = madeHere ? error.message : (error.stack ?? error.message)
  const trace = error.detail['serverTrace']
  if (madeHere && error.cause instanceof FlinkError) return `${own}\nCaused by: ${describe(error.cause)}`
  if (typeof trace === 'string') return `${own}\n${trace}`
  return madeHere && error.code === 'INVALID_PROGRAM' && error.cause !== undefined
    ? `${own}\nCaused by: ${stackWithCauses(serializeError(error.cause))}`
    : own
}
