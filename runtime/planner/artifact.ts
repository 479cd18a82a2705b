import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { FlinkError } from '../common/errors.ts'
import type { BundleInput } from './bundle.ts'

/**
 * The code artefact: what of a job travels from the client to JobManager and workers. One container of bytes, named by its sha256:
 *
 *   "MRAF" | version u8 | length of the index u32 LE | index (JSON, fixed key order) | contents in the order of the index
 *
 * The index lists every file with name, length and sha256: first the bundled program `job.mjs` (ESM, inline source map with the
 * sources' text), then the declared files, by name. Nothing in it depends on the machine, the folder above the project or the time:
 * the same input gives the same digest. See docs/decisions/0004-artifact.md.
 */
export interface Artifact {
  /** sha256 of `bytes`, hex. */
  readonly digest: string
  readonly bytes: Uint8Array
}

export interface OpenArtifact {
  readonly digest: string
  /** The bundled program's text. */
  readonly program: Uint8Array
  /** Declared files by name. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** Name of the user's module, for messages: `word-count.ts`. */
  readonly moduleName: string
  /** What the module exports, sorted. */
  readonly exports: readonly string[]
}

export type ArtifactSource =
  | { readonly kind: 'module'; readonly path: string }
  /** Text of a manifest; `name` appears in messages (`job.ts`), imports resolve from `folder`. */
  | { readonly kind: 'script'; readonly text: string; readonly name: string; readonly folder: string }

export interface BuildArtifactOptions {
  /** name -> path of a file on this machine. */
  readonly files?: Readonly<Record<string, string>>
  /** Checked here so that a missing export is answered before anything is shipped; undefined skips the check. */
  readonly entry?: string
}

const MAGIC = [0x4d, 0x52, 0x41, 0x46]
const VERSION = 1
const PROGRAM = 'job.mjs'

interface Index {
  readonly moduleName: string
  readonly exports: readonly string[]
  readonly files: readonly { readonly name: string; readonly length: number; readonly sha256: string }[]
}

export async function buildArtifact(source: ArtifactSource, options: BuildArtifactOptions = {}): Promise<Artifact> {
  const input: BundleInput =
    source.kind === 'module'
      ? { folder: dirname(resolve(source.path)), name: basename(source.path), text: undefined }
      : { folder: resolve(source.folder), name: source.name, text: source.text }
  // Loaded on use: workers open artefacts and never build one, so they never load the bundler.
  const { bundleProgram } = await import('./bundle.ts')
  const bundle = await bundleProgram(input)
  if (options.entry !== undefined) requireExport(input.name, bundle.exports, options.entry)
  const files: [string, Uint8Array][] = []
  for (const [name, path] of Object.entries(options.files ?? {})) files.push([name, await readDeclared(name, path)])
  return pack(input.name, bundle.exports, bundle.code, files)
}

/**
 * The same program with more declared files: for those that the program named itself with `registerCachedFile`. A name that the artefact
 * already holds keeps its content: it came from the client, and `path` may mean nothing on this machine.
 */
export async function withFiles(bytes: Uint8Array, files: Readonly<Record<string, string>>): Promise<Artifact> {
  const open = openArtifact(bytes)
  const all = new Map(open.files)
  for (const [name, path] of Object.entries(files)) if (!all.has(name)) all.set(name, await readDeclared(name, path))
  return pack(open.moduleName, open.exports, open.program, [...all])
}

/** Checks every length and hash: a damaged or truncated artefact is never run. `expectedDigest` is what the JobGraph's reference says. */
export function openArtifact(bytes: Uint8Array, expectedDigest?: string): OpenArtifact {
  const digest = sha256(bytes)
  if (expectedDigest !== undefined && digest !== expectedDigest)
    throw new FlinkError('EXTERNAL_SYSTEM', 'code artefact is damaged: its digest is not the one it was asked for by', { digest, expectedDigest })
  const damaged = (what: string) => new FlinkError('EXTERNAL_SYSTEM', `code artefact ${digest.slice(0, 12)} is damaged: ${what}`)
  if (bytes.length < 9 || MAGIC.some((byte, i) => bytes[i] !== byte)) throw damaged('it does not start as one')
  if (bytes[4] !== VERSION) throw new FlinkError('PROTOCOL_MISMATCH', `code artefact has format version ${bytes[4]}, this release reads ${VERSION}`)
  const indexLength = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(5, true)
  if (9 + indexLength > bytes.length) throw damaged('its index ends early')
  // The digest covers the index, so its shape is the one that `pack` wrote.
  const index = JSON.parse(new TextDecoder().decode(bytes.subarray(9, 9 + indexLength))) as Index
  let at = 9 + indexLength
  const contents = new Map<string, Uint8Array>()
  for (const file of index.files) {
    const content = bytes.subarray(at, at + file.length)
    if (content.length !== file.length || sha256(content) !== file.sha256) throw damaged(`its file '${file.name}' is not what the index says`)
    contents.set(file.name, content)
    at += file.length
  }
  if (at !== bytes.length) throw damaged('it is longer than its index says')
  const program = contents.get(PROGRAM)
  if (program === undefined) throw damaged('it has no program')
  contents.delete(PROGRAM)
  return { digest, program, files: contents, moduleName: index.moduleName, exports: index.exports }
}

/** Refuses an entry that the module does not export, listing what it does export. */
export function requireExport(moduleName: string, exports: readonly string[], entry: string): void {
  if (exports.includes(entry)) return
  const what = entry === 'default' ? `has no default export` : `has no export '${entry}'`
  const advice =
    exports.length === 0
      ? "it exports nothing; write 'export default (env, args) => { … }'"
      : `it exports ${exports.map(name => `'${name}'`).join(', ')}; ${entry === 'default' ? "write 'export default (env, args) => { … }' or name one of them with -c" : 'name one of them with -c'}`
  throw new FlinkError('INVALID_PROGRAM', `job module ${moduleName} ${what}: ${advice}`, { entry, exports })
}

function pack(moduleName: string, exports: readonly string[], program: Uint8Array, files: readonly (readonly [string, Uint8Array])[]): Artifact {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1))
  const all: (readonly [string, Uint8Array])[] = [[PROGRAM, program], ...sorted]
  const index: Index = {
    moduleName,
    exports: [...exports].sort(),
    files: all.map(([name, content]) => ({ name, length: content.length, sha256: sha256(content) })),
  }
  const indexBytes = new TextEncoder().encode(JSON.stringify(index))
  const bytes = new Uint8Array(9 + indexBytes.length + all.reduce((sum, [, content]) => sum + content.length, 0))
  bytes.set(MAGIC)
  bytes[4] = VERSION
  new DataView(bytes.buffer).setUint32(5, indexBytes.length, true)
  bytes.set(indexBytes, 9)
  let at = 9 + indexBytes.length
  for (const [, content] of all) {
    bytes.set(content, at)
    at += content.length
  }
  return { digest: sha256(bytes), bytes }
}

async function readDeclared(name: string, path: string): Promise<Uint8Array> {
  if (name === PROGRAM || name === '' || name.includes('/') || name.includes('\\') || name === '..')
    throw new FlinkError('INVALID_ARGUMENT', `declared file '${name}': a name is one path segment other than '${PROGRAM}'`)
  try {
    return await readFile(path)
  } catch (cause) {
    throw new FlinkError('NOT_FOUND', `declared file '${name}' cannot be read from ${path}`, { path }, cause)
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
