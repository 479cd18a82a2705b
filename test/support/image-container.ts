import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * An image unpacked from its archive, and containers of it by runc, as hard as pods of the restricted standard have them: the user of the
 * image, no rights, a root file system that is read only, a network of its own with nothing but a loopback.
 */
export interface ImageConfiguration {
  readonly Env: readonly string[]
  readonly Entrypoint: readonly string[]
  readonly Cmd: readonly string[]
  readonly User: string
  readonly WorkingDir: string
  readonly Labels: Readonly<Record<string, string>>
}

export interface RunOptions {
  /** Instead of the entry point. */
  readonly command?: readonly string[]
  /** Folders of this machine by their paths in the container. */
  readonly mounts?: Readonly<Record<string, string>>
  readonly workingDirectory?: string
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export class UnpackedImage {
  /** Of the files. */
  readonly root: string
  readonly configuration: ImageConfiguration
  private readonly folder: string
  private containers = 0

  /** `folder` is made, and holds all that belongs to the image and its containers. */
  constructor(archive: string, folder: string) {
    this.folder = folder
    this.root = join(folder, 'rootfs')
    const layout = join(folder, 'archive')
    for (const each of [this.root, layout]) mkdirSync(each, { recursive: true })
    execFileSync('tar', ['-xf', archive, '-C', layout])
    const [manifest] = JSON.parse(readFileSync(join(layout, 'manifest.json'), 'utf8')) as [{ Config: string; Layers: string[] }]
    for (const layer of manifest.Layers) execFileSync('tar', ['-xpf', join(layout, layer), '-C', this.root])
    this.configuration = (JSON.parse(readFileSync(join(layout, manifest.Config), 'utf8')) as { config: ImageConfiguration }).config
  }

  /** Runs a container to its end. */
  run(
    args: readonly string[],
    { command = this.configuration.Entrypoint, mounts = {}, workingDirectory = this.configuration.WorkingDir }: RunOptions = {},
  ): Ended {
    const id = `millrace-test-${process.pid}-${this.containers++}`
    const [uid, gid] = this.configuration.User.split(':').map(Number)
    const bundle = join(this.folder, id)
    mkdirSync(bundle)
    const none: readonly string[] = []
    const specification = {
      ociVersion: '1.0.2',
      process: {
        user: { uid, gid },
        args: [...command, ...args],
        env: this.configuration.Env,
        cwd: workingDirectory,
        capabilities: { bounding: none, effective: none, permitted: none },
        noNewPrivileges: true,
      },
      root: { path: this.root, readonly: true },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
        { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=1777'] },
        ...Object.entries(mounts).map(([destination, source]) => ({ destination, type: 'bind', source, options: ['bind'] })),
      ],
      linux: { namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map(type => ({ type })) },
    }
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(specification))
    const runc = ['--root', join(this.folder, 'runc')]
    try {
      // A signal to runc is one to the container.
      const { status, stdout, stderr } = spawnSync('runc', [...runc, 'run', '--bundle', bundle, id], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 60_000,
      })
      return { code: status, stdout, stderr }
    } finally {
      spawnSync('runc', [...runc, 'delete', '--force', id], { stdio: 'ignore' })
    }
  }
}
