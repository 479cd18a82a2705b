import { rm } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { localBackupDirectories } from '../runtime/checkpoint/options.ts'
import { s3SettingsOf } from '../runtime/checkpoint/storage/s3-options.ts'
import { systemClock } from '../runtime/common/clock.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { readFileTail } from '../runtime/common/file-tail.ts'
import { hex } from '../runtime/common/ids.ts'
import type { Logger } from '../runtime/common/log.ts'
import { processOptions } from '../runtime/common/options.ts'
import { createOwnedFolder } from '../runtime/common/owned-folder.ts'
import { systemRandom } from '../runtime/common/random.ts'
import {
  buffersPerChannel,
  exchangeRequestTimeout,
  floatingBuffers,
  networkMemoryFraction,
  networkMemoryMax,
  networkMemoryMin,
  networkPageCount,
  recordSizeMax,
  resultMemorySize,
} from '../runtime/network/options.ts'
import { createTcpTransport } from '../runtime/rpc/tcp-transport.ts'
import { copyFilesIn } from '../runtime/taskmanager/copy-files.ts'
import { TaskExecutor } from '../runtime/taskmanager/task-executor.ts'
import * as taskManagerOptions from '../runtime/taskmanager/task-executor-options.ts'
import { startThreadedSlotHosts } from '../runtime/taskmanager/threaded-slot-hosts.ts'
import { entryUrl } from './entries.ts'
import { internalCertificates, internalSockets, namingOption } from './environment.ts'
import { processMetrics } from './process-metrics.ts'
import { storeOpener } from './stores.ts'

/** The TaskManager process: control connection and slots here, everything that touches rows in threads. Also half of `-t local`. */
export interface TaskManagerProcessOptions {
  readonly configuration: Configuration
  readonly token: string
  readonly jobManager: { readonly host: string; readonly port: number }
  readonly slotCount: number
  /** Bundles of jobs, and what they unpack to. */
  readonly directory: string
  /** Folder for the files of what jobs print; undefined = this process's own streams. */
  readonly outputDirectory: string | undefined
  /** What jobs print is seen on this process's own streams as well. */
  readonly copiesOutput: boolean
  /** Folder of the file that this process's stderr goes to, where it is known. */
  readonly logDirectory?: string
  readonly log: Logger
  /** False under `-t local`: it ends with its one job. */
  readonly servesManyJobs: boolean
  /** Nothing more can be done here. */
  fatal(error: FlinkError): void
  onShutDownRequest(reason: string): void
}

export interface TaskManagerProcess {
  readonly id: string
  readonly dataPort: number
  isRegistered(): boolean
  close(): Promise<void>
}

export async function startTaskManager(options: TaskManagerProcessOptions): Promise<TaskManagerProcess> {
  const { configuration, token, log, slotCount } = options
  const host = configuration.get(processOptions.taskManagerHost)
  const id = configuration.get(processOptions.taskManagerId) ?? `${host}-${hex(systemRandom.bytes(3))}`
  const artifactDirectory = createOwnedFolder(join(options.directory, 'artifacts'), 'taskmanager-')
  const resultDirectories = resultFolders(configuration.get(processOptions.temporaryDirectories) ?? join(options.directory, 'tmp'))
  const copyParents = configuration.get(localBackupDirectories) ?? [join(options.directory, 'local-state')]
  const copyDirectories = copyParents.map(parent => createOwnedFolder(parent, 'taskmanager-'))
  const heapSize = configuration.get(processOptions.taskHeapSize) ?? totalmem() / 2
  const hosts = await namingOption(
    processOptions.taskManagerDataPort.key,
    startThreadedSlotHosts({
      taskManagerId: id,
      slotCount,
      dataHost: host,
      dataPort: configuration.get(processOptions.taskManagerDataPort),
      token,
      certificates: internalCertificates(configuration),
      networkPages: networkPageCount(
        undefined,
        configuration.get(networkMemoryFraction),
        configuration.get(networkMemoryMin),
        configuration.get(networkMemoryMax),
      ),
      pagesPerChannel: configuration.get(buffersPerChannel),
      floatingPages: configuration.get(floatingBuffers),
      recordSizeMax: configuration.get(recordSizeMax),
      requestTimeoutMs: configuration.get(exchangeRequestTimeout),
      resultMemoryBytes: configuration.get(resultMemorySize),
      resultDirectories,
      slotHeapMb: Math.max(64, Math.floor(heapSize / slotCount / 2 ** 20)),
      artifactDirectory,
      stdoutPath: options.outputDirectory === undefined ? undefined : join(options.outputDirectory, `${id}.out`),
      stderrPath: options.outputDirectory === undefined ? undefined : join(options.outputDirectory, `${id}.err`),
      copiesOutput: options.copiesOutput,
      s3: s3SettingsOf(configuration),
      servesManyJobs: options.servesManyJobs,
      slotEntry: entryUrl('slot'),
      ioEntry: entryUrl('io-worker'),
      log,
      fetchArtifact: ref => executor.fetchArtifact(ref),
      fatal: options.fatal,
    }),
  )
  const executor: TaskExecutor = new TaskExecutor({
    id,
    host,
    slotCount,
    jobManager: { ...options.jobManager, token },
    transport: createTcpTransport({ clock: systemClock, log, sockets: internalSockets(configuration, log) }),
    clock: systemClock,
    random: systemRandom,
    log,
    hosts,
    openStore: storeOpener(configuration, log),
    copyFiles: copyFilesIn(copyDirectories),
    registrationTimeoutMs: configuration.get(taskManagerOptions.registrationTimeout),
    cancellationIntervalMs: configuration.get(taskManagerOptions.taskCancellationInterval),
    cancellationTimeoutMs: configuration.get(taskManagerOptions.taskCancellationTimeout),
    fatal: options.fatal,
    onShutDownRequest: options.onShutDownRequest,
    processMetrics,
    readLog: async maxBytes => (options.logDirectory === undefined ? undefined : readFileTail(join(options.logDirectory, `${id}.log`), maxBytes)),
  })
  executor.start()
  log.info('taskmanager started', { taskManagerId: id, slots: slotCount, cpuCores: availableParallelism(), dataPort: hosts.dataPort })
  const close = async () => {
    await executor.close()
    await hosts.close()
    // Fetched, or made, again when it is needed again.
    for (const own of [artifactDirectory, ...resultDirectories, ...copyDirectories]) await rm(own, { recursive: true, force: true })
  }
  let closing: Promise<void> | undefined
  return {
    id,
    dataPort: hosts.dataPort,
    isRegistered: () => executor.isRegistered,
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

/** One of our own in each of `io.tmp.dirs`. */
function resultFolders(parents: string): string[] {
  return parents.split(/[,:]/).flatMap(parent => {
    const path = parent.trim()
    if (path === '') return []
    try {
      return [createOwnedFolder(path, 'millrace-results-')]
    } catch (error) {
      const { key } = processOptions.temporaryDirectories
      throw new FlinkError('INVALID_CONFIGURATION', `option ${key}: no folder can be made in ${path}: ${(error as Error).message}`, {}, error)
    }
  })
}
