import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { FlinkSnapshot } from '../../operator/api/flink-snapshot.ts'
import { isReason, type KubeObject, type ObjectApi } from '../../operator/kube/object-api.ts'
import { flinkJobs, flinkSnapshots } from '../../operator/kube/resources.ts'
import { type ProgramName, programFields } from './programs.ts'

/**
 * One table of scenarios, run by all that run FlinkJobs: the simulation, a real kube-apiserver with stubs behind it, real processes of this machine.
 *
 * 1. A scenario is data: what a person does and what happens to it, step by step, and what it comes to (`ends`, `starts`), said by hand.
 * 2. `runScenario` runs it in a `ScenarioWorld` and answers what it came to as an `Outcome`, without times, ids and addresses: all of the status that is the same everywhere.
 * 3. The outcomes of Kubernetes and of this machine are held to that of the simulation, field by field; `differs` names those that cannot be the same, and why.
 */
export interface Scenario {
  readonly name: string
  readonly steps: readonly Step[]
  readonly ends: Reached
  /** In their order: which job id it is, counted from 1, and what there was for it to go on from. */
  readonly starts: readonly `${number} ${StartFrom}`[]
  /** What the API server names when it refuses something, in their order. */
  readonly refused?: readonly string[]
  /** Fields of the status, or `starts`, that are not compared there, with the reason. */
  readonly differs?: { readonly [where in Where]?: Readonly<Record<string, string>> }
  /** It is not run there, with the reason. */
  readonly absent?: { readonly [where in Where]?: string }
}

export type Where = 'local' | 'kubernetes'
export type StartFrom = 'none' | 'checkpoint' | 'savepoint' | 'path'

export type Step =
  /** The whole manifest, each time. `$remembered` in it is what was remembered. */
  | { readonly apply: Manifest }
  | { readonly snapshot: string; readonly spec: object }
  | { readonly annotate: Readonly<Record<string, string | null>> }
  | { readonly remove: 'job' | { readonly snapshot: string } }
  | { readonly kill: 'jobmanager' | 'taskmanager' | 'operator' }
  /** Whether savepoints can be written. */
  | { readonly savepoints: 'fail' | 'work' }
  | { readonly until: Reached }
  /** The place of the savepoint that the job was stopped with, or that was taken last. */
  | { readonly remember: 'savepoint' }

export interface Manifest {
  readonly program?: ProgramName
  readonly job?: Readonly<Record<string, unknown>>
  readonly spec?: Readonly<Record<string, unknown>>
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** All that is said has to hold, at once. */
export interface Reached {
  readonly gone?: true
  readonly lifecycle?: string
  readonly state?: string
  readonly generation?: number
  /** Conditions as `Ready=True Running`. */
  readonly conditions?: readonly string[]
  /** In the error or in the message of a condition. */
  readonly says?: RegExp
  readonly edit?: string
  readonly upgrading?: boolean
  readonly refused?: number
  readonly parallelism?: number
  readonly lastSavepoint?: string
  /** Of FlinkSnapshots, in the order of their making. */
  readonly snapshots?: readonly string[]
  /** It has completed a checkpoint since its last start. */
  readonly checkpointed?: true
}

export interface ScenarioWorld {
  /** As a person has it. */
  readonly server: ObjectApi
  readonly namespace: string
  readonly name: string
  /** As a person's kubectl, which has unknown fields refused. */
  apply(object: KubeObject): Promise<unknown>
  /** What a manifest needs here to be carried out. */
  readonly options: Readonly<Record<string, string>>
  until(look: () => Promise<boolean>, about: () => Promise<string>, limitMs?: number): Promise<void>
  /** Until something holds of one of the states that its objects have had since the last one that was waited for: also of one that has passed again. */
  witness(look: (sight: Sight) => Promise<boolean>, about: () => Promise<string>): Promise<void>
  /** The operator has had the time to do more. */
  settled(): Promise<void>
  kill(what: 'jobmanager' | 'taskmanager' | 'operator'): Promise<void>
  savepoints(how: 'fail' | 'work'): Promise<void>
  hasCheckpointed(): Promise<boolean>
  starts(): readonly { readonly jobId: string; readonly from: StartFrom }[]
  /** What must never be. */
  violations(): readonly string[]
}

/** The FlinkJob and its FlinkSnapshots at one instant; snapshots in the order of their making. */
export interface Sight {
  readonly job: FlinkJob | undefined
  readonly snapshots: readonly FlinkSnapshot[]
}

export interface Outcome {
  readonly status: Readonly<Record<string, unknown>> | 'gone'
  readonly starts: readonly string[]
  readonly snapshots: readonly object[]
}

export interface Ran {
  readonly outcome: Outcome
  /** Refused when they were applied. */
  readonly refusals: readonly string[]
}

export async function runScenario(scenario: Scenario, world: ScenarioWorld): Promise<Ran> {
  const refusals: string[] = []
  const memory = { remembered: '' }
  for (const step of scenario.steps) await perform(step, world, memory, refusals)
  await reach(scenario.ends, world)
  await world.settled()
  await reach(scenario.ends, world)
  return { outcome: await outcomeOf(world), refusals }
}

async function perform(step: Step, world: ScenarioWorld, memory: { remembered: string }, refusals: string[]): Promise<void> {
  const { server } = world
  if ('apply' in step) {
    await world.apply(jobObject(step.apply, world, memory.remembered)).catch((error: unknown) => {
      if (!isReason(error, 'Invalid')) throw error
      refusals.push((error as Error).message)
    })
  } else if ('snapshot' in step) {
    const object = {
      apiVersion: API,
      kind: 'FlinkSnapshot',
      metadata: { name: step.snapshot, namespace: world.namespace },
      spec: named(step.spec, world),
    }
    await server.create(object).catch((error: unknown) => {
      if (!isReason(error, 'Invalid')) throw error
      refusals.push((error as Error).message)
    })
  } else if ('annotate' in step) {
    const { metadata } = await server.get(flinkJobs, world.namespace, world.name)
    const { name, namespace } = metadata
    await server.patchMetadata({ apiVersion: API, kind: 'FlinkJob', metadata: { name, namespace } }, { annotations: step.annotate })
  } else if ('remove' in step) {
    await (step.remove === 'job'
      ? server.delete(flinkJobs, world.namespace, world.name)
      : server.delete(flinkSnapshots, world.namespace, step.remove.snapshot))
  } else if ('kill' in step) await world.kill(step.kill)
  else if ('savepoints' in step) await world.savepoints(step.savepoints)
  else if ('remember' in step) {
    const { jobStatus, lastSavepoint } = (await jobOf(world))?.status ?? {}
    memory.remembered = jobStatus?.upgradeSavepointPath ?? lastSavepoint?.location ?? ''
    if (memory.remembered === '') throw new Error('there is no savepoint to be remembered')
  } else await witness(step.until, world)
}

const API = 'millrace.dev/v1alpha1'

function jobObject({ program = 'counting', job, spec = {}, labels, annotations }: Manifest, world: ScenarioWorld, remembered: string): KubeObject {
  const { flinkConfiguration, ...rest } = spec as { readonly flinkConfiguration?: object }
  const object = {
    apiVersion: API,
    kind: 'FlinkJob',
    metadata: {
      name: world.name,
      namespace: world.namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec: {
      job: { ...programFields(program), ...job },
      flinkConfiguration: {
        'execution.checkpointing.interval': '300 ms',
        // Those of a session are its own.
        ...('sessionName' in spec ? {} : world.options),
        ...flinkConfiguration,
      },
      ...rest,
    },
  }
  return JSON.parse(JSON.stringify(object).replaceAll('$remembered', remembered)) as KubeObject
}

/** `$job` in it is the name of the FlinkJob. */
function named(spec: object, { name }: ScenarioWorld): object {
  return JSON.parse(JSON.stringify(spec).replaceAll('$job', name)) as object
}

export async function jobOf({ server, namespace, name }: ScenarioWorld): Promise<FlinkJob | undefined> {
  try {
    // As it is stored.
    return (await server.get(flinkJobs, namespace, name)) as unknown as FlinkJob
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined
    throw error
  }
}

async function snapshotsOf({ server, namespace }: ScenarioWorld): Promise<readonly FlinkSnapshot[]> {
  const { items } = await server.list(flinkSnapshots, { namespace })
  return inOrder(items)
}

export function inOrder(snapshots: readonly KubeObject[]): readonly FlinkSnapshot[] {
  const age = ({ metadata }: KubeObject) => `${metadata.creationTimestamp} ${metadata.name}`
  // As they are stored.
  return snapshots.toSorted((a, b) => (age(a) < age(b) ? -1 : 1)) as unknown as readonly FlinkSnapshot[]
}

/** What it is now. */
export async function sightOf(world: ScenarioWorld): Promise<Sight> {
  return { job: await jobOf(world), snapshots: await snapshotsOf(world) }
}

async function witness(wanted: Reached, world: ScenarioWorld): Promise<void> {
  await world.witness(
    sight => holds(wanted, sight, world),
    () => lacking(wanted, world),
  )
}

async function reach(wanted: Reached, world: ScenarioWorld): Promise<void> {
  await world.until(
    async () => holds(wanted, await sightOf(world), world),
    () => lacking(wanted, world),
  )
}

async function holds(wanted: Reached, sight: Sight, world: ScenarioWorld): Promise<boolean> {
  return missing(wanted, sight).length === 0 && (wanted.checkpointed !== true || (await world.hasCheckpointed()))
}

async function lacking(wanted: Reached, world: ScenarioWorld): Promise<string> {
  const sight = await sightOf(world)
  const { conditions, ...status } = sight.job?.status ?? {}
  return `missing: ${missing(wanted, sight).join(', ') || 'nothing any more'}, for ${JSON.stringify(wanted)}\n${JSON.stringify(status)}\n${conditions
    ?.map(({ type, status: value, reason, message }) => `${type}=${value} ${reason}: ${message}`)
    .join('\n')}`
}

function missing(wanted: Reached, { job, snapshots }: Sight): string[] {
  const status = job?.status
  const { conditions = [] } = status ?? {}
  const found: Record<string, boolean> = {
    gone: wanted.gone !== true || job === undefined,
    snapshots: isSame(wanted.snapshots, snapshots.map(stateOf)),
  }
  if (wanted.gone !== true) {
    found['lifecycle'] = isSame(wanted.lifecycle, status?.lifecycleState)
    found['state'] = isSame(wanted.state, status?.jobStatus?.state)
    found['generation'] = isSame(wanted.generation, status?.observedGeneration)
    found['conditions'] = (wanted.conditions ?? []).every(each =>
      conditions.some(({ type, status: value, reason }) => `${type}=${value} ${reason}` === each),
    )
    found['says'] =
      wanted.says === undefined || [status?.error, ...conditions.map(({ message }) => message)].some(text => wanted.says?.test(text ?? ''))
    found['edit'] = isSame(wanted.edit, status?.edit?.class)
    found['upgrading'] = wanted.upgrading === undefined || wanted.upgrading === (status?.upgrade !== undefined)
    found['refused'] = isSame(wanted.refused, status?.refused?.generation)
    found['parallelism'] = isSame(wanted.parallelism, status?.jobStatus?.parallelism)
    found['lastSavepoint'] = isSame(wanted.lastSavepoint, status?.lastSavepoint?.trigger)
  }
  return Object.entries(found).flatMap(([name, holds]) => (holds ? [] : [name]))
}

function stateOf({ status }: FlinkSnapshot): string {
  return status?.state ?? 'NEW'
}

function isSame(wanted: unknown, found: unknown): boolean {
  return wanted === undefined || JSON.stringify(wanted) === JSON.stringify(found)
}

/** What is the same wherever the job runs. */
export async function outcomeOf(world: ScenarioWorld): Promise<Outcome> {
  const job = await jobOf(world)
  const ids: string[] = []
  const starts = world.starts().map(({ jobId, from }) => {
    if (!ids.includes(jobId)) ids.push(jobId)
    return `${ids.indexOf(jobId) + 1} ${from}`
  })
  const snapshots = (await snapshotsOf(world)).map(snapshot => ({
    state: stateOf(snapshot),
    trigger: snapshot.metadata.labels?.['millrace.dev/snapshot-trigger'],
    conditions: conditionTexts(snapshot.status?.conditions),
  }))
  return { status: job === undefined ? 'gone' : normalised(job.status), starts, snapshots }
}

function conditionTexts(conditions: NonNullable<FlinkJob['status']>['conditions'] = []): string[] {
  return conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`).toSorted()
}

function normalised(status: FlinkJob['status']): Readonly<Record<string, unknown>> {
  const { jobStatus, reconciliationStatus, edit, plan, upgrade, restore, recovery, deletion, rollback, refused, lastSavepoint, snapshots } =
    status ?? {}
  return {
    observedGeneration: status?.observedGeneration,
    lifecycleState: status?.lifecycleState,
    jobManagerDeploymentStatus: status?.jobManagerDeploymentStatus,
    state: jobStatus?.state,
    parallelism: jobStatus?.parallelism,
    hasUpgradeSavepoint: jobStatus?.upgradeSavepointPath !== undefined,
    reconciliation: reconciliationStatus?.state,
    isStableSpec: reconciliationStatus?.lastStableSpec === reconciliationStatus?.lastReconciledSpec,
    edit: edit === undefined ? undefined : `${edit.generation} ${edit.class} ${edit.fields.join(' ')}`,
    plan: plan === undefined ? undefined : `${plan.generation} ${plan.verdict}${plan.approved === true ? ' approved' : ''}`,
    upgrade: upgrade === undefined ? undefined : `${upgrade.generation} ${upgrade.mode} ${upgrade.step}`,
    restore: restore?.kind,
    recovery: recovery === undefined ? undefined : `${recovery.count} ${recovery.step}`,
    deletion: deletion === undefined ? undefined : `${deletion.step}${deletion.blocked === undefined ? '' : ' blocked'}`,
    rollback: rollback === undefined ? undefined : `${rollback.generation}${rollback.failure === undefined ? '' : ' given up'}`,
    refused: refused?.generation,
    lastSavepoint: lastSavepoint?.trigger,
    requested: snapshots?.requested.map(({ trigger }) => trigger),
    taskManagers: status?.taskManager?.replicas,
    hasError: status?.error !== undefined,
    problems: status?.problems?.map(({ reason }) => reason),
    conditions: conditionTexts(status?.conditions),
  }
}
