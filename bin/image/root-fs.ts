import { chmodSync, cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bundleEntries } from '../bundles.ts'
import { debianPackagesOf, librariesOf } from './debian.ts'
import { bundledPackages, installedPackages, nodePackage, packagesOutsideBundles, repository } from './packages.ts'
import { sbomOf } from './sbom.ts'

/**
 * The root file system of an image, in a folder: Node with the shared libraries that it is linked with, the bundle, the few packages that
 * cannot be bundled, the bill of materials. No shell, no package manager, nothing of the machine but those libraries. Files have the
 * same modes and times whoever makes them and when.
 */
export interface Image {
  /** Of the Containerfile; the folder has its name. */
  readonly target: 'runtime' | 'operator'
  readonly name: string
  readonly entries: readonly string[]
  /** Folders that everybody may write to. */
  readonly writable: readonly string[]
}

export const images: readonly Image[] = [
  {
    target: 'runtime',
    name: 'millrace',
    entries: ['millrace', 'planner', 'slot', 'io-worker', 'api'],
    writable: ['tmp', 'var/lib/millrace'],
  },
  { target: 'operator', name: 'millrace-operator', entries: ['millrace-operator'], writable: ['tmp'] },
]

/** Bills of materials lie here in an image, and under the name of the image beside the folders. */
export const SBOM = 'opt/millrace/sbom.cdx.json'

const HOME = 'opt/millrace'
/** Where PATH of the Containerfile looks. */
const NODE = 'usr/local/bin/node'

const texts: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/sbin/nologin\nmillrace:x:65532:65532:millrace:/nonexistent:/sbin/nologin\n',
  'etc/group': 'root:x:0:\nmillrace:x:65532:\n',
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
}

/** Packages of CommonJS ask for `require`, which modules do not have. */
const banner = { js: "import { createRequire as createPackageRequire } from 'node:module'\nconst require = createPackageRequire(import.meta.url)" }

export async function stageRoot({ target, name, entries, writable }: Image, folder: string): Promise<void> {
  const root = join(folder, target)
  const at = (path: string) => join(root, path)
  rmSync(root, { recursive: true, force: true })
  const metafile = await bundleEntries(entries, at(`${HOME}/dist`), { external: packagesOutsideBundles, banner })

  const installed = installedPackages(metafile)
  for (const { folder } of installed) copy(join(repository, folder), at(join(HOME, folder)))
  // The same program as in the package for this platform, which is the one that is started.
  rmSync(at(`${HOME}/node_modules/esbuild/bin`), { recursive: true, force: true })

  copy(join(repository, nodePackage.folder, 'bin/node'), at(NODE))
  const addons = filesOf(root).filter(path => path.endsWith('.node'))
  const libraries = librariesOf([at(NODE), ...addons])
  for (const library of libraries) copy(realpathSync(library), at(library))

  const debian = debianPackagesOf(libraries)
  const bundled = bundledPackages(metafile)
  // What is bundled, and what comes without its package, keeps the terms under which it may be passed on.
  for (const { folder, name } of bundled)
    for (const file of readdirSync(join(repository, folder)).filter(each => /^(?:licen[cs]e|notice)/i.test(each)))
      copy(join(repository, folder, file), at(`${HOME}/licenses/${name}/${file}`))
  for (const { name } of debian) copy(realpathSync(`/usr/share/doc/${name}/copyright`), at(`usr/share/doc/${name}/copyright`))
  copy(join(repository, 'LICENSE'), at(`${HOME}/LICENSE`))

  const { version, license } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string; license: string }
  const npm = [...bundled, ...installed]
  const sbom = sbomOf({ image: name, version, license, nodeVersion: nodePackage.version, npm, debian })
  const ours = { [SBOM]: sbom, [`${HOME}/package.json`]: `${JSON.stringify({ name: 'millrace', version, license, type: 'module' })}\n` }
  for (const [path, text] of Object.entries({ ...texts, ...ours })) {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), text)
  }
  writeFileSync(join(folder, `${name}.cdx.json`), sbom)

  for (const path of writable) mkdirSync(at(path), { recursive: true })
  settle(root)
  for (const path of writable) chmodSync(at(path), 0o1777)
}

/** Packages that lie inside another one are listed, and copied, by themselves. */
function copy(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: path => !path.slice(from.length).includes('/node_modules') })
}

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
}

/** Neither the umask nor the time of whoever builds is to be seen in an image. */
function settle(path: string): void {
  const stat = lstatSync(path)
  if (stat.isDirectory()) for (const name of readdirSync(path)) settle(join(path, name))
  chmodSync(path, stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644)
  utimesSync(path, 0, 0)
}
