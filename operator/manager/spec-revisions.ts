import { createHash } from 'node:crypto'
import { FlinkError } from '../../runtime/common/errors.ts'
import { canonicalJson } from '../../runtime/common/json.ts'
import type { FlinkJobStatus } from '../api/flink-job.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { controllerRevisions } from '../kube/resources.ts'
import type { Caches, Followed } from './caches.ts'

/**
 * Specs that the status of a FlinkJob speaks of, kept beside it: with a program of 1 MB several of them do not fit into one object. Each is a ControllerRevision, which
 * Kubernetes has for that: named by the job, its uid and what it says, owned by the job, made before the status that names it, never changed. In the stored status its name
 * stands where the rules have the text.
 */
export interface SpecRevisions {
  /** The status as it is stored; what it names is there when this answers. */
  store(job: KubeObject, status: FlinkJobStatus): Promise<unknown>
  /** The status as the rules know it. */
  load(job: KubeObject): Promise<FlinkJobStatus | undefined>
  /** Removes those of the job that its stored status does not name. */
  prune(job: KubeObject): Promise<void>
}

const JOB_UID = 'millrace.dev/job-uid'
/** Others have ControllerRevisions too, many of them. */
const LABELS = { 'app.kubernetes.io/managed-by': 'millrace', 'app.kubernetes.io/component': 'spec' }

export const followedRevisions: Followed = { type: controllerRevisions, labels: LABELS, indexed: [JOB_UID] }

type Names = (text: string) => Promise<string>

/** Where a status has the text of a spec. */
async function mapped(status: FlinkJobStatus, change: Names): Promise<FlinkJobStatus> {
  const { reconciliationStatus, upgrade, rescale } = status
  const { lastReconciledSpec, lastStableSpec } = reconciliationStatus ?? {}
  return {
    ...status,
    ...(reconciliationStatus === undefined
      ? {}
      : {
          reconciliationStatus: {
            ...reconciliationStatus,
            ...(lastReconciledSpec === undefined ? {} : { lastReconciledSpec: await change(lastReconciledSpec) }),
            ...(lastStableSpec === undefined ? {} : { lastStableSpec: await change(lastStableSpec) }),
          },
        }),
    ...(upgrade === undefined ? {} : { upgrade: { ...upgrade, spec: await change(upgrade.spec) } }),
    ...(rescale === undefined ? {} : { rescale: { ...rescale, spec: await change(rescale.spec) } }),
  }
}

export function createSpecRevisions(api: ObjectApi, caches: Caches): SpecRevisions {
  const create = async (job: KubeObject, text: string): Promise<string> => {
    const { metadata } = job
    // Of this object alone: those of one that had its name go when they are collected, which may be later.
    const hash = createHash('sha256').update(`${metadata.uid}\n${text}`).digest('hex')
    const name = `${metadata.name}-${hash.slice(0, 10)}`
    if (caches.get(controllerRevisions, metadata.namespace, name) !== undefined) return name
    const revision: KubeObject = {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: {
        name,
        namespace: metadata.namespace,
        labels: { ...LABELS, [JOB_UID]: metadata.uid ?? '' },
        ownerReferences: [{ apiVersion: job.apiVersion, kind: job.kind, name: metadata.name, uid: metadata.uid ?? '', controller: true }],
      },
      revision: metadata.generation ?? 0,
      data: JSON.parse(text) as unknown,
    }
    const made = await api.create(revision).catch(async (error: unknown) => {
      if (!isReason(error, 'AlreadyExists')) throw error
      const found = await api.get(controllerRevisions, metadata.namespace, name)
      if (found.metadata.labels?.[JOB_UID] === metadata.uid && canonicalJson(found['data'] as never) === canonicalJson(JSON.parse(text) as never))
        return found
      throw new FlinkError('EXTERNAL_SYSTEM', `ControllerRevision ${name} is not of FlinkJob ${metadata.name}, and is waited for to go`, {}, error)
    })
    caches.seen(made, controllerRevisions)
    return name
  }

  return {
    store: (job, status) => mapped(status, text => create(job, text)),

    async load(job) {
      // Written by `store` only, or by a hand that edits it: what cannot be read is said by the caller.
      const stored = job.status as FlinkJobStatus | undefined
      if (stored === undefined) return undefined
      return mapped(stored, async name => {
        // A revision that is not seen yet is asked for.
        const { namespace } = job.metadata
        const revision = caches.get(controllerRevisions, namespace, name) ?? (await api.get(controllerRevisions, namespace, name))
        return JSON.stringify(revision['data'])
      })
    },

    async prune(job) {
      const stored = JSON.stringify(job.status ?? {})
      const { namespace, uid } = job.metadata
      for (const { metadata } of caches.labelled(controllerRevisions, JOB_UID, uid ?? '')) {
        if (metadata.namespace !== namespace || stored.includes(`"${metadata.name}"`)) continue
        await api
          .delete(controllerRevisions, namespace, metadata.name, metadata.uid === undefined ? {} : { uid: metadata.uid })
          .catch((error: unknown) => {
            if (!isReason(error, 'NotFound', 'Conflict')) throw error
          })
      }
    },
  }
}
