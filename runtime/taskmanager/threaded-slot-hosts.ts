import { availableParallelism, freemem, totalmem } from 'node:os'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { S3Settings } from '../checkpoint/storage/s3-options.ts'
import { deserializeError, FlinkError, type SerializedError } from '../common/errors.ts'
import { readFileTail } from '../common/file-tail.ts'
import type { Logger } from '../common/log.ts'
import type { ArtifactRef, SlotDeployment } from '../graph/deployment.ts'
import { createDoorbellBuffer } from '../network/doorbell.ts'
import { PAGE_SIZE } from '../network/frame.ts'
import { PagePool, pageMetrics } from '../network/page-pool.ts'
import type { ResultSize } from '../network/task-result.ts'
import type { HardwareDescription } from '../rpc/job-manager-gateway.ts'
import { ArtifactCache } from './artifact-cache.ts'
import { DataPlane } from './data-plane.ts'
import { heapHeadroomMb } from './heap-guard.ts'
import type { IoCommand, IoReply, IoThreadData } from './io-thread.ts'
import type { SlotEvent, SlotHost, SlotWiring } from './slot-host.ts'
import type { SlotHostFactory } from './slot-host-factory.ts'
import type { SlotWorkerData } from './slot-worker.ts'
import { WorkerSlotHost } from './worker-slot-host.ts'

/**
 * Slots as worker threads, the I/O worker beside them, and the memory they share: all that a TaskManager process owns besides its
 * control connection. A thread serves what is deployed of one job into one slot and ends with it; in a session one spare is kept warm, so that
 * the next deployment does not wait for a thread to start.
 */
export interface ThreadedSlotHostsOptions {
  readonly taskManagerId: string
  readonly slotCount: number
  readonly dataHost: string
  /** 0 = any free port. */
  readonly dataPort: number
  readonly token: string
  /** Folder of this process's certificate; undefined = plain sockets between TaskManagers. */
  readonly certificates: string | undefined
  readonly networkPages: number
  readonly pagesPerChannel: number
  /** More for each while half of the pages are free. */
  readonly floatingPages: number
  readonly recordSizeMax: number
  readonly requestTimeoutMs: number
  /** Memory for blocking results, and folders of this process for what finds no room in it. */
  readonly resultMemoryBytes: number
  readonly resultDirectories: readonly string[]
  /** Heap limit of each slot's thread. */
  readonly slotHeapMb: number
  /** Bundles, by digest. */
  readonly artifactDirectory: string
  /** What jobs print; undefined = the process's own streams. */
  readonly stdoutPath: string | undefined
  readonly stderrPath: string | undefined
  /** To the process's own streams as well as to the files. */
  readonly copiesOutput: boolean
  /** For connectors that write to S3. */
  readonly s3: S3Settings
  /** Entry files of the two kinds of threads; bin/ knows where they are. */
  readonly slotEntry: URL
  readonly ioEntry: URL
  /** False under `-t local`: after its one job's slots no thread is needed any more. */
  readonly servesManyJobs: boolean
  readonly log: Logger
  fetchArtifact(ref: ArtifactRef): Promise<Uint8Array>
  /** The I/O worker died: the process cannot go on. */
  fatal(error: FlinkError): void
}

const YOUNG_GENERATION_MB = 32

export async function startThreadedSlotHosts(options: ThreadedSlotHostsOptions): Promise<ThreadedSlotHosts> {
  const doorbells = Array.from({ length: options.slotCount + 1 }, createDoorbellBuffer)
  const pool = new PagePool(options.networkPages)
  const data: IoThreadData = {
    taskManagerId: options.taskManagerId,
    doorbells,
    dataHost: options.dataHost,
    dataPort: options.dataPort,
    token: options.token,
    certificates: options.certificates,
    requestTimeoutMs: options.requestTimeoutMs,
    stdoutPath: options.stdoutPath,
    stderrPath: options.stderrPath,
    copiesOutput: options.copiesOutput,
    s3: options.s3,
    pageBudget: pool.budget.buffer,
    resultMemoryBytes: options.resultMemoryBytes,
    resultDirectories: options.resultDirectories,
  }
  const io = new Worker(options.ioEntry, { workerData: data, name: 'io' })
  const dataPort = await new Promise<number>((resolve, reject) => {
    io.once('error', reject)
    io.once('exit', code => reject(new FlinkError('INTERNAL', `the I/O worker ended with code ${code} while starting`)))
    io.once('message', (reply: IoReply) => {
      if (reply.kind === 'listening') resolve(reply.dataPort)
      else if (reply.kind === 'failed') reject(deserializeError(reply.error))
      else reject(new FlinkError('INTERNAL', `the I/O worker began with ${reply.kind}`))
    })
  })
  io.removeAllListeners('error')
  io.removeAllListeners('exit')
  return new ThreadedSlotHosts(options, io, dataPort, doorbells, pool)
}

export class ThreadedSlotHosts implements SlotHostFactory {
  readonly dataHost: string
  readonly dataPort: number
  private readonly options: ThreadedSlotHostsOptions
  private readonly io: Worker
  private readonly doorbells: readonly SharedArrayBuffer[]
  private readonly pool: PagePool
  private readonly plane: DataPlane
  private spare: Worker | undefined
  private readonly artifacts: ArtifactCache
  /** Results that are being finished, by execution. */
  private readonly finishing = new Map<string, PromiseWithResolvers<ResultSize>>()
  private closed = false
  private ioClosed: () => void = () => {}

  constructor(options: ThreadedSlotHostsOptions, io: Worker, dataPort: number, doorbells: readonly SharedArrayBuffer[], pool: PagePool) {
    this.options = options
    this.dataHost = options.dataHost
    this.dataPort = dataPort
    this.io = io
    this.doorbells = doorbells
    this.pool = pool
    this.artifacts = new ArtifactCache({
      directory: options.artifactDirectory,
      // More than can be on their way from being fetched to being held.
      keptMax: Math.max(16, 2 * options.slotCount),
      log: options.log,
      fetch: ref => options.fetchArtifact(ref),
    })
    this.plane = new DataPlane(
      this.pool,
      {
        serve: (scope, medium) => this.toIo({ kind: 'serve', scope, medium }),
        fetch: (scope, peer, medium) => this.toIo({ kind: 'fetch', scope, peer, medium }),
        store: (scope, executionId, medium) => this.toIo({ kind: 'store', scope, executionId, medium }),
        feed: (scope, medium) => this.toIo({ kind: 'feed', scope, medium }),
        release: (scope, orderly) => this.toIo({ kind: 'release', scope, orderly }),
      },
      options.pagesPerChannel,
      options.floatingPages,
    )
    io.on('message', (reply: IoReply) => this.fromIo(reply))
    io.on('error', error => this.ioDied(error))
    io.on('exit', code => this.ioDied(new Error(`exit code ${code}`)))
    this.keepSpare()
  }

  get hardware(): HardwareDescription {
    return {
      cpuCores: availableParallelism(),
      physicalMemoryBytes: totalmem(),
      freeMemoryBytes: freemem(),
      managedMemoryBytes: 0,
      networkMemoryBytes: this.options.networkPages * PAGE_SIZE,
    }
  }

  metrics(): Readonly<Record<string, number>> {
    return pageMetrics(this.pool.budget)
  }

  create(slotIndex: number, onEvent: (event: SlotEvent) => void): SlotHost {
    const { port1: slotEnd, port2: ioEnd } = new MessageChannel()
    this.toIo({ kind: 'attach', slotIndex, port: ioEnd }, [ioEnd])
    const worker = this.spare ?? this.startSlotThread()
    this.spare = undefined
    const host = new WorkerSlotHost({
      worker,
      slotIndex,
      ioPort: slotEnd,
      onEvent,
      artifactPath: digest => this.artifacts.path(digest),
      heapLimitMb: this.options.slotHeapMb,
    })
    // Not now: starting a thread would take the time that the deployment has just saved.
    if (this.options.servesManyJobs) setImmediate(() => this.keepSpare())
    return host
  }

  async wire(deployment: SlotDeployment): Promise<SlotWiring> {
    const channels = await this.plane.wire(deployment)
    this.artifacts.hold(deploymentKey(deployment), deployment.artifact.digest)
    return { channels, io: undefined }
  }

  release(deployment: SlotDeployment, orderly: boolean): void {
    this.artifacts.release(deploymentKey(deployment))
    this.plane.release(deployment, orderly)
  }

  finishResult(executionId: string): Promise<ResultSize> {
    const finishing = Promise.withResolvers<ResultSize>()
    this.finishing.set(executionId, finishing)
    this.toIo({ kind: 'finish-result', executionId })
    return finishing.promise
  }

  releaseResults(executionIds: readonly string[]): void {
    this.toIo({ kind: 'release-results', executionIds })
  }

  ensureArtifact(ref: ArtifactRef): Promise<string> {
    return this.artifacts.ensure(ref)
  }

  async readStdout(maxBytes: number): Promise<string> {
    const { stdoutPath } = this.options
    return (stdoutPath === undefined ? undefined : await readFileTail(stdoutPath, maxBytes)) ?? ''
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    const done = new Promise<void>(resolve => {
      this.ioClosed = resolve
    })
    this.io.postMessage({ kind: 'close' } satisfies IoCommand)
    await done
    await Promise.all([this.io.terminate(), this.spare?.terminate(), this.artifacts.close()])
  }

  private keepSpare(): void {
    if (this.closed || this.spare !== undefined) return
    const spare = this.startSlotThread()
    this.spare = spare
    // A spare that dies is nobody's failure yet: the next one that is needed is started then, and says why.
    const drop = () => {
      if (this.spare === spare) this.spare = undefined
    }
    spare.once('error', drop)
    spare.once('exit', drop)
  }

  private startSlotThread(): Worker {
    const { recordSizeMax, slotHeapMb } = this.options
    const data: SlotWorkerData = {
      doorbells: this.doorbells,
      pageBudget: this.pool.budget.buffer,
      recordSizeMax,
      heapLimitMb: slotHeapMb,
    }
    return new Worker(this.options.slotEntry, {
      workerData: data,
      name: 'slot',
      // The slot ends itself at its limit; V8 is to have room beyond it (heap-guard.ts). At its own limit V8 grants 16 MB more in which to end the thread. Were the young generation as large as it is by default, what
      // survives of it in one collection would not fit, and V8 would abort the process with all of its slots.
      resourceLimits: { maxOldGenerationSizeMb: slotHeapMb + heapHeadroomMb(slotHeapMb), maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    })
  }

  private toIo(command: IoCommand, transfer: import('node:worker_threads').Transferable[] = []): void {
    if (!this.closed) this.io.postMessage(command, transfer)
  }

  private fromIo(reply: IoReply): void {
    switch (reply.kind) {
      case 'released':
        return this.plane.onExchangeReleased(reply.scope)
      case 'log':
        return this.options.log[reply.level](reply.message, reply.fields)
      case 'failed':
        return this.ioFailed(reply.error)
      case 'result-finished':
        return this.takeFinishing(reply.executionId)?.resolve(reply.size)
      case 'result-failed':
        return this.takeFinishing(reply.executionId)?.reject(deserializeError(reply.error))
      case 'closed':
        return this.ioClosed()
      case 'listening':
        return
    }
  }

  private takeFinishing(executionId: string): PromiseWithResolvers<ResultSize> | undefined {
    const finishing = this.finishing.get(executionId)
    this.finishing.delete(executionId)
    return finishing
  }

  private ioFailed(error: SerializedError): void {
    this.options.fatal(new FlinkError('INTERNAL', 'the I/O worker failed', {}, deserializeError(error)))
  }

  private ioDied(error: unknown): void {
    this.ioClosed()
    if (!this.closed) this.options.fatal(new FlinkError('INTERNAL', 'the I/O worker died', {}, error))
  }
}

function deploymentKey({ allocationId, region, attempt }: SlotDeployment): string {
  return `${allocationId}/${region}/${attempt}`
}
