import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { Configuration, type ConfigurationLayer, flattenConfiguration, requireNoProblems } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { isSecretKey } from '../runtime/common/options.ts'
import { optionTables } from './option-tables.ts'

/** `config.yaml` of `MILLRACE_CONF_DIR`, then the client's entries. All problems of both at once. */
export function loadConfiguration(
  confDir: string | undefined,
  clientEntries: Readonly<Record<string, string>>,
  warn: (text: string) => void,
): { readonly configuration: Configuration; readonly fileEntries: Readonly<Record<string, string>> } {
  const file = fileLayer(confDir)
  const layers: ConfigurationLayer[] = [...(file === undefined ? [] : [file]), { origin: 'client', name: '-D', entries: clientEntries }]
  const { configuration, problems, warnings } = Configuration.parseLayers(layers, optionTables)
  for (const text of warnings) warn(text)
  requireNoProblems(problems)
  return { configuration, fileEntries: file?.entries ?? {} }
}

function fileLayer(confDir: string | undefined): ConfigurationLayer | undefined {
  if (confDir === undefined) return undefined
  const path = join(confDir, 'config.yaml')
  if (!existsSync(path)) throw new FlinkError('INVALID_CONFIGURATION', `MILLRACE_CONF_DIR is ${confDir}, and there is no config.yaml in it`)
  try {
    return { origin: 'file', name: path, entries: flattenConfiguration(parse(readFileSync(path, 'utf8'))) }
  } catch (error) {
    throw new FlinkError('INVALID_CONFIGURATION', `${path}: ${(error as Error).message}`, {}, error)
  }
}

const processPrefixes = ['rest.', 'web.', 'client.', 'cluster.', 'env.', 'planner.', 'jobmanager.', 'taskmanager.', 'heartbeat.', 'slot.']

/** What may concern a job and go into its graph: no option of a process, no secret. */
export function jobEntries(entries: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).filter(([key]) => !isSecretKey(key) && !processPrefixes.some(prefix => key.startsWith(prefix))))
}
