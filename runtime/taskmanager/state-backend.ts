import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { stateBackendType } from '../checkpoint/options.ts'
import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { isOwnStateBackend, type OwnStateBackend } from '../state/own-backend.ts'

/** Where keyed state lives, if not on the heap. Code has the last word, so that the option says whether it was the program that named it. */
export async function stateBackendOf(configuration: Configuration, graph: StreamGraph): Promise<OwnStateBackend | undefined> {
  const type = configuration.get(stateBackendType)
  const [, specifier, name] = /^(.+)#(.+)$/.exec(type) ?? []
  if (specifier !== undefined && name !== undefined) return loaded(specifier, name)
  if (type !== 'own') return undefined
  if (graph.stateBackend === undefined) throw wrong('own is what a program sets by env.setStateBackend, and this one does not')
  // `env.setStateBackend` has looked at it.
  return graph.stateBackend as OwnStateBackend
}

async function loaded(specifier: string, name: string): Promise<OwnStateBackend> {
  if (specifier.startsWith('.'))
    throw wrong(`module ${specifier} is relative, to what is not known: expected an absolute path, or the name of a package`)
  let exports: Readonly<Record<string, unknown>>
  try {
    exports = await import(isAbsolute(specifier) ? pathToFileURL(specifier).href : specifier)
  } catch (error) {
    throw wrong(`module ${specifier} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`, error)
  }
  const found = exports[name]
  if (isOwnStateBackend(found)) return found
  const what = found === undefined ? 'has no such export' : 'exports something else by that name'
  throw wrong(`expected a state backend (name, can: { snapshots, incremental }, createStore) as ${name} of module ${specifier}, which ${what}`)
}

function wrong(message: string, cause?: unknown): FlinkError {
  return new FlinkError('INVALID_CONFIGURATION', `option ${stateBackendType.key}: ${message}`, { key: stateBackendType.key }, cause)
}
