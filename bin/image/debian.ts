import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { assert } from '../../runtime/common/assert.ts'

/** What an image has of Debian: shared libraries of the machine that builds it. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
  /** `debian-12`. */
  readonly release: string
}

/** glibc loads these by name when a host name is looked up. */
const LOADED_BY_NAME = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2']

/** All that the programs and addons are linked with, the loader too, by the paths where it looks for them. */
export function librariesOf(binaries: readonly string[]): readonly string[] {
  const linked = binaries.flatMap(binary =>
    [...execFileSync('ldd', [binary], { encoding: 'utf8' }).matchAll(/(?:^\t|=> )(\/\S+) \(/gm)].map(([, path = '']) => path),
  )
  const libc = linked.find(path => path.endsWith('/libc.so.6'))
  assert(libc !== undefined, `${binaries.join(', ')}: not linked with glibc`)
  const loaded = LOADED_BY_NAME.map(name => join(dirname(libc), name)).filter(existsSync)
  return [...new Set([...linked, ...loaded])].sort()
}

export function debianPackagesOf(files: readonly string[]): readonly DebianPackage[] {
  // /lib is a link to /usr/lib, and packages name their files by either; those that are not found by one name are no error.
  const { error, stdout } = spawnSync('dpkg-query', ['--search', ...files.flatMap(path => [path, `/usr${path}`])], { encoding: 'utf8' })
  if (error !== undefined) throw error
  const names = new Set(stdout.split('\n').flatMap(line => /^(\S+): /.exec(line)?.[1] ?? []))
  const release = /^VERSION_ID="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'
  const format = '${Package} ${Version} ${Architecture}\n'
  return execFileSync('dpkg-query', ['--show', `--showformat=${format}`, ...[...names].sort()], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(line => {
      const [name = '', version = '', architecture = ''] = line.split(' ')
      return { name, version, architecture, release: `debian-${release}` }
    })
}
