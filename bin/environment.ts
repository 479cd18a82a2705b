import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { systemClock } from '../runtime/common/clock.ts'
import { type ClusterSockets, plainSockets } from '../runtime/common/cluster-sockets.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { hex } from '../runtime/common/ids.ts'
import { createLogger, type LogEntry, type Logger, type LogLevel } from '../runtime/common/log.ts'
import { formatLogEntry, type LogFormat } from '../runtime/common/log-format.ts'
import { processOptions } from '../runtime/common/options.ts'
import { systemRandom } from '../runtime/common/random.ts'
import { createTlsSockets } from '../runtime/common/tls-sockets.ts'
import { restOptions } from '../runtime/rest/options.ts'

/** What a process takes from the machine it runs on: variables, directories, the cluster's secret, its log. */
export interface Environment {
  readonly confDir: string | undefined
  /** State of clusters on this machine. */
  readonly directory: string
}

export function readEnvironment(): Environment {
  return { confDir: nonEmpty(process.env['MILLRACE_CONF_DIR']), directory: resolve(nonEmpty(process.env['MILLRACE_DIR']) ?? '.millrace') }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text
}

export function logDirectory(environment: Environment, configuration: Configuration): string {
  return resolve(configuration.get(processOptions.logDirectory) ?? join(environment.directory, 'log'))
}

/** Whoever of a cluster on this machine comes first makes the file; the others read it. */
export function clusterToken(environment: Environment, configuration: Configuration): string {
  const token = configuration.get(processOptions.clusterToken)
  if (token !== undefined) return token
  const configured = configuration.get(processOptions.clusterTokenFile)
  if (configured !== undefined) return readToken(configured)
  const path = tokenPath(environment)
  if (!existsSync(path)) createToken(path)
  return readToken(path)
}

/** Where `clusterToken` looks, for whoever must find out why two of them differ. */
export function clusterTokenOrigin(environment: Environment, configuration: Configuration): string {
  if (configuration.has(processOptions.clusterToken.key)) return `option ${processOptions.clusterToken.key}`
  return configuration.get(processOptions.clusterTokenFile) ?? `${tokenPath(environment)} (MILLRACE_DIR)`
}

/** What requests to REST carry, and have to carry. */
export function restToken(configuration: Configuration): string | undefined {
  const file = configuration.get(restOptions.tokenFile)
  return configuration.get(restOptions.token) ?? (file === undefined ? undefined : readToken(file, restOptions.tokenFile.key))
}

/** Folder of this process's certificate; undefined = processes of the cluster speak without TLS. */
export function internalCertificates(configuration: Configuration): string | undefined {
  if (!configuration.get(processOptions.internalTls)) return undefined
  const { key } = processOptions.internalCertificates
  const folder = configuration.get(processOptions.internalCertificates)
  if (folder === undefined) throw new FlinkError('INVALID_CONFIGURATION', `option ${processOptions.internalTls.key} needs ${key}`)
  return folder
}

export function internalSockets(configuration: Configuration, log: Logger): ClusterSockets {
  const folder = internalCertificates(configuration)
  return folder === undefined ? plainSockets : createTlsSockets(folder, log)
}

function tokenPath(environment: Environment): string {
  return join(environment.directory, 'cluster-token')
}

/** Appears whole or not at all: processes of a cluster start at the same time, and none may read a file that is still empty. */
function createToken(path: string): void {
  mkdirSync(dirname(path), { recursive: true })
  const partial = `${path}.${process.pid}`
  writeFileSync(partial, hex(systemRandom.bytes(32)), { mode: 0o600 })
  try {
    linkSync(partial, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(partial, { force: true })
  }
}

function readToken(path: string, option = 'cluster.token-file'): string {
  try {
    const token = readFileSync(path, 'utf8').trim()
    if (token !== '') return token
  } catch (error) {
    throw new FlinkError('INVALID_CONFIGURATION', `the token cannot be read from ${path} (option ${option})`, {}, error)
  }
  throw new FlinkError('INVALID_CONFIGURATION', `the file of the token ${path} is empty (option ${option})`)
}

/** Log lines go to stderr: stdout belongs to answers and to what jobs print. */
export function createProcessLog(format: LogFormat, level: LogLevel | (() => LogLevel)): Logger {
  return createLogger(writeEntry(format), level)
}

/** Under `-t local` the outcome says how the job ended, with its cause: the state changes on the way there would say it twice more. */
export function createLocalJobLog(): Logger {
  const write = writeEntry('pretty')
  return createLogger(entry => (entry.message.includes(' switched from ') ? undefined : write(entry)), 'warn')
}

function writeEntry(format: LogFormat): (entry: LogEntry) => void {
  return entry => process.stderr.write(`${formatLogEntry(format, entry, systemClock.nowMs())}\n`)
}

/** A taken port is named together with the option that sets it. */
export async function namingOption<T>(key: string, listening: Promise<T>): Promise<T> {
  try {
    return await listening
  } catch (error) {
    if (error instanceof FlinkError && error.code === 'PORT_IN_USE') {
      throw new FlinkError(
        'PORT_IN_USE',
        `${error.message}: set another one with -D ${key}=<port> (option ${key})`,
        { ...error.detail, option: key },
        error.cause,
      )
    }
    throw error
  }
}
