import { join, resolve } from 'node:path'
import { type Clock, sleep } from '../../runtime/common/clock.ts'
import type { OptionTable } from '../../runtime/common/config.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { hex } from '../../runtime/common/ids.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { CONFIG_MAP_KIND } from '../api/config-map.ts'
import { type FlinkJob, KIND } from '../api/flink-job.ts'
import { type FlinkSession, type FlinkSessionStatus, SESSION_KIND } from '../api/flink-session.ts'
import type { LocalExecutorOptions } from '../effects/local-executor.ts'
import { createLocalExecutors, type LocalExecutors, type PlaceOf } from '../effects/local-executors.ts'
import type { Programs } from '../effects/local-programs.ts'
import { persistObject, readObjects } from '../effects/object-files.ts'
import { isGloballyTerminal } from '../job/input.ts'
import { LocalApiServer } from '../kube/local-api-server.ts'
import type { KubeObject } from '../kube/object-api.ts'
import { serveObjectApi } from '../kube/object-api-server.ts'
import { flinkJobs, flinkSessions, flinkSnapshots, resourceTypes, typeOf } from '../kube/resources.ts'
import { EventRecorder } from '../manager/events.ts'
import { flinkJobController } from '../manager/flink-job-controller.ts'
import { flinkSessionController } from '../manager/flink-session-controller.ts'
import { flinkSnapshotController } from '../manager/flink-snapshot-controller.ts'
import { Manager, type ObjectKey } from '../manager/manager.ts'
import { displayName } from '../validation/problems.ts'
import { withDefaults } from './admission.ts'
import { JobOutput } from './job-output.ts'
import { ManifestSet } from './manifest-set.ts'
import { Progress } from './progress.ts'
import { type ServerRecord, writeServerRecord } from './server-records.ts'
import type { Terminal } from './terminal.ts'
import type { UpRequest } from './up-command.ts'

/**
 * `millrace up <files or folders>`: the operator on this machine, in front of a person. An API server in memory holds the objects of the manifests, the same controllers as on
 * Kubernetes make them true with child processes.
 *
 * 1. Every FlinkJob's directory is held by this process; the manifests become objects.
 * 2. The manager runs the controllers until every job has ended and its processes with it.
 * 3. Meanwhile what jobs print goes to stdout, every change of state to stderr; edited files change their objects, files that go take theirs along.
 * 4. Ctrl-C deletes the objects: the controllers end everything in order.
 *
 * `millrace get` and its kin reach the API server by a record in `.millrace/up/servers/`; objects lie in `.millrace/objects/` as files.
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
  readonly programs: (placeOf: PlaceOf) => Programs
  /** `entries` are options of the manifest; the cluster in `directory` has a token of its own. */
  readonly rest: (address: string, entries: Readonly<Record<string, string>>, directory: string) => RestClient
  readonly terminal: Terminal
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly interrupted: AbortSignal
}

const MANIFEST_LOOK_MS = 1_000
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 30_000
const INTERRUPTED_EXIT_CODE = 130
const FIELD_MANAGER = 'millrace-up'

/** Answers the exit code: 0 = all FINISHED, 1 = anything else that ended one, 130 = it was asked to stop. */
export async function up(request: UpRequest, parts: UpParts): Promise<number> {
  const { terminal } = parts
  const manifests = new ManifestSet(request.paths, parts.optionTables, request.once ? ['--once'] : [])
  const { objects, problems } = await manifests.look()
  for (const problem of problems) terminal.say(problem)
  if (problems.length > 0) return 1
  const session = new UpSession(parts, manifests)
  try {
    for (const { object } of objects.values()) if (hasCluster(object)) await session.executors.hold(object)
    return await session.run()
  } catch (error) {
    if (!(error instanceof FlinkError)) throw error
    terminal.say(error.message)
    return 1
  } finally {
    await session.close()
  }
}

class UpSession {
  readonly executors: LocalExecutors
  private readonly parts: UpParts
  private readonly manifests: ManifestSet
  private readonly directory: string
  private readonly api: LocalApiServer
  private readonly progress = new Map<string, Progress>()
  private readonly output: JobOutput
  /** Jobs as they were seen last, also those that have gone. */
  private readonly jobs = new Map<string, SeenJob>()
  /** That are there. */
  private readonly sessions = new Set<string>()
  /** What the manifests said, by the name of the object, when it was applied. */
  private readonly applied = new Map<string, { readonly object: KubeObject; readonly text: string }>()
  /** Names of objects whose manifests wait until they have gone. */
  private readonly awaited = new Set<string>()
  private wake = () => {}
  private deleting = false

  constructor(parts: UpParts, manifests: ManifestSet) {
    this.parts = parts
    this.manifests = manifests
    this.directory = resolve(parts.directory)
    const { clock, random } = parts
    const objects = join(this.directory, 'objects')
    this.api = new LocalApiServer({ clock, random, admit: withDefaults, persist: change => persistObject(objects, change) })
    this.executors = createLocalExecutors({
      ...parts,
      directory: join(this.directory, 'up'),
      programs: key => parts.programs(manifests.placeOf(key)),
      rest: job => this.restOf(job),
      restOfSession: session => this.restOfSession(session),
      note: (key, text) => this.progressOf(key).note(text),
      startTimeoutMs: START_TIMEOUT_MS,
      stopTimeoutMs: STOP_TIMEOUT_MS,
    })
    this.output = new JobOutput(parts.terminal, clock, () => this.executors.outputs())
  }

  async run(): Promise<number> {
    await this.applyManifests()
    const { clock, random, log, optionTables, interrupted } = this.parts
    const { api } = this
    const recorder = new EventRecorder({ api, clock, log, identity: `millrace-up-${this.parts.pid}` })
    const manager = new Manager({
      api,
      clock,
      random,
      log,
      controllers: [
        flinkJobController({ api, executors: this.executors, optionTables, rest: job => this.restOf(job), clock, random, log }),
        flinkSessionController({
          api,
          executors: this.executors.sessions,
          optionTables,
          platform: 'local',
          rest: session => this.restOfSession(session),
          clock,
          log,
        }),
        flinkSnapshotController({
          api,
          catalogue: job => this.parts.catalogue(job?.spec.flinkConfiguration ?? {}),
          rest: job => this.restOf(job),
          clock,
          random,
          log,
        }),
      ],
      onChange: (type, before, after) => {
        recorder.observe(before, after)
        if (type === flinkJobs) this.onJob(before, after)
        if (type === flinkSessions) this.onSession(before, after)
      },
    })
    await this.loadSnapshots()
    const token = hex(random.bytes(32))
    const server = await serveObjectApi({ api, types: resourceTypes, token, clock })
    const record: ServerRecord = { pid: this.parts.pid, url: server.url, token }
    const forget = writeServerRecord(join(this.directory, 'up', 'servers'), record)
    const stopping = new AbortController()
    this.output.start()
    const running = manager.run(stopping.signal)
    try {
      let nextLookMs = clock.monotonicMs() + MANIFEST_LOOK_MS
      while (!this.isOver()) {
        if (interrupted.aborted) await this.deleteAll()
        else if (clock.monotonicMs() >= nextLookMs) {
          await this.look()
          nextLookMs = clock.monotonicMs() + MANIFEST_LOOK_MS
        }
        if (this.isOver()) break
        await this.changed()
      }
    } finally {
      stopping.abort()
      await running
      await recorder.flushed()
      forget()
      await server.close()
    }
    return this.outcome()
  }

  async close(): Promise<void> {
    await this.executors.close()
    await this.output.stop()
  }

  private restOf(job: FlinkJob | undefined = NO_JOB): (address: string) => RestClient {
    const { sessionName, flinkConfiguration } = job.spec
    const { namespace } = job.metadata
    const owner = sessionName === undefined ? job : { kind: SESSION_KIND, metadata: { namespace, name: sessionName } }
    return address => this.parts.rest(address, flinkConfiguration, this.executors.directoryOf(owner))
  }

  private restOfSession(session: FlinkSession): (address: string) => RestClient {
    return address => this.parts.rest(address, session.spec.cluster.flinkConfiguration, this.executors.directoryOf(session))
  }

  /** A change of a job, Ctrl-C, or the time to look at the manifests again. */
  private async changed(): Promise<void> {
    const { clock, interrupted } = this.parts
    const woken = new Promise<void>(resolve => {
      this.wake = resolve
    })
    const isAsked = interrupted.aborted
    await Promise.race([woken, sleep(clock, MANIFEST_LOOK_MS, isAsked ? undefined : interrupted).catch(() => {})])
  }

  private onJob(before: KubeObject | undefined, after: KubeObject | undefined): void {
    const object = after ?? before
    if (object === undefined) return
    // A FlinkJob as it is stored: progress and outcome look at nothing that is kept beside it.
    const job = object as unknown as FlinkJob
    this.jobs.set(`${job.metadata.namespace}/${job.metadata.name}`, { job, isGone: after === undefined })
    // What the job printed stands before what is said about it.
    this.output.drain().then(
      () => {
        this.progressOf(job.metadata).show(job)
        this.wake()
      },
      () => this.wake(),
    )
  }

  private onSession(before: KubeObject | undefined, after: KubeObject | undefined): void {
    const { name = '', namespace = '' } = (after ?? before)?.metadata ?? {}
    if (after === undefined) this.sessions.delete(`${namespace}/${name}`)
    else this.sessions.add(`${namespace}/${name}`)
    const told = (object: KubeObject | undefined) =>
      (object?.status as FlinkSessionStatus | undefined)?.conditions.find(({ type }) => type === 'Ready')
    const ready = told(after)
    if (ready !== undefined && ready.message !== told(before)?.message) this.progressOf({ name, namespace }).note(`session: ${ready.message}`)
    this.wake()
  }

  private progressOf(key: ObjectKey): Progress {
    const label = displayName(key)
    const known = this.progress.get(label) ?? new Progress(this.parts.terminal, this.parts.clock, label)
    this.progress.set(label, known)
    return known
  }

  private async look(): Promise<void> {
    const { problems } = await this.manifests.look()
    if (problems.length > 0) this.parts.terminal.say(`the edited manifest is wrong, the job goes on as it was:\n${problems.join('\n')}`)
    await this.applyManifests()
  }

  private async applyManifests(): Promise<void> {
    const { objects } = this.manifests
    // What jobs refer to comes before them.
    const isReferred = ({ object }: { readonly object: KubeObject }) => object.kind === CONFIG_MAP_KIND
    for (const [name, { object }] of [...objects].sort(([, a], [, b]) => Number(isReferred(b)) - Number(isReferred(a)))) {
      const text = JSON.stringify(object)
      if (this.applied.get(name)?.text === text) continue
      if (await this.isLeaving(object)) {
        if (!this.awaited.has(name)) this.progressOf(object.metadata).note('it is being deleted: its manifest is applied when it has gone')
        this.awaited.add(name)
        continue
      }
      this.awaited.delete(name)
      try {
        if (hasCluster(object)) await this.executors.hold(object)
        await this.api.apply(object, FIELD_MANAGER)
      } catch (error) {
        if (!(error instanceof FlinkError)) throw error
        this.parts.terminal.say(error.message)
      }
      this.applied.set(name, { object, text })
    }
    for (const name of this.awaited) if (!objects.has(name)) this.awaited.delete(name)
    for (const [name, { object }] of this.applied) {
      if (objects.has(name)) continue
      this.applied.delete(name)
      this.progressOf(object.metadata).note('its manifest is gone: it is deleted')
      await this.remove(object)
    }
  }

  private async isLeaving({ metadata: { namespace, name }, ...object }: KubeObject): Promise<boolean> {
    const { items } = await this.api.list(typeOf(object), { namespace })
    return items.some(({ metadata }) => metadata.name === name && metadata.deletionTimestamp !== undefined)
  }

  private async deleteAll(): Promise<void> {
    if (this.deleting) return
    this.deleting = true
    this.parts.terminal.say('stopping; press Ctrl-C again to kill')
    // A session waits for its jobs.
    for (const type of [flinkJobs, flinkSessions]) for (const object of (await this.api.list(type)).items) await this.remove(object)
    this.wake()
  }

  private async remove(object: KubeObject): Promise<void> {
    const { namespace, name } = object.metadata
    await this.api.delete(typeOf(object), namespace, name).catch((error: unknown) => {
      if (!(error instanceof FlinkError) || error.code !== 'NOT_FOUND') throw error
    })
  }

  /** Those that earlier ones have left of the jobs of this one. */
  private async loadSnapshots(): Promise<void> {
    const left = await readObjects(join(this.directory, 'objects'), flinkSnapshots)
    const own = left.filter(({ metadata, spec }) => {
      const { jobReference } = spec as { readonly jobReference?: { readonly name: string } }
      return jobReference !== undefined && this.executors.isHeld({ kind: KIND, metadata: { namespace: metadata.namespace, name: jobReference.name } })
    })
    this.api.load(own)
  }

  /** Every job has ended, and its processes with it; where there are none, nobody is waited for but a person. */
  private isOver(): boolean {
    const jobs = [...this.jobs.values()]
    if (this.deleting) return jobs.every(isOver) && this.sessions.size === 0
    return this.awaited.size === 0 && jobs.length > 0 && jobs.every(isOver)
  }

  private outcome(): number {
    const codes = [...this.jobs.values()].map(seen => outcome(seen, this.progressOf(seen.job.metadata)))
    if (codes.length === 0) return INTERRUPTED_EXIT_CODE
    return codes.includes(1) ? 1 : codes.includes(INTERRUPTED_EXIT_CODE) ? INTERRUPTED_EXIT_CODE : 0
  }
}

/** Processes of this machine may belong to it. */
function hasCluster(object: KubeObject): boolean {
  return typeOf(object) === flinkJobs || typeOf(object) === flinkSessions
}

/** What a snapshot has that names none. */
const NO_JOB = { kind: KIND, metadata: { namespace: 'default', name: 'none' }, spec: { flinkConfiguration: {} } } as unknown as FlinkJob

interface SeenJob {
  readonly job: FlinkJob
  /** One of which nothing was made yet goes without a word in its status. */
  readonly isGone: boolean
}

function isOver({ job: { status, metadata }, isGone }: SeenJob): boolean {
  if (isGone || status?.lifecycleState === 'DELETED') return true
  if (status === undefined || metadata.deletionTimestamp !== undefined) return false
  const ended = isGloballyTerminal(status.jobStatus?.state) || status.lifecycleState === 'FAILED'
  return ended && status.jobManagerDeploymentStatus === 'MISSING' && status.upgrade === undefined
}

function outcome({ job: { status, metadata }, isGone }: SeenJob, progress: Progress): number {
  const state = status?.jobStatus?.state
  const startMs = Number(status?.jobStatus?.startTime ?? 0)
  const endMs = Number(status?.jobStatus?.updateTime ?? 0)
  if (status?.lifecycleState === 'FAILED') {
    progress.note(withoutOwnFrames(status.error ?? 'failed'))
    return 1
  }
  if ((isGone || metadata.deletionTimestamp !== undefined) && state !== 'FINISHED') {
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
