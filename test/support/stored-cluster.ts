import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { writeSavepoint } from '../../runtime/checkpoint/savepoint.ts'
import { EpochLog } from '../../runtime/checkpoint/storage/epoch-log.ts'
import { openFileStore } from '../../runtime/checkpoint/storage/file-store.ts'
import type { ObjectStore } from '../../runtime/checkpoint/storage/object-store.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { FakeFlinkCluster } from './fake-flink-cluster.ts'

/**
 * A fake cluster whose claims, checkpoints and savepoints lie in a folder as those of a real job: whoever is another process finds them there. `stored` is when all that has
 * happened so far does; a claim that the epoch log refuses is a violation.
 */
export class StoredCluster extends FakeFlinkCluster {
  override readonly options: Readonly<Record<string, string>>
  private readonly folder: string
  stored: Promise<void> = Promise.resolve()
  private log: EpochLog | undefined
  private generation = 0
  private checkpointId = 0

  constructor(folder: string) {
    super()
    this.folder = folder
    this.options = {
      'execution.checkpointing.dir': this.uriOf('checkpoints'),
      'execution.checkpointing.savepoint-dir': this.uriOf('savepoints'),
    }
  }

  /** Of a savepoint that has the fake's name for it. */
  locationOf(name: string): string {
    const digest = createHash('sha256').update(name).digest('hex')
    return `${this.uriOf('savepoints')}/savepoint-${digest.slice(0, 6)}-${digest.slice(6, 18)}`
  }

  protected override begun(jobId: string): void {
    this.write(async () => {
      const log = new EpochLog({
        store: await this.store('checkpoints'),
        jobId,
        generation: ++this.generation,
        clock: systemClock,
        random: systemRandom,
        log: noLog,
      })
      this.checkpointId = Math.max(this.checkpointId, (await log.takeOver()) ?? 0)
      this.log = log
    })
  }

  protected override left(jobId: string, name: string): void {
    this.write(async () => {
      const checkpointId = ++this.checkpointId
      const at = { checkpointId, timestampMs: systemClock.nowMs(), objects: [] }
      if (!name.startsWith('savepoint')) return this.log?.publish(at, new Uint8Array())
      const location = this.locationOf(name)
      const target = { store: await this.store('savepoints'), folder: location.slice(location.lastIndexOf('/') + 1) }
      await writeSavepoint(target, { ...at, jobId, generation: this.generation, nonce: this.log?.nonce ?? '' }, { operators: [], tasks: [] })
      await this.log?.claimSavepoint(checkpointId, location)
    })
  }

  private write(work: () => Promise<void>): void {
    this.stored = this.stored.then(work).catch((error: unknown) => {
      this.violations.push(`not stored: ${error}`)
    })
  }

  private uriOf(name: string): string {
    return pathToFileURL(join(this.folder, name)).href
  }

  private async store(name: string): Promise<ObjectStore> {
    const path = join(this.folder, name)
    await mkdir(path, { recursive: true })
    return openFileStore(path, systemRandom, systemClock.nowMs())
  }
}
