import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { OptionTable } from '../../runtime/common/config.ts'
import { CONFIG_MAP_KIND } from '../api/config-map.ts'
import type { PlaceOf } from '../effects/local-executors.ts'
import type { KubeObject } from '../kube/object-api.ts'
import { parseManifests } from '../validation/manifest.ts'
import { type CheckedObject, displayName } from '../validation/problems.ts'

/**
 * The objects of some files and folders as they stand there now, looked at again and again: what `up` makes true.
 *
 * - A file that is wrong leaves its objects as they were before the edit, and its problems are told once.
 * - A file that is gone takes its objects with it, at the second look that misses it: an editor that replaces a file takes it away for a moment.
 * - A folder's files are those that end in .yaml, .yml or .json; of two objects of one name the first one counts, and the other is a problem.
 */
export interface ManifestObject {
  readonly object: KubeObject
  readonly file: string
  readonly scriptLine: number | undefined
}

export interface ManifestLook {
  /** By `<kind> <namespace>/<name>`. */
  readonly objects: ReadonlyMap<string, ManifestObject>
  /** Not told before. */
  readonly problems: readonly string[]
}

interface FileState {
  readonly text: string
  readonly objects: readonly ManifestObject[]
}

const MANIFEST = /\.(yaml|yml|json)$/

export class ManifestSet {
  private readonly paths: readonly string[]
  private readonly optionTables: readonly OptionTable[]
  private readonly extraArgs: readonly string[]
  private files = new Map<string, FileState>()
  private missed = new Set<string>()
  private told: ReadonlySet<string> = new Set()
  private found: ReadonlyMap<string, ManifestObject> = new Map()

  /** `extraArgs` are given to the program of every job. */
  constructor(paths: readonly string[], optionTables: readonly OptionTable[], extraArgs: readonly string[]) {
    this.paths = paths
    this.optionTables = optionTables
    this.extraArgs = extraArgs
  }

  /** By `<kind> <namespace>/<name>`, as they were at the last look. */
  get objects(): ReadonlyMap<string, ManifestObject> {
    return this.found
  }

  /** Where the program of a FlinkJob stands: its lines move with edits of its manifest, and only those of the text that stands there now are known. */
  placeOf({ namespace, name }: { readonly namespace: string; readonly name: string }): PlaceOf {
    const key = `FlinkJob ${namespace}/${name}`
    let last = { folder: '.', fileName: `${name}.yaml` }
    return ({ job }) => {
      const manifest = this.found.get(key)
      if (manifest === undefined) return { ...last, scriptLine: undefined }
      last = { folder: dirname(resolve(manifest.file)), fileName: basename(manifest.file) }
      const own = (manifest.object.spec as { readonly job: { readonly script?: string; readonly sql?: string } }).job
      const isThere = (own.script ?? own.sql) === (job.script ?? job.sql)
      return { ...last, scriptLine: isThere ? manifest.scriptLine : undefined }
    }
  }

  async look(): Promise<ManifestLook> {
    const problems: string[] = []
    const present = new Map<string, string>()
    for (const path of this.paths) {
      const { files, problem, isUnreadable } = await manifestsAt(path)
      // Later on, of what has gone its objects tell.
      if (problem !== undefined && (isUnreadable || this.files.size === 0)) problems.push(problem)
      if (isUnreadable) this.keep(present, file => file === path || file === join(path, basename(file)))
      for (const file of files) await this.readInto(present, file, problems)
    }
    this.dropMissing(present)
    for (const [file, text] of present) this.parse(file, text, problems)
    const objects = this.collect(problems)
    this.found = objects
    const fresh = problems.filter(problem => !this.told.has(problem))
    this.told = new Set(problems)
    return { objects, problems: fresh }
  }

  /** What cannot be read says nothing about its objects. */
  private keep(present: Map<string, string>, isUnreadable: (file: string) => boolean): void {
    for (const [file, { text }] of this.files) if (isUnreadable(file)) present.set(file, text)
  }

  private async readInto(present: Map<string, string>, file: string, problems: string[]): Promise<void> {
    const read = await readManifest(file)
    if ('text' in read) present.set(file, read.text)
    else if (!read.isMissing) {
      problems.push(read.problem)
      this.keep(present, known => known === file)
    }
  }

  private dropMissing(present: ReadonlyMap<string, string>): void {
    const missing = [...this.files.keys()].filter(file => !present.has(file))
    for (const file of missing) if (this.missed.has(file)) this.files.delete(file)
    this.missed = new Set(missing)
  }

  private parse(file: string, text: string, problems: string[]): void {
    const before = this.files.get(file)
    const parsed = before?.text === text ? undefined : parseManifests(text, file, this.optionTables)
    if (parsed === undefined) return
    if (parsed.problems.length > 0) {
      problems.push(...parsed.problems)
      return
    }
    const objects = parsed.objects.map(({ checked: { metadata }, document, scriptLine }) => ({
      object: this.withArgs(document as KubeObject, metadata),
      file,
      scriptLine,
    }))
    this.files.set(file, { text, objects })
  }

  /** The schema has found it sound; `metadata` has the defaults. */
  private withArgs(document: KubeObject, { name, namespace, labels, annotations }: CheckedObject['metadata']): KubeObject {
    const metadata = { name, namespace, ...(labels === undefined ? {} : { labels }), ...(annotations === undefined ? {} : { annotations }) }
    const { apiVersion, kind } = document
    if (kind === CONFIG_MAP_KIND) return { ...document, metadata }
    const spec = document.spec as { readonly job?: { readonly args?: readonly unknown[] } }
    if (this.extraArgs.length === 0 || spec.job === undefined) return { apiVersion, kind, metadata, spec }
    return { apiVersion, kind, metadata, spec: { ...spec, job: { ...spec.job, args: [...(spec.job.args ?? []), ...this.extraArgs] } } }
  }

  private collect(problems: string[]): Map<string, ManifestObject> {
    const all = new Map<string, ManifestObject>()
    const isMissed = ({ file }: ManifestObject) => this.missed.has(file)
    const each = [...this.files.values()].flatMap(({ objects }) => objects)
    // What has moved to another file stands in both for a moment.
    for (const found of each.toSorted((a, b) => Number(isMissed(a)) - Number(isMissed(b)))) {
      const { kind, metadata } = found.object
      const key = `${kind} ${metadata.namespace}/${metadata.name}`
      const first = all.get(key)
      if (first === undefined) all.set(key, found)
      else if (!isMissed(found)) problems.push(`${found.file}: ${kind} ${displayName(metadata)} stands in ${first.file} already`)
    }
    return all
  }
}

export interface ManifestsAt {
  /** Of a folder in order of their names. */
  readonly files: readonly string[]
  /** Why there are none. */
  readonly problem?: string
  /** Nobody knows whether there are any. */
  readonly isUnreadable: boolean
}

export async function manifestsAt(path: string): Promise<ManifestsAt> {
  try {
    if (!(await stat(path)).isDirectory()) return { files: [path], isUnreadable: false }
    const names = (await readdir(path)).filter(name => MANIFEST.test(name)).sort()
    const none = { problem: `${path} has no manifests, expected files that end in .yaml, .yml or .json` }
    return { files: names.map(name => join(path, name)), ...(names.length === 0 ? none : {}), isUnreadable: false }
  } catch (error) {
    const { isMissing, problem } = notRead(path, error)
    return { files: [], problem, isUnreadable: !isMissing }
  }
}

interface NotRead {
  readonly problem: string
  readonly isMissing: boolean
}

export async function readManifest(file: string): Promise<{ readonly text: string } | NotRead> {
  try {
    return { text: await readFile(file, 'utf8') }
  } catch (error) {
    return notRead(file, error)
  }
}

function notRead(path: string, error: unknown): NotRead {
  const { code } = error as NodeJS.ErrnoException
  const isMissing = code === 'ENOENT'
  return { problem: isMissing ? `${path} does not exist` : `${path} cannot be read: ${code}`, isMissing }
}
