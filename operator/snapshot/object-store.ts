import type { FlinkSnapshot } from '../api/flink-snapshot.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { flinkSnapshots } from '../kube/resources.ts'
import type { FlinkSnapshotStore } from './controller.ts'

/** One FlinkSnapshot at an API server. */
export function createSnapshotStore(api: ObjectApi, namespace: string, name: string): FlinkSnapshotStore {
  return {
    async read() {
      try {
        return asSnapshot(await api.get(flinkSnapshots, namespace, name))
      } catch (error) {
        if (isReason(error, 'NotFound')) return undefined
        throw error
      }
    },
    writeStatus: async (snapshot, status) => asSnapshot(await api.updateStatus({ ...snapshot, status })),
    writeFinalizers: async (snapshot, finalizers) => asSnapshot(await api.patchMetadata({ ...snapshot }, { finalizers })),
  }
}

/** The API server holds them to the CRD, which is made from the schema of FlinkSnapshot. */
function asSnapshot(object: KubeObject): FlinkSnapshot {
  return object as unknown as FlinkSnapshot
}
