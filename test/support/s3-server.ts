import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { Configuration } from '../../runtime/common/config.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { freePorts, type GuardedProcess, startGuarded } from './guarded-process.ts'
import { writtenLines } from './written-lines.ts'

/** A real S3 server (versitygw) on a free loopback port, in a folder of its own; `test/parts/install-s3.sh` builds it. */
export class S3Server {
  readonly endpoint: string
  private readonly folder: string
  private running: GuardedProcess

  private constructor(endpoint: string, folder: string, running: GuardedProcess) {
    this.endpoint = endpoint
    this.folder = folder
    this.running = running
  }

  /** `host`: where clients reach it. */
  static async start(host = '127.0.0.1'): Promise<S3Server> {
    const [port] = await freePorts(1)
    const folder = mkdtempSync(join(tmpdir(), 'millrace-s3-'))
    mkdirSync(join(folder, 'buckets'))
    mkdirSync(join(folder, 'metadata'))
    const address = `${host}:${port}`
    try {
      return new S3Server(`http://${address}`, folder, await runServer(address, folder))
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.running.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** It is killed, and what it has stored stays for `comeBack`. */
  async goAway(): Promise<void> {
    await this.running.stop()
  }

  async comeBack(): Promise<void> {
    this.running = await runServer(new URL(this.endpoint).host, this.folder)
  }

  /** To the server a folder is a bucket. */
  createBucket(name: string): void {
    mkdirSync(join(this.folder, 'buckets', name))
  }

  /** Names of the objects that a bucket has, read beside the server. */
  objects(bucket: string): string[] {
    return readdirSync(join(this.folder, 'buckets', bucket), { recursive: true, withFileTypes: true }).flatMap(entry =>
      entry.isFile() ? [entry.name] : [],
    )
  }

  /** Lines of the objects below a path that readers of a file sink look at. */
  lines(bucket: string, path: string): string[] {
    return writtenLines(join(this.folder, 'buckets', bucket, path))
  }

  /** As a client would. */
  async put(bucket: string, path: string, text: string): Promise<void> {
    const parts = { clock: systemClock, random: systemRandom, log: noLog }
    const store = await openStore(`s3://${bucket}`, this.configuration(), parts)
    await store.create(path, Buffer.from(text))
  }

  removeBucket(name: string): void {
    rmSync(join(this.folder, 'buckets', name), { recursive: true })
  }

  /** How to reach it, or a proxy in front of it. */
  configuration(endpoint = this.endpoint): Configuration {
    return Configuration.fromObject({ 's3.endpoint': endpoint, 's3.access-key': ACCESS_KEY, 's3.secret-key': SECRET_KEY })
  }
}

export const ACCESS_KEY = 'AKIAMILLRACETESTS000'
export const SECRET_KEY = 'a-secret-that-must-not-be-seen'

function runServer(address: string, folder: string): Promise<GuardedProcess> {
  const binary = join(process.env['MILLRACE_CACHE'] ?? join(homedir(), '.cache', 'millrace'), 'versitygw-1.8.0', 'versitygw')
  if (!existsSync(binary)) throw new Error(`no ${binary}: run test/parts/install-s3.sh`)
  const command = [binary, '--port', address, '--keep-alive', 'posix', '--sidecar', join(folder, 'metadata'), join(folder, 'buckets')]
  const env = { ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY }
  return startGuarded(command, { name: 'versitygw', ready: `http://${address}`, env })
}
