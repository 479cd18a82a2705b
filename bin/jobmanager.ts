import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as haOptions from '../runtime/checkpoint/ha-options.ts'
import { createJobResultStore, type JobResultStore } from '../runtime/checkpoint/job-results.ts'
import type { StoreOpener } from '../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../runtime/common/clock.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { newId } from '../runtime/common/ids.ts'
import type { Logger } from '../runtime/common/log.ts'
import { withMaskedSecrets } from '../runtime/common/options.ts'
import { createOwnedFolder } from '../runtime/common/owned-folder.ts'
import { systemRandom } from '../runtime/common/random.ts'
import { enumeratorRegistry } from '../runtime/connectors/registry.ts'
import type { JobGraph } from '../runtime/graph/job-graph.ts'
import { planJson } from '../runtime/graph/plan-json.ts'
import { createFileArtifactStore } from '../runtime/jobmanager/artifact-store.ts'
import { JobManager } from '../runtime/jobmanager/job-manager.ts'
import { createJobStore, type JobStore } from '../runtime/jobmanager/job-store.ts'
import * as jobManagerOptions from '../runtime/jobmanager/options.ts'
import { JarStore } from '../runtime/rest/jar-store.ts'
import { restOptions } from '../runtime/rest/options.ts'
import { isLoopback } from '../runtime/rest/request-guard.ts'
import { createRestServer, type RestServer, type RestSettings } from '../runtime/rest/server.ts'
import { createTcpTransport } from '../runtime/rpc/tcp-transport.ts'
import { internalSockets, namingOption, restToken } from './environment.ts'
import { processMetrics } from './process-metrics.ts'
import { Planner } from './program-planner.ts'
import { storeOpener } from './stores.ts'
import { commit, version } from './version.ts'

/** The JobManager process: control plane, REST, planner. Also half of `-t local`. */
export interface JobManagerProcessOptions {
  readonly configuration: Configuration
  readonly token: string
  /** Bundles, uploads, planning. */
  readonly directory: string
  readonly log: Logger
  /** False under `-t local`, where nobody asks. */
  readonly rest: boolean
  /** The file its own log goes to, where it is known. */
  readonly logPath?: string
  /** Nothing more can be done here. */
  fatal(error: FlinkError): void
  /** REST asked for the end. */
  onShutDownRequest(reason: string): void
}

export interface JobManagerProcess {
  readonly gateway: JobManager
  readonly rpcHost: string
  readonly rpcPort: number
  /** `http://host:port`; empty without REST. */
  readonly webAddress: string
  /** `staying`: TaskManagers are not told to end, for another JobManager goes on with them. */
  close(reason: string, staying?: boolean): Promise<void>
}

export async function startJobManager(options: JobManagerProcessOptions): Promise<JobManagerProcess> {
  const { configuration, token, directory, log } = options
  const settings = restSettings(configuration)
  const rpcHost = configuration.get(jobManagerOptions.jobManagerRpcAddress)
  const webHost = isLoopback(settings.bindAddress) ? settings.bindAddress : rpcHost
  // Jobs do not outlive their JobManager, nor do their bundles.
  const artifactDirectory = createOwnedFolder(join(directory, 'artifacts'), 'jobmanager-')
  const openStore = storeOpener(configuration, log)
  const results = await openResultStore(configuration, openStore, log)
  const jobStore = await openJobStore(configuration, openStore, results, log)
  const gateway = new JobManager({
    clock: systemClock,
    random: systemRandom,
    log,
    transport: createTcpTransport({ clock: systemClock, log, sockets: internalSockets(configuration, log) }),
    rpc: { host: rpcHost, port: configuration.get(jobManagerOptions.jobManagerRpcPort), token },
    // Without a store: larger than that of every JobManager before it on this machine.
    generation: (await jobStore?.claimGeneration()) ?? Math.floor(systemClock.nowMs() / 1_000),
    enumerators: enumeratorRegistry,
    openStore,
    ...(jobStore === undefined ? {} : { jobStore }),
    ...(results === undefined ? {} : { results }),
    onFenced: error => options.fatal(error),
    artifacts: createFileArtifactStore(artifactDirectory, systemRandom),
    configuration: withMaskedSecrets(configuration.toObject()),
    loadBalanceMode: configuration.get(jobManagerOptions.loadBalanceModeOption),
    heartbeatIntervalMs: configuration.get(jobManagerOptions.heartbeatInterval),
    heartbeatTimeoutMs: configuration.get(jobManagerOptions.heartbeatTimeout),
    slotRequestTimeoutMs: configuration.get(jobManagerOptions.slotRequestTimeout),
    slotIdleTimeoutMs: configuration.get(jobManagerOptions.slotIdleTimeout),
    completedJobExpirationMs: configuration.get(jobManagerOptions.completedJobExpiration),
    exceptionHistorySize: configuration.get(jobManagerOptions.exceptionHistorySize),
    operationStoreDurationMs: configuration.get(restOptions.asyncStoreDuration),
  })
  const ownUploads = join(directory, 'uploads', newId(systemRandom))
  const uploads = configuration.get(restOptions.uploadDir) ?? ownUploads
  const planner = new Planner(configuration, directory, options.rest, log)
  let server: RestServer | undefined
  let restPort = settings.port
  const close = async (reason: string, staying = false) => {
    await planner.close()
    await gateway.shutDown(reason, staying)
    await server?.close()
    for (const own of [ownUploads, artifactDirectory]) await rm(own, { recursive: true, force: true })
  }
  try {
    // Recovered jobs first: who asks REST would be told that they are not known.
    const rpc = await namingOption(jobManagerOptions.jobManagerRpcPort.key, gateway.start())
    if (options.rest) {
      server = await createRestServer({
        gateway,
        planner,
        jars: new JarStore(uploads, systemRandom),
        // The gateway's graph is the JobGraph that the planner made.
        planOf: (graph, jobId) => planJson(jobId, graph as unknown as JobGraph),
        logs: {
          log: async () => (options.logPath === undefined ? undefined : readFile(options.logPath, 'utf8').catch(() => undefined)),
          stdout: async () => undefined,
        },
        processMetrics,
        clock: systemClock,
        random: systemRandom,
        log,
        version,
        revision: commit,
        clusterToken: token,
        onShutDown: () => options.onShutDownRequest('DELETE /cluster'),
        settings,
      })
      restPort = await server.listen()
    }
    const webAddress = options.rest ? `http://${urlHost(webHost)}:${restPort}` : ''
    if (options.rest) log.info('web interface is up', { address: webAddress })
    return { gateway, rpcHost, rpcPort: rpc.port, webAddress, close }
  } catch (error) {
    await close('the start failed')
    throw error
  }
}

/** Undefined = jobs end with this process. */
async function openJobStore(
  configuration: Configuration,
  openStore: StoreOpener,
  results: JobResultStore | undefined,
  log: Logger,
): Promise<JobStore | undefined> {
  if (configuration.get(haOptions.highAvailabilityType) === 'NONE') return undefined
  const { key } = haOptions.highAvailabilityStorageDir
  const uri = configuration.get(haOptions.highAvailabilityStorageDir)
  if (uri === undefined || results === undefined)
    throw new FlinkError(
      'INVALID_CONFIGURATION',
      `option ${haOptions.highAvailabilityType.key} needs ${key}, as file:///folder or s3://bucket/prefix`,
    )
  const clusterId = configuration.get(haOptions.highAvailabilityClusterId)
  const startId = configuration.get(haOptions.highAvailabilityStartId)
  return createJobStore(await openStore(uri, configuration, key), clusterId, { clock: systemClock, log, results, startId })
}

/** Undefined = it is not stored how jobs have ended. */
async function openResultStore(configuration: Configuration, openStore: StoreOpener, log: Logger): Promise<JobResultStore | undefined> {
  const uri = haOptions.jobResultLocation(configuration)
  const deleteOnCommit = configuration.get(haOptions.jobResultDeleteOnCommit)
  const { key } = haOptions.jobResultStoragePath
  if (uri !== undefined) return createJobResultStore(await openStore(uri, configuration, key), { clock: systemClock, log, deleteOnCommit })
  if (!deleteOnCommit && configuration.get(haOptions.highAvailabilityType) === 'NONE')
    throw new FlinkError(
      'INVALID_CONFIGURATION',
      `option ${haOptions.jobResultDeleteOnCommit.key}: false needs ${key}, as file:///folder, or high-availability`,
    )
  return undefined
}

function restSettings(configuration: Configuration): RestSettings {
  return {
    bindAddress: configuration.get(restOptions.bindAddress),
    port: configuration.get(restOptions.port),
    token: restToken(configuration),
    requireToken: configuration.get(restOptions.requireToken),
    maxContentLength: configuration.get(restOptions.maxContentLength),
    submitEnabled: configuration.get(restOptions.submitEnabled),
    cancelEnabled: configuration.get(restOptions.cancelEnabled),
    refreshIntervalMs: configuration.get(restOptions.refreshInterval),
    exceptionHistorySize: configuration.get(jobManagerOptions.exceptionHistorySize),
    allowOrigin: configuration.get(restOptions.allowOrigin),
  }
}

function urlHost(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}
