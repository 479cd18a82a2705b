import type { Command } from 'commander'
import { type Configuration, parseDynamicProperties } from '../common/config.ts'
import { isId } from '../common/ids.ts'
import type { RestClient } from '../rest/types.ts'
import { CliArgsError, type CliContext } from './context.ts'
import { refuseYarnAddress } from './refused.ts'

/** `-D`, `-m` and `-t`, which every action takes, and what follows from them. */
export interface ConnectionOptions {
  readonly D?: readonly string[]
  readonly jobmanager?: string
  readonly target?: string
}

export function addConnectionOptions(command: Command): Command {
  return addDynamicProperties(command)
    .option('-m, --jobmanager <host:port>', 'address of the JobManager; default: rest.address and rest.port of the configuration')
    .option('-t, --target <target>', 'where the job runs: remote (a cluster, the default) or local (this process)')
}

export function addDynamicProperties(command: Command): Command {
  return command.option(
    '-D <key=value>',
    'sets an option of the configuration, above config.yaml; may be repeated',
    (value: string, all: readonly string[] = []) => [...all, value],
  )
}

export function clientEntriesOf(options: ConnectionOptions): Record<string, string> {
  return parseDynamicProperties(options.D ?? [])
}

export function connect(context: CliContext, options: ConnectionOptions, configuration: Configuration): RestClient {
  refuseYarnAddress(options.jobmanager)
  return context.rest(options.jobmanager ?? '', configuration)
}

export function requireJobId(text: string | undefined, missing: string): string {
  if (text === undefined) throw new CliArgsError(missing)
  if (!isId(text.toLowerCase())) {
    throw new CliArgsError(`Cannot parse JobID from "${text}". The expected format is [0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.`)
  }
  return text.toLowerCase()
}
