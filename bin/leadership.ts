import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { KubeApi } from '../operator/kube/kube-api.ts'
import { inCluster, type KubeAuth, podNamespace, withToken } from '../operator/kube/kube-auth.ts'
import { LeaderElection } from '../operator/kube/leader-election.ts'
import * as haOptions from '../runtime/checkpoint/ha-options.ts'
import { systemClock } from '../runtime/common/clock.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { hex } from '../runtime/common/ids.ts'
import type { Logger } from '../runtime/common/log.ts'
import { systemRandom } from '../runtime/common/random.ts'

/**
 * JobManagers that stand by for each other (`high-availability.type: kubernetes`): one leads and listens, the others wait for its Lease. A Lease elects, it does not fence: what one that has lost it
 * still does is refused for its generation, by TaskManagers and by the store (decision 0015). So it ends at once: nobody's job is cancelled by it.
 */
export function hasStandby(configuration: Configuration): boolean {
  return configuration.get(haOptions.highAvailabilityType) === 'kubernetes'
}

export interface LeadingOptions {
  readonly configuration: Configuration
  readonly log: Logger
  readonly interrupted: AbortSignal
  /** Answers the exit code. */
  readonly lead: () => Promise<number>
}

/** Waits until it is this process's turn. Answers the exit code; 0 when it was never. */
export async function whileLeading({ configuration, log, interrupted, lead }: LeadingOptions): Promise<number> {
  const [clock, random] = [systemClock, systemRandom]
  const api = new KubeApi({ auth: authOf(configuration), clock, random })
  const identity = `${hostname()}-${hex(random.bytes(4))}`
  const name = `${configuration.get(haOptions.highAvailabilityClusterId)}-leader`
  const { leaseDuration, renewDeadline, retryPeriod } = haOptions.leaderElection
  const [leaseDurationMs, renewDeadlineMs] = [configuration.get(leaseDuration), configuration.get(renewDeadline)]
  if (renewDeadlineMs >= leaseDurationMs)
    throw new FlinkError(
      'INVALID_CONFIGURATION',
      `option ${renewDeadline.key} (${renewDeadlineMs} ms) must be shorter than ${leaseDuration.key} (${leaseDurationMs} ms)`,
    )
  const namespace = configuration.get(haOptions.kubernetes.namespace) ?? podNamespace()
  const election = new LeaderElection({
    ...{ api, namespace, name, identity, clock, random, log, leaseDurationMs, renewDeadlineMs },
    retryPeriodMs: configuration.get(retryPeriod),
  })
  log.info('standing by', { lease: name, identity })
  let code = 0
  try {
    await election.run(async leading => {
      leading.addEventListener('abort', () => {
        if (leading.reason !== 'lost') return
        log.error('the lease is lost: this jobmanager ends at once', { lease: name, identity })
        process.exit(1)
      })
      code = await lead()
    }, interrupted)
    return code
  } finally {
    api.close()
  }
}

function authOf(configuration: Configuration): KubeAuth {
  const { apiServer, tokenFile, certificateAuthority } = haOptions.kubernetes
  const url = configuration.get(apiServer)
  if (url === undefined) return inCluster(process.env)
  return withToken(url, fileOf(configuration, tokenFile), fileOf(configuration, certificateAuthority))
}

function fileOf(configuration: Configuration, option: typeof haOptions.kubernetes.tokenFile): string | undefined {
  const path = configuration.get(option)
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new FlinkError('INVALID_CONFIGURATION', `option ${option.key}: ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`, {}, error)
  }
}
