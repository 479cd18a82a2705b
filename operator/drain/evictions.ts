import type { Clock } from '../../runtime/common/clock.ts'
import { hex } from '../../runtime/common/ids.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { JobInfo, RestClient } from '../../runtime/rest/types.ts'
import { KIND as JOB_KIND } from '../api/flink-job.ts'
import { SESSION_KIND } from '../api/flink-session.ts'
import { CLUSTER_LABELS, MANAGED_BY, names, webAddress } from '../effects/kubernetes/objects.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { pods, secrets } from '../kube/resources.ts'

/**
 * Checkpoint, then allow the eviction (decision 0042). Who drains a node evicts its pods; each that goes costs its job what it has done since its last checkpoint. So each eviction is asked about here
 * first, and one of a JobManager or TaskManager waits for a checkpoint of the jobs that run there:
 *
 * 1. It goes when each of them has a checkpoint or savepoint that was completed less than FRESH_MS ago.
 * 2. Otherwise one is triggered, unless one is on its way, and the eviction is refused for now; who drains asks again, as `kubectl drain` does every five seconds.
 * 3. No eviction is held for longer than the deadline, and none for which no checkpoint can be had: jobs that do not run, or take none, a JobManager that does not answer. That is said in a warning.
 *
 * Replicas of the operator need to know nothing of each other: only when a pod was first asked for is remembered, by each of them.
 */
export const FRESH_MS = 30_000
const TRIGGER_BYTES = 16
const REMEMBERED = 10_000
const COMPONENTS: readonly (string | undefined)[] = ['jobmanager', 'taskmanager']

export interface EvictionRequest {
  readonly namespace: string
  /** Of the pod. */
  readonly name: string
  readonly dryRun: boolean
}

export interface Verdict {
  readonly isAllowed: boolean
  /** Why not, or not without a loss. */
  readonly message?: string
}

export interface EvictionsOptions {
  readonly api: Pick<ObjectApi, 'get'>
  readonly rest: (address: string, token: string) => RestClient
  readonly clock: Clock
  readonly random: Random
  readonly deadlineMs: number
}

export class Evictions {
  private readonly options: EvictionsOptions
  /** When a pod was first asked for, by its uid; the oldest first. */
  private readonly since = new Map<string, number>()

  constructor(options: EvictionsOptions) {
    this.options = options
  }

  async review(request: EvictionRequest): Promise<Verdict> {
    const pod = await this.find(request)
    const cluster = pod === undefined ? undefined : clusterOf(pod)
    if (pod === undefined || cluster === undefined) return { isAllowed: true }
    const heldMs = this.heldMs(pod.metadata.uid ?? '', request.dryRun)
    const { deadlineMs } = this.options
    if (heldMs >= deadlineMs) return allowedWithout(`none was completed within ${deadlineMs / 1000} s`)
    try {
      return await this.checkpointed(cluster, request)
    } catch (error) {
      return allowedWithout((error as Error).message)
    }
  }

  private async find({ namespace, name }: EvictionRequest): Promise<KubeObject | undefined> {
    try {
      return await this.options.api.get(pods, namespace, name)
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  private heldMs(uid: string, dryRun: boolean): number {
    const now = this.options.clock.monotonicMs()
    const first = this.since.get(uid)
    if (first !== undefined || dryRun) return now - (first ?? now)
    const [oldest] = this.since.keys()
    if (this.since.size >= REMEMBERED && oldest !== undefined) this.since.delete(oldest)
    this.since.set(uid, now)
    return 0
  }

  private async checkpointed(cluster: string, { namespace, dryRun }: EvictionRequest): Promise<Verdict> {
    const { api } = this.options
    const { data } = (await api.get(secrets, namespace, names.token(cluster))) as { readonly data?: { readonly token?: string } }
    const rest = this.options.rest(webAddress({ name: cluster, namespace }), Buffer.from(data?.token ?? '', 'base64').toString())
    const { jobs } = await rest.jobsOverview()
    const waits = await Promise.all(
      jobs.filter(({ state }) => state === 'RUNNING').map(async ({ jid }) => await this.isWaitedFor(rest, await rest.job(jid), dryRun)),
    )
    const waiting = waits.filter(name => name !== undefined)
    if (waiting.length === 0) return { isAllowed: true }
    return { isAllowed: false, message: `a checkpoint of ${waiting.sort().join(', ')} is waited for: ask again in a few seconds` }
  }

  /** Its name. */
  private async isWaitedFor(rest: RestClient, { jid, name, now }: JobInfo, dryRun: boolean): Promise<string | undefined> {
    const { counts, latest } = await rest.checkpointStatistics(jid)
    // Both times are of the JobManager's clock.
    const newest = Math.max(latest.completed?.latest_ack_timestamp ?? 0, latest.savepoint?.latest_ack_timestamp ?? 0)
    if (now - newest < FRESH_MS) return undefined
    if (counts.in_progress === 0 && !dryRun)
      await rest.triggerCheckpoint(jid, { checkpointType: 'CONFIGURED', triggerId: hex(this.options.random.bytes(TRIGGER_BYTES)) })
    return name
  }
}

/** Of which JobManager or TaskManager this is, if it is one that runs. */
function clusterOf({ metadata: { labels = {}, deletionTimestamp } }: KubeObject): string | undefined {
  if (deletionTimestamp !== undefined || !COMPONENTS.includes(labels['app.kubernetes.io/component'])) return undefined
  if (Object.entries(MANAGED_BY).some(([label, value]) => labels[label] !== value)) return undefined
  return labels[CLUSTER_LABELS[JOB_KIND]] ?? labels[CLUSTER_LABELS[SESSION_KIND]]
}

function allowedWithout(reason: string): Verdict {
  return { isAllowed: true, message: `evicted without a new checkpoint: ${reason}` }
}
