import type { FlinkJob } from '../../operator/api/flink-job.ts'
import { isReason, type KubeObject, type ObjectApi, type ResourceType } from '../../operator/kube/object-api.ts'
import { flinkJobs, flinkSnapshots } from '../../operator/kube/resources.ts'
import { inOrder, type Sight } from './scenario.ts'

/**
 * Every state that the FlinkJob of a namespace and its FlinkSnapshots have had, in order, as the API server's watches tell it: what lasts for a moment only is not missed
 * by a look that comes too late.
 */
export class Sights implements AsyncDisposable {
  private readonly api: ObjectApi
  private readonly namespace: string
  private readonly ending = new AbortController()
  private readonly watching: readonly Promise<void>[]
  private readonly jobs = new Map<string, KubeObject>()
  private readonly snapshots = new Map<string, KubeObject>()
  private all: Sight[] = [{ job: undefined, snapshots: [] }]
  private failure: unknown

  constructor(api: ObjectApi, namespace: string) {
    this.api = api
    this.namespace = namespace
    this.watching = [this.watch(flinkJobs, this.jobs), this.watch(flinkSnapshots, this.snapshots)]
    for (const watch of this.watching)
      watch.catch((error: unknown) => {
        this.failure ??= error
      })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort()
    await Promise.allSettled(this.watching)
  }

  /** Those from the last on that was given out; it may be asked about again, for what is not in it may have changed. */
  *after(): Generator<Sight> {
    if (this.failure !== undefined) throw this.failure
    for (;;) {
      const [sight] = this.all
      if (sight !== undefined) yield sight
      if (this.all.length === 1) return
      this.all.shift()
    }
  }

  private async watch(type: ResourceType, known: Map<string, KubeObject>): Promise<void> {
    const { signal } = this.ending
    const { namespace } = this
    while (!signal.aborted)
      try {
        const { items, resourceVersion } = await this.api.list(type, { namespace })
        known.clear()
        for (const object of items) known.set(object.metadata.name, object)
        this.add()
        for await (const event of this.api.watch(type, { namespace, resourceVersion }, signal)) {
          if (event.type === 'BOOKMARK') continue
          const { name } = event.object.metadata
          if (event.type === 'DELETED') known.delete(name)
          else known.set(name, event.object)
          this.add()
        }
      } catch (error) {
        if (!isReason(error, 'Unreachable', 'Expired', 'TooManyRequests')) throw error
      }
  }

  private add(): void {
    const [job] = this.jobs.values()
    // As it is stored.
    this.all.push({ job: job as unknown as FlinkJob | undefined, snapshots: inOrder([...this.snapshots.values()]) })
  }
}
