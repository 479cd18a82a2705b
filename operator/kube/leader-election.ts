import { type Clock, sleep } from '../../runtime/common/clock.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import { isReason, KubeError, type KubeObject, type ObjectApi } from './object-api.ts'
import { leases } from './resources.ts'

/**
 * One of several operators leads: the one whose name stands in a Lease and who renews it, in client-go's manner. Clocks of machines are never compared: a lease of somebody
 * else has run out when it was not seen to change for its duration, by one's own monotonic clock. Who could not renew within `renewDeadline`, which is shorter, has lost
 * it before anybody else takes it. A Conflict is a lease that somebody else was faster with; an unknown outcome is found out by reading.
 */
export interface LeaderElectionOptions {
  readonly api: ObjectApi
  readonly namespace: string
  readonly name: string
  /** Of this process, and of no other. */
  readonly identity: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly leaseDurationMs?: number
  readonly renewDeadlineMs?: number
  readonly retryPeriodMs?: number
}

const LEASE_DURATION_MS = 15_000
const RENEW_DEADLINE_MS = 10_000
const RETRY_PERIOD_MS = 2_000
const JITTER = 0.2

interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

export class LeaderElection {
  private readonly options: LeaderElectionOptions
  private observed: { readonly version: string | undefined; readonly sinceMs: number } | undefined

  constructor(options: LeaderElectionOptions) {
    this.options = options
  }

  /**
   * Waits for the lease, then runs `lead` until it ends, `signal` says so, or the lease is lost: its signal tells. Answers how it ended; the lease is given back, unless it was lost.
   */
  async run(lead: (leading: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<'ended' | 'lost'> {
    if (!(await this.acquire(signal))) return 'ended'
    this.options.log.info('leading', { lease: this.options.name, identity: this.options.identity })
    const leading = new AbortController()
    const stop = () => leading.abort()
    signal.addEventListener('abort', stop)
    const renewing = this.renew(leading)
    try {
      await lead(leading.signal)
    } finally {
      signal.removeEventListener('abort', stop)
      leading.abort()
    }
    if ((await renewing) === 'lost') {
      this.options.log.error('the lease is lost', { lease: this.options.name })
      return 'lost'
    }
    await this.release()
    return 'ended'
  }

  private async acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.attempt()) return true
      await this.pause(signal)
    }
    return false
  }

  private async renew(leading: AbortController): Promise<'lost' | 'stopped'> {
    const { clock, renewDeadlineMs = RENEW_DEADLINE_MS } = this.options
    // Also when a call of renewal hangs: nobody leads past it.
    let deadline = clock.schedule(renewDeadlineMs, () => leading.abort('lost'))
    try {
      for (;;) {
        await this.pause(leading.signal)
        if (leading.signal.aborted) return leading.signal.reason === 'lost' ? 'lost' : 'stopped'
        // One that hangs is not waited for past the deadline.
        const isRenewed = await Promise.race([this.attempt(), aborted(leading.signal)])
        if (!isRenewed || leading.signal.aborted) continue
        deadline.cancel()
        deadline = clock.schedule(renewDeadlineMs, () => leading.abort('lost'))
      }
    } finally {
      deadline.cancel()
    }
  }

  private pause(signal: AbortSignal): Promise<void> {
    const { clock, random, retryPeriodMs = RETRY_PERIOD_MS } = this.options
    return sleep(clock, retryPeriodMs * (1 + JITTER * random.next()), signal).catch(() => {})
  }

  /** Whether the lease is ours now. */
  private async attempt(): Promise<boolean> {
    const { api, namespace, name, log } = this.options
    try {
      const lease = await api.get(leases, namespace, name).catch((error: unknown) => {
        if (isReason(error, 'NotFound')) return undefined
        throw error
      })
      if (lease === undefined) {
        await api.create(this.leaseOf({ leaseTransitions: 0 }, undefined))
        return true
      }
      if (!this.isFree(lease)) return false
      await api.apply(this.leaseOf(lease.spec ?? {}, lease.metadata.resourceVersion), FIELD_MANAGER)
      return true
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      if (!isReason(error, 'Conflict', 'AlreadyExists')) log.warn('the lease could not be renewed', { lease: name, error: error.message })
      return false
    }
  }

  private isFree({ spec = {}, metadata }: KubeObject): boolean {
    const { holderIdentity = '', leaseDurationSeconds = 0 } = spec as LeaseSpec
    const nowMs = this.options.clock.monotonicMs()
    if (this.observed?.version !== metadata.resourceVersion) this.observed = { version: metadata.resourceVersion, sinceMs: nowMs }
    if (holderIdentity === '' || holderIdentity === this.options.identity) return true
    return nowMs - (this.observed?.sinceMs ?? nowMs) >= leaseDurationSeconds * 1_000
  }

  private leaseOf(before: LeaseSpec, resourceVersion: string | undefined): KubeObject {
    const { namespace, name, identity, clock, leaseDurationMs = LEASE_DURATION_MS } = this.options
    const now = microTime(clock.nowMs())
    const isOurs = before.holderIdentity === identity
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1_000),
      acquireTime: isOurs && before.acquireTime !== undefined ? before.acquireTime : now,
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + (isOurs || before.holderIdentity === undefined ? 0 : 1),
    }
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
      spec,
    }
  }

  /** The next one need not wait. Where that fails it has to. */
  private async release(): Promise<void> {
    const { api, namespace, name, identity } = this.options
    try {
      const lease = await api.get(leases, namespace, name)
      if ((lease.spec as LeaseSpec | undefined)?.holderIdentity !== identity) return
      const free = this.leaseOf(lease.spec ?? {}, lease.metadata.resourceVersion)
      await api.apply({ ...free, spec: { ...(free.spec as LeaseSpec), holderIdentity: '', leaseDurationSeconds: 1 } }, FIELD_MANAGER)
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      this.options.log.warn('the lease could not be given back', { lease: name, error: error.message })
    }
  }
}

function aborted(signal: AbortSignal): Promise<false> {
  return new Promise(resolve => {
    if (signal.aborted) resolve(false)
    else signal.addEventListener('abort', () => resolve(false), { once: true })
  })
}

const FIELD_MANAGER = 'millrace-leader'

/** As metav1.MicroTime is written: with six digits, which its parser insists on. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.(\d{3})Z$/, '.$1000Z')
}
