import { dirname, join, resolve } from 'node:path'
import { type Clock, sleep } from '../../runtime/common/clock.ts'
import type { OptionTable } from '../../runtime/common/config.ts'
import { errorCodes, FlinkError } from '../../runtime/common/errors.ts'
import { newId } from '../../runtime/common/ids.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { API_VERSION, type FlinkJob, KIND } from '../api/flink-job.ts'
import { createLocalExecutor, type LocalExecutorOptions, type Programs } from '../effects/local-executor.ts'
import { createFileStore } from '../effects/object-store.ts'
import { holdDirectory } from '../effects/up-directory.ts'
import { reconcile } from '../job/controller.ts'
import { isGloballyTerminal } from '../job/input.ts'
import { displayName } from '../validation/problems.ts'
import { JobOutput } from './job-output.ts'
import { type LoadedManifest, loadManifest, ManifestError, watchManifest } from './manifest-file.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'
import type { UpRequest } from './up-command.ts'
import { openSnapshots, type UpSnapshots } from './up-snapshots.ts'

/**
 * `millrace up job.yaml`: the controller's loop over one FlinkJob with the local executor, in front of a person.
 *
 * 1. The manifest becomes an object in `.millrace/up/<namespace>/<name>/`, which this process holds.
 * 2. Passes of the controller until the job has ended and its processes with it.
 * 3. Meanwhile what the job prints goes to stdout, every change of state to stderr, and an edited manifest is refused.
 * 4. Ctrl-C marks the object as deleted: the same loop cancels and ends everything in order.
 */
export interface UpParts {
  /** MILLRACE_DIR */
  readonly directory: string
  readonly launcher: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly pid: number
  readonly optionTables: readonly OptionTable[]
  readonly isConfigured: (key: string) => boolean
  readonly catalogue: LocalExecutorOptions['catalogue']
  readonly programs: (folder: string, fileName: string, scriptLine: number | undefined) => Programs
  /** `entries` are options of the manifest: a token, deadlines. */
  readonly rest: (address: string, entries: Readonly<Record<string, string>>) => RestClient
  readonly terminal: Terminal
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly interrupted: AbortSignal
}

const MANIFEST_LOOK_MS = 1_000
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 30_000
const FAILED_PASSES_MAX = 30
const FAILED_PASS_PAUSE_MS = 1_000
const INTERRUPTED_EXIT_CODE = 130

/** Answers the exit code: 0 = FINISHED, 1 = anything else that ended it, 130 = it was asked to stop. */
export async function up(request: UpRequest, parts: UpParts): Promise<number> {
  const { terminal } = parts
  const extraArgs = request.once ? ['--once'] : []
  let manifest: LoadedManifest
  try {
    manifest = await loadManifest(request.manifestPath, parts.optionTables, extraArgs)
  } catch (error) {
    if (error instanceof ManifestError) for (const problem of error.problems) terminal.say(problem)
    else if (error instanceof FlinkError) terminal.say(error.message)
    else throw error
    return 1
  }
  const { metadata } = manifest.job
  const label = displayName(metadata)
  const progress = new Progress(terminal, parts.clock, label)
  const note = (text: string) => progress.note(text)
  const held = await holdDirectory(
    join(resolve(parts.directory), 'up', metadata.namespace, metadata.name),
    label,
    parts.clock,
    parts.pid,
    note,
  ).catch((error: unknown) => {
    if (!(error instanceof FlinkError)) throw error
    terminal.say(error.message)
  })
  if (held === undefined) return 1
  const store = createFileStore(held.objectPath)
  const rest = (address: string) => parts.rest(address, manifest.job.spec.flinkConfiguration)
  const executor = createLocalExecutor({
    directory: held.clusterDirectory,
    jobName: metadata.name,
    launcher: parts.launcher,
    env: parts.env,
    clock: parts.clock,
    rest,
    programs: parts.programs(dirname(resolve(request.manifestPath)), request.manifestPath, manifest.scriptLine),
    catalogue: parts.catalogue,
    isConfigured: parts.isConfigured,
    note,
    startTimeoutMs: START_TIMEOUT_MS,
    stopTimeoutMs: STOP_TIMEOUT_MS,
  })
  const output = new JobOutput(terminal, parts.clock, () => executor.outputs())
  try {
    await store.create(objectOf(manifest, parts))
    output.start()
    const snapshots = await openSnapshots({ ...parts, folder: held.snapshotsDirectory, rest })
    const looks = watchManifest(request.manifestPath, manifest, parts.optionTables, extraArgs)
    const ended = await loop({ ...parts, rest, store, executor, snapshots }, progress, output, looks)
    await output.stop()
    return outcome(ended, progress)
  } finally {
    await executor.close()
    await output.stop()
    held.release()
  }
}

function objectOf(manifest: LoadedManifest, { random }: UpParts): FlinkJob {
  const { name, namespace, labels, annotations } = manifest.job.metadata
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      generation: 1,
      resourceVersion: '1',
      uid: newId(random),
    },
    spec: manifest.job.spec,
  }
}

type LoopParts = Omit<UpParts, 'rest'> & {
  readonly rest: (address: string) => RestClient
  readonly store: ReturnType<typeof createFileStore>
  readonly executor: ReturnType<typeof createLocalExecutor>
  readonly snapshots: UpSnapshots
}

async function loop(parts: LoopParts, progress: Progress, output: JobOutput, lookAtManifest: ReturnType<typeof watchManifest>): Promise<FlinkJob> {
  const { store, clock, interrupted } = parts
  let nextLookMs = clock.monotonicMs() + MANIFEST_LOOK_MS
  let failedPasses = 0
  for (;;) {
    if (interrupted.aborted) {
      const job = await store.read()
      if (job.metadata.deletionTimestamp === undefined) {
        progress.note('stopping; press Ctrl-C again to kill')
        await store.markDeleted(job, clock.nowMs())
      }
    } else if (clock.monotonicMs() >= nextLookMs) {
      nextLookMs = clock.monotonicMs() + MANIFEST_LOOK_MS
      const edit = await lookAtManifest()
      if (edit.kind === 'problem') progress.note(edit.message)
      if (edit.kind === 'changed') await store.writeSpec(await store.read(), edit.spec)
    }
    const pass = await attempt(async () => {
      const reconciled = await reconcile({ ...parts, snapshots: parts.snapshots.objects })
      const snapshotDueMs = await parts.snapshots.pass(reconciled.job)
      return { ...reconciled, requeueAfterMs: Math.min(reconciled.requeueAfterMs, snapshotDueMs) }
    })
    if (pass instanceof FlinkError) {
      // Somebody outside did not answer as expected; the job may well go on meanwhile.
      if (++failedPasses >= FAILED_PASSES_MAX) throw pass
      if (failedPasses === 1) progress.note(`${pass.message}; trying again`)
      await sleep(clock, FAILED_PASS_PAUSE_MS)
      continue
    }
    failedPasses = 0
    const { job, requeueAfterMs } = pass
    // What the job printed stands before what is said about it.
    await output.drain()
    progress.show(job)
    if (isOver(job)) return job
    await sleep(clock, requeueAfterMs, interrupted.aborted ? undefined : interrupted).catch(() => {})
  }
}

async function attempt<T>(pass: () => Promise<T>): Promise<T | FlinkError> {
  try {
    return await pass()
  } catch (error) {
    if (error instanceof FlinkError && errorCodes[error.code].fault !== 'internal') return error
    throw error
  }
}

function isOver({ status }: FlinkJob): boolean {
  if (status === undefined || status.lifecycleState === 'DELETED') return status !== undefined
  const ended = isGloballyTerminal(status.jobStatus?.state) || status.lifecycleState === 'FAILED'
  return ended && status.jobManagerDeploymentStatus === 'MISSING'
}

function outcome({ status, metadata }: FlinkJob, progress: Progress): number {
  const state = status?.jobStatus?.state
  const startMs = Number(status?.jobStatus?.startTime ?? 0)
  const endMs = Number(status?.jobStatus?.updateTime ?? 0)
  if (status?.lifecycleState === 'FAILED') {
    progress.note(withoutOwnFrames(status.error ?? 'failed'))
    return 1
  }
  if (metadata.deletionTimestamp !== undefined && state !== 'FINISHED') {
    const { savepointPath, notice } = status?.deletion ?? {}
    progress.note(savepointPath === undefined ? 'stopped' : `stopped with savepoint ${savepointPath}`)
    if (notice !== undefined) progress.note(notice)
    return INTERRUPTED_EXIT_CODE
  }
  if (state === 'FINISHED') {
    progress.note(`finished after ${((endMs - startMs) / 1_000).toFixed(1)} s`)
    return 0
  }
  progress.note('the job was cancelled by somebody else')
  return 1
}

/** Frames of the user's files are named from the job's folder; those with an address are the engine's, and its log has them. */
function withoutOwnFrames(trace: string): string {
  return trace
    .split('\n')
    .filter(line => !/^\s+at .*(file|node):/.test(line))
    .join('\n')
}
