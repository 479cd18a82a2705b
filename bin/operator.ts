import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { type OperatorRequest, POD_NAMESPACE } from '../operator/cli/operator-command.ts'
import { serveEvictions } from '../operator/drain/eviction-server.ts'
import { Evictions } from '../operator/drain/evictions.ts'
import { createKubernetesExecutors } from '../operator/effects/kubernetes/kubernetes-executors.ts'
import { networkPolicySettings } from '../operator/effects/kubernetes/network-policy.ts'
import { KubeApi } from '../operator/kube/kube-api.ts'
import { inCluster, type KubeAuth, podNamespace, withToken } from '../operator/kube/kube-auth.ts'
import { LeaderElection } from '../operator/kube/leader-election.ts'
import { EventRecorder } from '../operator/manager/events.ts'
import { flinkJobController } from '../operator/manager/flink-job-controller.ts'
import { flinkSessionController } from '../operator/manager/flink-session-controller.ts'
import { flinkSnapshotController } from '../operator/manager/flink-snapshot-controller.ts'
import { Manager } from '../operator/manager/manager.ts'
import { OperatorMetrics } from '../operator/manager/metrics.ts'
import { serveProbes } from '../operator/manager/probe-server.ts'
import { catalogueLocations, createCatalogue } from '../runtime/checkpoint/catalogue.ts'
import { checkpointDirectory } from '../runtime/checkpoint/options.ts'
import { cliOptions } from '../runtime/cli/options.ts'
import { systemClock as clock } from '../runtime/common/clock.ts'
import { Configuration } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { hex } from '../runtime/common/ids.ts'
import type { Logger } from '../runtime/common/log.ts'
import { systemRandom as random } from '../runtime/common/random.ts'
import { restOptions } from '../runtime/rest/options.ts'
import { createProcessLog } from './environment.ts'
import { optionTables } from './option-tables.ts'
import { restOf } from './rest.ts'
import { storeOpener } from './stores.ts'

/** `millrace operator` in the real world. Answers the exit code: 1 when the lease was lost, for nothing may be gone on with then. */
export async function runOperator(request: OperatorRequest, interrupted: AbortSignal, env: NodeJS.ProcessEnv): Promise<number> {
  const log = createProcessLog('json', 'info')
  const auth = authOf(request, env)
  const { networkPolicies: policyFile } = request
  const policies = policyFile === undefined ? {} : { networkPolicies: networkPolicySettings(textOf(policyFile), policyFile) }
  const api = new KubeApi({ auth, clock, random })
  // The Lease and events do not wait behind what passes ask.
  const aside = new KubeApi({ auth, clock, random })
  const identity = `${hostname()}-${hex(random.bytes(4))}`
  const metrics = new OperatorMetrics(clock, ['FlinkJob', 'FlinkSession', 'FlinkSnapshot'])
  let manager: Manager | undefined
  const probes = await serveProbes({ ...request.probes, registry: metrics.registry, isReady: () => manager === undefined || manager.isSynced })
  const evictions = await answerEvictions(request, aside, log)
  log.info('the operator begins', { identity, namespaces: request.namespaces ?? 'all', probes: probes.port })

  const lead = async (leading: AbortSignal): Promise<void> => {
    // Passes that are under way must not act beside those of the next leader: nothing is waited for.
    leading.addEventListener('abort', () => {
      if (leading.reason !== 'lost') return
      log.error('the lease is lost: this operator ends at once', { identity })
      process.exit(1)
    })
    const configuration = Configuration.fromObject({})
    const open = storeOpener(configuration, log)
    const catalogue = (options: Readonly<Record<string, string>>) => {
      const of = configuration.with(options, 'file')
      return createCatalogue(catalogueLocations(of), uri => open(uri, of, checkpointDirectory.key, 'read'))
    }
    const executors = createKubernetesExecutors({
      api,
      settings: { image: request.image, hash: text => createHash('sha256').update(text).digest('hex') },
      clock,
      random,
      rest: (address, token) => restOf(address, token, configuration),
      catalogue,
      stopTimeoutMs: 60_000,
      ...policies,
      plannerDeadlineS: 600,
    })
    const events = new EventRecorder({ api: aside, clock, log, identity })
    manager = new Manager({
      api,
      clock,
      random,
      log,
      controllers: [
        flinkJobController({
          api,
          executors,
          optionTables,
          platform: 'kubernetes',
          rest: job => executors.restOf(job),
          clock,
          random,
          log,
          quietLookMs: 10_000,
        }),
        flinkSessionController({
          api,
          executors: executors.sessions,
          optionTables,
          platform: 'kubernetes',
          rest: session => executors.sessions.restOf(session),
          clock,
          log,
          quietLookMs: 10_000,
        }),
        flinkSnapshotController({
          api,
          catalogue: job => catalogue(job?.spec.flinkConfiguration ?? {}),
          rest: job => address => {
            if (job === undefined) throw new FlinkError('NOT_FOUND', 'a snapshot without a job has no JobManager')
            return executors.restOf(job)(address)
          },
          clock,
          random,
          log,
        }),
      ],
      ...(request.namespaces === undefined ? {} : { namespaces: request.namespaces }),
      labels: request.labels,
      observer: metrics,
      onChange: (type, before, after) => {
        events.observe(before, after)
        metrics.observe(type, before, after)
      },
    })
    metrics.attach(manager)
    await manager.run(leading)
    metrics.attach(undefined)
    await events.flushed()
  }

  try {
    if (request.leaseNamespace === undefined) {
      await lead(interrupted)
      return 0
    }
    const namespace = request.leaseNamespace === POD_NAMESPACE ? podNamespace() : request.leaseNamespace
    const election = new LeaderElection({ api: aside, namespace, name: request.leaseName, identity, clock, random, log })
    return (await election.run(lead, interrupted)) === 'lost' ? 1 : 0
  } finally {
    await probes.close()
    await evictions?.close()
    api.close()
    aside.close()
  }
}

/** Also while another one leads: the API server asks any of them. */
function answerEvictions({ evictions }: OperatorRequest, api: KubeApi, log: Logger) {
  if (evictions === undefined) return undefined
  // The API server waits for the answer.
  const hurried = Configuration.fromObject({ [cliOptions.timeout.key]: '3 s', [restOptions.retryMaxAttempts.key]: '1' })
  const { deadlineMs, ...server } = evictions
  const decider = new Evictions({ api, clock, random, deadlineMs, rest: (address, token) => restOf(address, token, hurried) })
  return serveEvictions({ ...server, decide: eviction => decider.review(eviction), log })
}

function authOf({ kube }: OperatorRequest, env: NodeJS.ProcessEnv): KubeAuth {
  if (kube === undefined) return inCluster(env)
  return withToken(
    kube.url,
    kube.tokenFile === undefined ? undefined : textOf(kube.tokenFile),
    kube.caFile === undefined ? undefined : textOf(kube.caFile),
  )
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new FlinkError('INVALID_CONFIGURATION', `${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`, {}, error)
  }
}
