import { existsSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Metafile } from 'esbuild'
import { assert } from '../../runtime/common/assert.ts'

export const repository = fileURLToPath(new URL('../..', import.meta.url))

/** What an image has of npm. `folder` is relative to the repository. */
export interface NpmPackage {
  readonly folder: string
  readonly name: string
  readonly version: string
  readonly license: string | undefined
}

/** These lie in node_modules of an image, with all that they depend on. Every other package is bundled. */
export const packagesOutsideBundles = [
  // Starts a native program that it looks for beside itself.
  'esbuild',
  // Reads its WebAssembly from a file beside it, and has a native addon. Readers load it by `require`, and only for batches that are compressed.
  '@platformatic/kafka',
]

/** Those whose code is in the bundle. */
export function bundledPackages({ outputs }: Metafile): readonly NpmPackage[] {
  const folders = new Set<string>()
  for (const { inputs } of Object.values(outputs))
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0]
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder)
    }
  return [...folders].sort().map(folder => readPackage(folder).description)
}

/** The Node that images have. */
export const nodePackage: NpmPackage = readPackage('node_modules/node').description

/** Those that the bundle imports, and all that they depend on. */
export function installedPackages({ outputs }: Metafile): readonly NpmPackage[] {
  const imported = Object.values(outputs).flatMap(({ imports }) => imports.filter(({ external, path }) => external === true && !isBuiltin(path)))
  const found = new Map<string, NpmPackage>()
  const add = (name: string, from: string, isOptional: boolean) => {
    const folder = findPackage(name, from)
    // An optional one is for another platform.
    assert(folder !== undefined || isOptional, `package ${name} is not installed`)
    if (folder === undefined || found.has(folder)) return
    const { description, dependencies, optionalDependencies } = readPackage(folder)
    found.set(folder, description)
    for (const each of dependencies) add(each, folder, false)
    for (const each of optionalDependencies) add(each, folder, true)
  }
  for (const { path } of imported) add(path, '', false)
  return [...found.values()].sort((a, b) => (a.folder < b.folder ? -1 : 1))
}

/** As Node looks for it: beside whoever imports it, then in the folders above. */
function findPackage(name: string, from: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name)
    if (existsSync(join(repository, folder, 'package.json'))) return folder
    if (at === '' || at === '.') return undefined
  }
}

function readPackage(folder: string) {
  const json = JSON.parse(readFileSync(join(repository, folder, 'package.json'), 'utf8')) as {
    name: string
    version: string
    license?: string
    dependencies?: Record<string, string>
    optionalDependencies?: Record<string, string>
  }
  const { name, version, license, optionalDependencies = {} } = json
  const description: NpmPackage = { folder, name, version, license }
  // npm lists optional ones under both.
  const dependencies = Object.keys(json.dependencies ?? {}).filter(each => !Object.hasOwn(optionalDependencies, each))
  return { description, dependencies, optionalDependencies: Object.keys(optionalDependencies) }
}
