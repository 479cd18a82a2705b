import type { Catalogue } from '../../runtime/checkpoint/catalogue.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import { openObjectFiles } from '../effects/object-files.ts'
import { createSnapshotObjects, type SnapshotObjects } from '../job/snapshot-objects.ts'
import { LocalApiServer } from '../kube/local-api-server.ts'
import { flinkSnapshots } from '../kube/resources.ts'
import { reconcileSnapshot } from '../snapshot/controller.ts'
import { createSnapshotStore } from '../snapshot/object-store.ts'

/**
 * The FlinkSnapshots of the job of an `up`: objects at an API server of its own, kept as files, and their controller, which looks at each when it is due or was changed. A
 * snapshot that an earlier `up` has left is gone on with.
 */
export interface UpSnapshots {
  readonly objects: SnapshotObjects
  /** Answers when the next one is due. */
  pass(job: FlinkJob): Promise<number>
}

export interface UpSnapshotParts {
  readonly folder: string
  readonly rest: (webAddress: string) => RestClient
  readonly catalogue: (entries: Readonly<Record<string, string>>) => Catalogue
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export async function openSnapshots({ folder, rest, catalogue, clock, random, log }: UpSnapshotParts): Promise<UpSnapshots> {
  const { objects, persist } = await openObjectFiles(folder)
  const api = new LocalApiServer({ clock, random, persist })
  api.load(objects)
  const looked = new Map<string, { readonly resourceVersion: string | undefined; readonly dueMs: number }>()
  return {
    objects: createSnapshotObjects(api),

    async pass(job) {
      const isOfJob = (namespace: string, name: string) => namespace === job.metadata.namespace && name === job.metadata.name
      const jobs = {
        get: async (namespace: string, name: string) => (isOfJob(namespace, name) ? job : undefined),
        list: async (namespace: string) => (namespace === job.metadata.namespace ? [job] : []),
      }
      const parts = { jobs, rest, catalogue: catalogue(job.spec.flinkConfiguration), clock, random, log }
      let nextMs = Number.POSITIVE_INFINITY
      for (const { metadata } of (await api.list(flinkSnapshots)).items) {
        const { namespace, name, resourceVersion } = metadata
        const last = looked.get(name)
        if (last === undefined || last.resourceVersion !== resourceVersion || last.dueMs <= clock.monotonicMs()) {
          const store = createSnapshotStore(api, namespace, name)
          const { requeueAfterMs } = await reconcileSnapshot({ ...parts, store })
          const dueMs = clock.monotonicMs() + requeueAfterMs
          looked.set(name, { resourceVersion: (await store.read())?.metadata.resourceVersion, dueMs })
        }
        nextMs = Math.min(nextMs, (looked.get(name)?.dueMs ?? 0) - clock.monotonicMs())
      }
      return Math.max(0, nextMs)
    },
  }
}
