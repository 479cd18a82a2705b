import { Command, CommanderError } from 'commander'
import { errorCodes, FlinkError, serializeError, stackWithCauses } from '../common/errors.ts'
import { CliArgsError, type CliContext } from './context.ts'

/**
 * What every command line of ours has in common, whichever commands it has.
 *
 * - Answers go to stdout. Bad arguments too, with a hint, exit 1, as at Flink's.
 * - Everything else that goes wrong goes to stderr under a ruler, exit 1. What a user or the outside did wrong is said by its message and
 *   causes; a stack trace of ours is shown only for our own bugs.
 */
type Output = Pick<CliContext, 'stdout' | 'stderr'>

const HELP_HINT = 'Use the help option (-h or --help) to get help on the command.'

/** Without commands. It throws where commander would end the process: `report` makes an exit code of that. */
export function createProgram({ stdout, version, commit }: Pick<CliContext, 'stdout' | 'version' | 'commit'>): Command {
  return new Command('millrace')
    .description('stream jobs with the model of Apache Flink')
    .version(`Version: ${version}, Commit ID: ${commit}`, '-v, --version', 'prints version and commit')
    .helpOption('-h, --help', 'prints this help')
    .exitOverride()
    .configureOutput({ writeOut: text => stdout(text.replace(/\n$/, '')), writeErr: () => {} })
}

export function report(output: Output, error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    return badArguments(output, commanderMessage(error))
  }
  if (error instanceof CliArgsError) return badArguments(output, error.message)
  if (error instanceof FlinkError && (error.code === 'INVALID_ARGUMENT' || error.code === 'INVALID_CONFIGURATION') && !('status' in error.detail)) {
    return badArguments(output, error.message)
  }
  output.stderr('')
  output.stderr('-'.repeat(60))
  output.stderr(' The program finished with the following exception:')
  output.stderr('')
  output.stderr(describe(error))
  return 1
}

function badArguments(output: Output, message: string): number {
  output.stdout(message)
  output.stdout('')
  output.stdout(HELP_HINT)
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
