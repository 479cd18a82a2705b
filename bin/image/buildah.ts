import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { version } from '../version.ts'
import { repository } from './packages.ts'
import type { Image } from './root-fs.ts'

export interface Archive {
  readonly path: string
  /** Of the image, which names its files and its configuration by their digests: sha256, hex. */
  readonly digest: string
}

/** Builds an image from the root file systems in `folder`, as an archive beside them. */
export function buildArchive({ target, name }: Image, folder: string): Archive {
  const path = join(folder, `${name}.tar`)
  // What buildah keeps is of no use afterwards: the archive is all that counts.
  const storage = mkdtempSync(join(tmpdir(), 'millrace-buildah-'))
  // An archive that is there would be added to.
  rmSync(path, { force: true })
  try {
    execFileSync(
      'buildah',
      [
        ...['--storage-driver', 'vfs', '--root', join(storage, 'root'), '--runroot', join(storage, 'run')],
        ...['build', '--isolation', 'chroot', '--quiet', '--file', join(repository, 'Containerfile'), '--target', target],
        // Of the image and of all files in it.
        ...['--timestamp', '0', '--build-arg', `VERSION=${version}`],
        ...['--tag', `docker-archive:${path}:${name}:${version}`, folder],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
  } finally {
    rmSync(storage, { recursive: true, force: true })
  }
  const manifest = JSON.parse(execFileSync('tar', ['-xOf', path, 'manifest.json'], { encoding: 'utf8' })) as [{ Config: string }]
  return { path, digest: manifest[0].Config.replace(/\.json$/, '') }
}
