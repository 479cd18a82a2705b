import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
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
  /** The loopback of this machine instead of its own. */
  readonly isOnLoopback?: boolean
  /** Aborted, the container is sent SIGTERM. */
  readonly signal?: AbortSignal
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Holds one end of a pipe, as the guard of guarded-process.ts: when this process ends, however it ends, the container is told to. */
const GUARD =
  'exec 3<&0; runc --root "$1" run --bundle "$2" "$3" </dev/null 3<&- & part=$!; (read -r _ <&3; runc --root "$1" kill "$3" TERM) 2>/dev/null & wait $part'

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
  async run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const id = `millrace-test-${process.pid}-${this.containers++}`
    const bundle = join(this.folder, id)
    mkdirSync(bundle)
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(this.specification(args, options)))
    const child = spawn('sh', ['-c', GUARD, id, join(this.folder, 'runc'), bundle, id], { stdio: ['pipe', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const closed = once(child, 'close')
    const letGo = () => child.stdin.end()
    child.once('exit', letGo)
    options.signal?.addEventListener('abort', letGo, { once: true })
    const [code] = (await closed) as [number | null]
    return { code, stdout, stderr }
  }

  private specification(args: readonly string[], { command, mounts = {}, workingDirectory, isOnLoopback = false }: RunOptions) {
    const { Entrypoint, Env, User, WorkingDir } = this.configuration
    const [uid, gid] = User.split(':').map(Number)
    const none: readonly string[] = []
    return {
      ociVersion: '1.0.2',
      process: {
        user: { uid, gid },
        args: [...(command ?? Entrypoint), ...args],
        env: Env,
        cwd: workingDirectory ?? WorkingDir,
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
      linux: { namespaces: ['pid', 'ipc', 'uts', 'mount', ...(isOnLoopback ? [] : ['network'])].map(type => ({ type })) },
    }
  }
}
