import type { Catalogue } from '../../runtime/checkpoint/catalogue.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import { flattenConfiguration } from '../../runtime/common/config.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { FlinkSnapshot } from '../api/flink-snapshot.ts'
import type { KubeObject, ObjectApi } from '../kube/object-api.ts'
import { flinkJobs, flinkSnapshots } from '../kube/resources.ts'
import { type FlinkSnapshotStore, reconcileSnapshot } from '../snapshot/controller.ts'
import { createSnapshotStore } from '../snapshot/object-store.ts'
import type { Caches } from './caches.ts'
import type { Controller, ObjectKey } from './manager.ts'
import { fenced } from './pass.ts'

/** FlinkSnapshots under a manager: the rules of operator/snapshot on objects of an API server. What they look at of their job is its status. */
export interface FlinkSnapshotControllerParts {
  readonly api: ObjectApi
  /** Of the job that a snapshot names; undefined = it names none, or one that is not there. */
  readonly catalogue: (job: FlinkJob | undefined) => Pick<Catalogue, 'snapshotAt' | 'disposeSavepoint'>
  readonly rest: (job: FlinkJob | undefined) => (address: string) => RestClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export function flinkSnapshotController({ catalogue, rest, clock, random, log, ...parts }: FlinkSnapshotControllerParts): Controller {
  const api = fenced(parts.api)
  return {
    type: flinkSnapshots,
    // A job that begins or ends is what its snapshots wait for.
    related: [{ type: flinkJobs, keysOf: () => [] }],
    async reconcile(key, caches) {
      const object = caches.get(flinkSnapshots, key.namespace, key.name)
      if (object === undefined) return undefined
      const { jobReference } = (object.spec ?? {}) as FlinkSnapshot['spec']
      const job = jobReference === undefined ? undefined : caches.get(flinkJobs, key.namespace, jobReference.name)
      const asJob = job === undefined ? undefined : withFlatOptions(job)
      const jobs = {
        get: async (namespace: string, name: string) => caches.get(flinkJobs, namespace, name) as unknown as FlinkJob | undefined,
        list: async (namespace: string) =>
          caches.list(flinkJobs).filter(({ metadata }) => metadata.namespace === namespace) as unknown as readonly FlinkJob[],
      }
      const store = cachedStore(api, key, object, caches)
      const { requeueAfterMs } = await reconcileSnapshot({
        store,
        jobs,
        rest: address => fenced(rest(asJob)(address)),
        catalogue: fenced(catalogue(asJob)),
        clock,
        random,
        log,
      })
      return requeueAfterMs
    },
  }
}

/** Reads what the reflector knows, and tells it what was written. */
function cachedStore(api: ObjectApi, key: ObjectKey, object: KubeObject, caches: Caches): FlinkSnapshotStore {
  const store = createSnapshotStore(api, key.namespace, key.name)
  const seen = (saved: FlinkSnapshot): FlinkSnapshot => {
    const { deletionTimestamp, finalizers = [] } = saved.metadata
    // With its last finalizer an object that is deleted goes.
    if (deletionTimestamp === undefined || finalizers.length > 0) caches.seen(saved as unknown as KubeObject, flinkSnapshots)
    return saved
  }
  return {
    read: async () => object as unknown as FlinkSnapshot,
    writeStatus: async (snapshot, status) => seen(await store.writeStatus(snapshot, status)),
    writeFinalizers: async (snapshot, finalizers) => seen(await store.writeFinalizers(snapshot, finalizers)),
  }
}

/** As its author wrote it, but for its options, which may be nested there. What a program sets itself is not known here. */
function withFlatOptions(job: KubeObject): FlinkJob {
  const spec = job.spec as { readonly flinkConfiguration?: Readonly<Record<string, unknown>> }
  return { ...job, spec: { ...spec, flinkConfiguration: flattenConfiguration(spec.flinkConfiguration ?? {}) } } as unknown as FlinkJob
}
