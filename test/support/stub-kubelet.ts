import { isReason, type KubeObject, type ObjectApi, type ResourceType } from '../../operator/kube/object-api.ts'
import { pods, statefulSets } from '../../operator/kube/resources.ts'

/**
 * Plays what stands behind an API server: the controller of StatefulSets, the scheduler and the kubelets, as far as objects show it. It acts on what it sees change and
 * takes one step at a time with each pod: made, placed on a node, its containers created, ready, and on its way out gone when its node says so.
 *
 * `fate` says what becomes of a pod; a test changes it at any time.
 */
type Fate =
  | { readonly kind: 'runs' }
  | { readonly kind: 'unschedulable'; readonly message: string }
  /** What its status says for as long as this is its fate. */
  | { readonly kind: 'stuck'; readonly status: Readonly<Record<string, unknown>> }
  /** A pod that is to come to its end. */
  | { readonly kind: 'ends'; readonly exitCode: number; readonly message: string; readonly reason?: string }
  /** Its node answers no more: whatever is to become of it, nobody says so. */
  | { readonly kind: 'node-lost' }

export interface StubPod {
  readonly name: string
  readonly component: string
  readonly object: KubeObject
}

interface Options {
  readonly api: ObjectApi
  readonly fate: (pod: StubPod) => Fate
  /** Pods whose containers run, after each step. */
  readonly onRunning?: (running: readonly StubPod[]) => Promise<void>
  /** Undefined = as many as are asked for. */
  readonly podsMax?: () => number | undefined
  /** A pod gets its node by it. */
  readonly bind?: (pod: KubeObject) => Promise<unknown>
  /** Pods go with their StatefulSet by us: nobody else sees to it at this server. */
  readonly collectsGarbage?: boolean
}

interface SetSpec {
  readonly replicas: number
  readonly template: { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> }; readonly spec: object }
}

export class StubKubelet implements AsyncDisposable {
  private readonly options: Options
  private readonly ending = new AbortController()
  private readonly watching: Promise<unknown>[]
  private stepping: Promise<unknown> = Promise.resolve()
  /** One that has not begun: whatever changes until then is seen by it. */
  private next: Promise<void> | undefined

  constructor(options: Options) {
    this.options = options
    this.watching = [pods, statefulSets].map(type => this.watch(type))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort()
    await Promise.all(this.watching)
    await this.stepping
  }

  /** Looks at everything once more: a fate has changed. */
  step(): Promise<void> {
    if (this.next !== undefined) return this.next
    const next = this.stepping.then(() => {
      this.next = undefined
      return this.look()
    })
    this.next = next
    this.stepping = next.catch(() => {})
    return next
  }

  private async watch(type: ResourceType): Promise<void> {
    const { signal } = this.ending
    while (!signal.aborted) {
      try {
        const { resourceVersion } = await this.options.api.list(type)
        await this.step()
        for await (const event of this.options.api.watch(type, { resourceVersion }, signal)) if (event.type !== 'BOOKMARK') await this.step()
      } catch (error) {
        if (!isReason(error, 'Unreachable', 'Expired', 'TooManyRequests', 'OutcomeUnknown')) throw error
      }
    }
  }

  private async look(): Promise<void> {
    const { api, collectsGarbage = false } = this.options
    const sets = (await api.list(statefulSets)).items
    for (const set of sets) await this.control(set)
    const { items } = await api.list(pods)
    const isOrphan = ({ metadata }: KubeObject) =>
      metadata.ownerReferences?.some(({ kind, uid }) => kind === 'StatefulSet' && !sets.some(set => set.metadata.uid === uid)) === true
    if (collectsGarbage) for (const pod of items) if (isOrphan(pod) && pod.metadata.deletionTimestamp === undefined) await gone(api, pod)
    for (const pod of items) await unlessChanged(() => this.progress(pod))
    const running = (await api.list(pods)).items.map(stubPod).filter(({ object }) => phaseOf(object) === 'Running' && isUp(object))
    await this.options.onRunning?.(running)
  }

  /** As a StatefulSet with podManagementPolicy Parallel. */
  private async control(set: KubeObject): Promise<void> {
    const { api, podsMax } = this.options
    const { replicas, template } = set.spec as SetSpec
    const { name, namespace, uid = '' } = set.metadata
    const own = (await api.list(pods, { namespace })).items.filter(pod => pod.metadata.ownerReferences?.some(owner => owner.uid === uid))
    for (const pod of own)
      if (Number(pod.metadata.name.slice(name.length + 1)) >= replicas && pod.metadata.deletionTimestamp === undefined) await gone(api, pod)
    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      const podName = `${name}-${ordinal}`
      if (own.some(pod => pod.metadata.name === podName)) continue
      const { items } = await api.list(pods, { namespace })
      // One of that name is still on its way out.
      if (items.some(pod => pod.metadata.name === podName)) continue
      const limit = podsMax?.()
      if (limit !== undefined && items.length >= limit) {
        await this.warn(set, `create Pod ${podName} in StatefulSet ${name} failed error: pods "${podName}" is forbidden: exceeded quota: pods`)
        continue
      }
      await api.create({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: podName,
          namespace,
          labels: { ...template.metadata?.labels, 'apps.kubernetes.io/pod-index': String(ordinal) },
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name, uid, controller: true }],
        },
        spec: template.spec,
      })
    }
  }

  private async progress(pod: KubeObject): Promise<void> {
    const { api, fate, bind } = this.options
    const current = fate(stubPod(pod))
    if (current.kind === 'node-lost') return
    if (pod.metadata.deletionTimestamp !== undefined) return gone(api, pod, true)
    const spec = pod.spec as { readonly nodeName?: string }
    if (current.kind === 'unschedulable') {
      const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: current.message }]
      return this.say(pod, { phase: 'Pending', conditions })
    }
    if (spec.nodeName === undefined) {
      await (bind?.(pod) ?? api.apply({ ...named(pod), spec: { nodeName: 'node-1' } }, 'scheduler'))
      return
    }
    if (current.kind === 'stuck') return this.say(pod, { phase: 'Pending', ...current.status })
    if (phaseOf(pod) === undefined)
      return this.say(pod, { phase: 'Pending', containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ContainerCreating' } } }] })
    if (current.kind === 'ends') {
      const { exitCode, message, reason = exitCode === 0 ? 'Completed' : 'Error' } = current
      if (phaseOf(pod) === 'Succeeded' || phaseOf(pod) === 'Failed') return
      const terminated = { exitCode, reason, message, finishedAt: pod.metadata.creationTimestamp }
      return this.say(pod, { phase: exitCode === 0 ? 'Succeeded' : 'Failed', containerStatuses: [{ name: 'main', state: { terminated } }] })
    }
    await this.say(pod, {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [{ name: 'main', ready: true, state: { running: {} } }],
    })
  }

  /** Without a change no write: it would wake us again. */
  private async say(pod: KubeObject, status: object): Promise<void> {
    if (!says(pod.status, status)) await this.options.api.updateStatus({ ...pod, status })
  }

  private async warn(set: KubeObject, note: string): Promise<void> {
    const { name, namespace, uid } = set.metadata
    const event = { name: `${name}.failed-create`, namespace }
    const regarding = { apiVersion: 'apps/v1', kind: 'StatefulSet', name, namespace, uid }
    await this.options.api.apply(
      { apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: event, type: 'Warning', reason: 'FailedCreate', note, regarding },
      'statefulset-controller',
    )
  }
}

function stubPod(object: KubeObject): StubPod {
  return { name: object.metadata.name, component: object.metadata.labels?.['app.kubernetes.io/component'] ?? '', object }
}

/** A server adds to it what it knows by itself. */
function says(current: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return current === wanted
  if (typeof current !== 'object' || current === null) return false
  // Both are JSON.
  const [has, wants] = [current as Record<string, unknown>, wanted as Record<string, unknown>]
  return Object.keys(wants).every(key => says(has[key], wants[key]))
}

function named({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  return { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace } }
}

function phaseOf({ status }: KubeObject): string | undefined {
  return (status as { readonly phase?: string } | undefined)?.phase
}

function isUp({ status }: KubeObject): boolean {
  const conditions = (status as { readonly conditions?: readonly { readonly type: string; readonly status: string }[] } | undefined)?.conditions
  return conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
}

async function gone(api: ObjectApi, { metadata }: KubeObject, isForced = false): Promise<void> {
  await unlessChanged(() =>
    api.delete(pods, metadata.namespace, metadata.name, { ...(metadata.uid === undefined ? {} : { uid: metadata.uid }), isForced }),
  )
}

/** Somebody was faster; what is to be done next is seen then. */
async function unlessChanged(write: () => Promise<unknown>): Promise<void> {
  await write().catch((error: unknown) => {
    if (!isReason(error, 'NotFound', 'Conflict', 'AlreadyExists')) throw error
  })
}
