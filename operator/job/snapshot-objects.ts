import type { FlinkJob } from '../api/flink-job.ts'
import { type FlinkSnapshot, snapshotLabels } from '../api/flink-snapshot.ts'
import { isReason, type ObjectApi } from '../kube/object-api.ts'
import { flinkSnapshots } from '../kube/resources.ts'
import type { SnapshotAction } from './input.ts'

/** The FlinkSnapshots of one FlinkJob as its controller knows them. */
export interface SnapshotObjects {
  list(job: FlinkJob): Promise<readonly FlinkSnapshot[]>
  execute(action: SnapshotAction): Promise<void>
}

export function createSnapshotObjects(api: ObjectApi): SnapshotObjects {
  return {
    async list({ metadata: { namespace, uid } }) {
      const { items } = await api.list(flinkSnapshots, { namespace, labels: { [snapshotLabels.jobUid]: uid } })
      // The API server holds them to the CRD, which is made from the schema of FlinkSnapshot.
      return items as unknown as readonly FlinkSnapshot[]
    },

    async execute({ kind, snapshot }) {
      if (kind === 'createSnapshot') {
        // Its name was drawn for it and is in the status: one that is there is this one.
        await api.create({ ...snapshot }).catch(unless('AlreadyExists'))
      } else {
        const { namespace, name, uid } = snapshot.metadata
        await api.delete(flinkSnapshots, namespace, name, { uid }).catch(unless('NotFound', 'Conflict'))
      }
    },
  }
}

function unless(...reasons: Parameters<typeof isReason>[1][]) {
  return (error: unknown): void => {
    if (!isReason(error, ...reasons)) throw error
  }
}
