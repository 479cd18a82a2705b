import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { threadId } from 'node:worker_threads'
import type { EnvironmentSettings, StreamExecutionEnvironment } from '../api/index.ts'
import { type ErrorCode, errorCodes, FlinkError } from '../common/errors.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { type OpenArtifact, requireExport } from './artifact.ts'

/**
 * Runs a program in this thread to build its StreamGraph: once in the planner, once on every worker.
 *
 * 1. The artefact's bundle is written to `<folder>/<digest>/job.mjs` (Node imports files, and the digest in the path lets Node's module
 *    cache serve a second load), its declared files beside it.
 * 2. `import … from 'millrace'` inside the bundle is resolved to `apiUrl`, the very API that runs here: were there two copies of it,
 *    the program would build its graph in the wrong one. For the same reason this file takes the environment from `apiUrl` too.
 * 3. The entry export is called with the environment and the arguments.
 *
 * Errors keep the user's file and line: Node maps stacks through the bundle's source map, and the folder of step 1 is cut off.
 */
export interface RunProgramOptions {
  /** URL of the module that `millrace` stands for: bin/api.ts, or its build. */
  readonly apiUrl: string
  /** Where artefacts are unpacked on this machine. */
  readonly folder: string
  /** Name of the export that is the program. */
  readonly entry: string
  readonly args: readonly string[]
  readonly settings: Omit<EnvironmentSettings, 'cachedFiles'>
}

export interface BuiltProgram {
  readonly streamGraph: StreamGraph
  /** Files that the program registered, name -> path as it wrote it. */
  readonly cachedFiles: Readonly<Record<string, string>>
}

interface Api {
  readonly StreamExecutionEnvironment: typeof StreamExecutionEnvironment
}

export async function buildProgram(artifact: OpenArtifact, options: RunProgramOptions): Promise<BuiltProgram> {
  const folder = join(options.folder, artifact.digest)
  const cachedFiles = unpack(artifact, folder)
  useApi(options.apiUrl)
  process.setSourceMapsEnabled(true)
  // The module's shape is ours to know: it is bin/api.ts.
  const api = (await import(options.apiUrl)) as Api
  const module = await load(artifact, folder)
  requireExport(artifact.moduleName, Object.keys(module), options.entry)
  const program = module[options.entry]
  if (typeof program !== 'function')
    throw new FlinkError(
      'INVALID_PROGRAM',
      `job module ${artifact.moduleName}: its export '${options.entry}' is not a function of the environment and the arguments, but ${program === null ? 'null' : typeof program}`,
    )
  const env = api.StreamExecutionEnvironment.createForProgram({ ...options.settings, cachedFiles })
  try {
    await program(env, [...options.args])
    return { streamGraph: env.getStreamGraph(), cachedFiles: env.getCachedFiles() }
  } catch (error) {
    throw programError(artifact, folder, error, 'throws while building its graph')
  }
}

/** The user's own position in a stack: `word-count.ts:7:12`; undefined when no frame is the program's. */
export function userPosition(stack: string | undefined, folder: string): string | undefined {
  for (const line of (stack ?? '').split('\n')) {
    const match = /(?:\(|at |async )(?:file:\/\/)?(\/[^()]*?):(\d+):(\d+)\)?$/.exec(line.trim())
    const path = match?.[1]
    if (path?.startsWith(`${folder}/`) && !path.includes('/node_modules/')) return `${path.slice(folder.length + 1)}:${match?.[2]}:${match?.[3]}`
  }
  return undefined
}

/** Stack lines name the user's files, not the folder where the artefact happens to lie. */
export function cleanStack(stack: string, folder: string): string {
  return stack.replaceAll(`${pathToFileURL(folder).href}/`, '').replaceAll(`${folder}/`, '')
}

/** The folder that `buildProgram` unpacks an artefact to, for `userPosition` and `cleanStack`. */
export function programFolder(folder: string, digest: string): string {
  return join(folder, digest)
}

async function load(artifact: OpenArtifact, folder: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(join(folder, 'job.mjs')).href)) as Record<string, unknown>
  } catch (error) {
    throw programError(artifact, folder, error, 'throws while it is loaded')
  }
}

function programError(artifact: OpenArtifact, folder: string, error: unknown, what: string): FlinkError {
  const thrown = error instanceof Error ? error : new Error(String(error))
  const at = userPosition(thrown.stack, folder)
  if (thrown.stack !== undefined) thrown.stack = cleanStack(thrown.stack, folder)
  // By shape: the API behind `apiUrl` may be another build's copy of the class.
  const code = (thrown as { code?: unknown }).code
  const expected = thrown.name === 'FlinkError' && typeof code === 'string' && Object.hasOwn(errorCodes, code)
  if (expected) {
    const result = new FlinkError(
      code as ErrorCode,
      at === undefined ? thrown.message : `${thrown.message} (at ${at})`,
      (thrown as Partial<FlinkError>).detail ?? {},
      thrown.cause,
    )
    result.stack = thrown.stack ?? `${result}`
    return result
  }
  return new FlinkError(
    'INVALID_PROGRAM',
    `job module ${artifact.moduleName} ${what}: ${thrown.message}${at === undefined ? '' : ` (at ${at})`}`,
    { at },
    thrown,
  )
}

function unpack(artifact: OpenArtifact, folder: string): ReadonlyMap<string, string> {
  mkdirSync(join(folder, 'files'), { recursive: true })
  writeOnce(join(folder, 'job.mjs'), artifact.program)
  const files = new Map<string, string>()
  for (const [name, content] of artifact.files) {
    const path = join(folder, 'files', name)
    writeOnce(path, content)
    files.set(name, path)
  }
  return files
}

/** Workers of one machine unpack the same artefact at the same time: the rename makes a whole file appear at once. */
function writeOnce(path: string, content: Uint8Array): void {
  if (existsSync(path)) return
  const partial = `${path}.${process.pid}-${threadId}`
  writeFileSync(partial, content)
  renameSync(partial, path)
}

let api: string | undefined

function useApi(url: string): void {
  const hooked = api !== undefined
  api = url
  // A CommonJS package inside the bundle asks for `require` of a built-in module; ESM has none.
  const global = globalThis as { require?: unknown }
  global.require ??= process.getBuiltinModule('node:module').createRequire(pathToFileURL(join(process.cwd(), 'job.mjs')))
  if (hooked) return
  registerHooks({
    resolve: (specifier, context, nextResolve) =>
      specifier === 'millrace' && api !== undefined ? { url: api, shortCircuit: true } : nextResolve(specifier, context),
  })
}
