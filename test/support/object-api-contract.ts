import { expect, test } from 'vitest'
import { isReason, type KubeObject, type ObjectApi, type WatchEvent } from '../../operator/kube/object-api.ts'
import { configMaps, flinkJobs, pods, referredConfigMaps } from '../../operator/kube/resources.ts'

/**
 * What everything in the operator relies on, held by LocalApiServer, by it over HTTP and by a real kube-apiserver with the CRDs. Each test works with names of its own,
 * so that they can share a server.
 */
export interface ApiSubject {
  readonly api: ObjectApi
  /** Runs what removes objects without owners; undefined where nobody does (kube-controller-manager is not there). */
  readonly collectGarbage?: () => Promise<void>
  /** Forgets what happened up to now, for whoever watches. */
  readonly compact?: () => Promise<void>
}

let count = 0
const fresh = () => `contract-${++count}`
const job = (name: string, spec: object = {}, metadata: object = {}): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name, namespace: 'default', ...metadata },
  spec: { job: { sql: 'SELECT 1' }, ...spec },
})
const configMap = (name: string, data: Readonly<Record<string, string>> = {}, metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...metadata },
  data,
})
const status = (text: string) => ({ lifecycleState: 'CREATED', jobManagerDeploymentStatus: 'MISSING', error: text, conditions: [] })
const ownerOf = ({ apiVersion, kind, metadata }: KubeObject) => ({ apiVersion, kind, name: metadata.name, uid: metadata.uid as string })
const reason = (wanted: string) => expect.objectContaining({ reason: wanted })

export function objectApiContract(subject: () => ApiSubject): void {
  const api = () => subject().api

  test('what is created has an identity, and no status', async () => {
    const name = fresh()
    const made = await api().create({ ...job(name, {}, { labels: { a: 'b' } }), status: status('mine') })
    expect(made.metadata).toMatchObject({ name, namespace: 'default', labels: { a: 'b' }, generation: 1 })
    expect(made.metadata.uid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-/)
    expect(made.metadata.resourceVersion).toMatch(/^\d+$/)
    expect(made.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(made.status).toBeUndefined()
    expect(await api().get(flinkJobs, 'default', name)).toEqual(made)
    await expect(api().create(job(name))).rejects.toEqual(reason('AlreadyExists'))
  })

  test('what is not there is not found', async () => {
    const name = fresh()
    await expect(api().get(flinkJobs, 'default', name)).rejects.toEqual(reason('NotFound'))
    await expect(api().delete(flinkJobs, 'default', name)).rejects.toEqual(reason('NotFound'))
    const ghost = job(name, {}, { resourceVersion: '1', uid: '00000000-0000-0000-0000-000000000000' })
    await expect(api().updateStatus({ ...ghost, status: status('x') })).rejects.toEqual(reason('NotFound'))
    await expect(api().patchMetadata(ghost, { labels: { a: 'b' } })).rejects.toEqual(reason('NotFound'))
  })

  test('a status is written by itself, by who has seen the newest version, and counts as no generation', async () => {
    const made = await api().create(job(fresh()))
    const first = await api().updateStatus({ ...made, spec: { job: { sql: 'SELECT 2' } }, status: status('one') })
    expect(first).toMatchObject({ spec: { job: { sql: 'SELECT 1' } }, status: { error: 'one' }, metadata: { generation: 1 } })
    expect(first.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion)
    await expect(api().updateStatus({ ...made, status: status('two') })).rejects.toEqual(reason('Conflict'))
    const { error: _error, ...without } = status('')
    expect((await api().updateStatus({ ...first, status: without })).status).toEqual(without)
  })

  test('a write that changes nothing changes no version', async () => {
    const made = await api().create(job(fresh()))
    const first = await api().updateStatus({ ...made, status: status('one') })
    expect((await api().updateStatus({ ...first, status: status('one') })).metadata.resourceVersion).toBe(first.metadata.resourceVersion)
    const labelled = await api().patchMetadata(first, { labels: { a: 'b' } })
    expect((await api().patchMetadata(labelled, { labels: { a: 'b', c: null } })).metadata.resourceVersion).toBe(labelled.metadata.resourceVersion)
  })

  test('metadata is changed by who has seen the newest version; null removes', async () => {
    const made = await api().create(job(fresh(), {}, { annotations: { keep: '1', drop: '2' } }))
    const changed = await api().patchMetadata(made, {
      annotations: { drop: null, add: '3' },
      labels: { l: 'x' },
      finalizers: ['millrace.dev/cleanup'],
    })
    expect(changed.metadata).toMatchObject({
      annotations: { keep: '1', add: '3' },
      labels: { l: 'x' },
      finalizers: ['millrace.dev/cleanup'],
      generation: 1,
    })
    expect(changed.metadata.annotations).not.toHaveProperty('drop')
    await expect(api().patchMetadata(made, { labels: { l: 'y' } })).rejects.toEqual(reason('Conflict'))
    const { resourceVersion: _version, ...anyVersion } = made.metadata
    expect((await api().patchMetadata({ ...made, metadata: anyVersion }, { labels: { l: 'z' } })).metadata.labels).toEqual({ l: 'z' })
    await api().patchMetadata({ ...made, metadata: anyVersion }, { finalizers: [] })
  })

  test('applied: fields that are named, none that are not; those that are named no more are gone, others’ stay', async () => {
    const name = fresh()
    const made = await api().apply(job(name, { flinkConfiguration: { a: '1', b: '2' } }, { labels: { own: 'x' } }), 'one')
    expect(made).toMatchObject({ spec: { flinkConfiguration: { a: '1', b: '2' } }, metadata: { generation: 1, labels: { own: 'x' } } })
    await api().patchMetadata(made, { annotations: { other: 'y' } })
    const changed = await api().apply(job(name, { flinkConfiguration: { b: '3' } }), 'one')
    expect(changed.spec).toMatchObject({ flinkConfiguration: { b: '3' } })
    expect((changed.spec as { flinkConfiguration: object }).flinkConfiguration).not.toHaveProperty('a')
    expect(changed.metadata).toMatchObject({ generation: 2, annotations: { other: 'y' } })
    expect(changed.metadata.labels ?? {}).not.toHaveProperty('own')
    const same = await api().apply(job(name, { flinkConfiguration: { b: '3' } }), 'one')
    expect(same.metadata.resourceVersion).toBe(changed.metadata.resourceVersion)
    // What two have applied goes when neither names it.
    await api().apply(job(name, { flinkConfiguration: { b: '3', c: '4' } }), 'two')
    expect((await api().apply(job(name), 'one')).spec).toMatchObject({ flinkConfiguration: { b: '3', c: '4' } })
    const last = await api().apply(job(name), 'two')
    expect((last.spec as { flinkConfiguration?: object }).flinkConfiguration ?? {}).toEqual({})
  })

  test('applied: what somebody else has changed since is theirs, also where nobody names it', async () => {
    const name = fresh()
    const labels = async (written: Promise<KubeObject>) => (await written).metadata.labels ?? {}
    await api().apply(configMap(name, {}, { labels: { x: '1', y: '1', z: '1' } }), 'one')
    const current = await api().get(configMaps, 'default', name)
    expect(await labels(api().patchMetadata(current, { labels: { x: '2', z: '1' } }))).toEqual({ x: '2', y: '1', z: '1' })
    // z has been patched to what it was: it is nobody else's.
    expect(await labels(api().apply(configMap(name), 'one'))).toEqual({ x: '2' })
    await api().apply(configMap(name, {}, { labels: { y: '1' } }), 'one')
    expect(await labels(api().apply(configMap(name, {}, { labels: { y: '2' } }), 'two'))).toEqual({ x: '2', y: '2' })
    expect(await labels(api().apply(configMap(name), 'two'))).toEqual({ x: '2' })
  })

  test('applied: what an object was made with stays, unless it was changed by applying', async () => {
    const name = fresh()
    const labels = async (written: Promise<KubeObject>) => (await written).metadata.labels
    await api().create(configMap(name, {}, { labels: { x: '1' } }))
    expect(await labels(api().apply(configMap(name, {}, { labels: { x: '1' } }), 'one'))).toEqual({ x: '1' })
    expect(await labels(api().apply(configMap(name), 'one'))).toEqual({ x: '1' })
    expect(await labels(api().apply(configMap(name, {}, { labels: { x: '2' } }), 'one'))).toEqual({ x: '2' })
    expect(await labels(api().apply(configMap(name), 'one'))).toBeUndefined()
  })

  test('applied: of finalizers and owners each takes back its own', async () => {
    const name = fresh()
    const newOwner = async () => ownerOf(await api().create(configMap(fresh())))
    const [a, b, c] = [await newOwner(), await newOwner(), await newOwner()]
    const given = (finalizers: readonly string[], ownerReferences: readonly object[]) => job(name, {}, { finalizers, ownerReferences })
    await api().apply(given(['millrace.dev/a', 'millrace.dev/b'], [a, b]), 'one')
    await api().apply(given(['millrace.dev/b', 'millrace.dev/c'], [b, c]), 'two')
    const { metadata } = await api().apply(job(name), 'one')
    expect([...(metadata.finalizers ?? [])].sort()).toEqual(['millrace.dev/b', 'millrace.dev/c'])
    expect(metadata.ownerReferences?.map(({ name }) => name).sort()).toEqual([b.name, c.name].sort())
    const last = await api().apply(job(name), 'two')
    expect(last.metadata).not.toHaveProperty('finalizers')
    expect(last.metadata).not.toHaveProperty('ownerReferences')
  })

  test('applied: a status in it is ignored, and what a status is stays', async () => {
    const name = fresh()
    const made = await api().apply({ ...job(name), status: status('mine') }, 'one')
    expect(made.status).toBeUndefined()
    await api().updateStatus({ ...made, status: status('kept') })
    expect((await api().apply(job(name, { restartNonce: 1 }), 'one')).status).toMatchObject({ error: 'kept' })
  })

  test('got, listed and watched by its metadata an object is without what is in it', async () => {
    const name = fresh()
    const { metadata } = await api().create(configMap(name, { a: '1' }))
    const { items, resourceVersion } = await api().list(referredConfigMaps, { namespace: 'default' })
    const seen = { apiVersion: 'v1', kind: 'ConfigMap', metadata }
    expect(items.find(item => item.metadata.name === name)).toEqual(seen)
    expect(await api().get(referredConfigMaps, 'default', name)).toEqual(seen)
    const stopping = new AbortController()
    const events = api().watch(referredConfigMaps, { resourceVersion }, stopping.signal)
    const changed = await api().apply(configMap(name, { a: '2' }), 'one')
    for await (const event of events) {
      if (event.type === 'BOOKMARK' || event.object.metadata.name !== name) continue
      expect(event).toEqual({ type: 'MODIFIED', object: { ...seen, metadata: changed.metadata } })
      break
    }
    stopping.abort()
  })

  test('applied: by who has seen another version it is refused', async () => {
    const name = fresh()
    const made = await api().apply(configMap(name, { a: '1' }), 'one')
    await api().apply(configMap(name, { a: '2' }), 'one')
    const stale = configMap(name, { a: '3' }, { resourceVersion: made.metadata.resourceVersion })
    await expect(api().apply(stale, 'one')).rejects.toEqual(reason('Conflict'))
  })

  test('another object of the name is none that was meant', async () => {
    const made = await api().create(job(fresh()))
    const { resourceVersion: _version, ...anyVersion } = made.metadata
    const other = { ...made, metadata: { ...anyVersion, uid: '00000000-0000-0000-0000-000000000000' } }
    await expect(api().patchMetadata(other, { labels: { a: 'b' } })).rejects.toEqual(reason('Conflict'))
    const seen = { ...other, metadata: { ...other.metadata, resourceVersion: made.metadata.resourceVersion as string } }
    await expect(api().updateStatus({ ...seen, status: status('x') })).rejects.toEqual(reason('Conflict'))
    expect(await api().get(flinkJobs, 'default', made.metadata.name)).toEqual(made)
  })

  test('what was read can be made or applied under another name: what the server said of it is ignored', async () => {
    const made = await api().create(job(fresh(), {}, { labels: { a: 'b' } }))
    const copy = (name: string) => ({ ...made, metadata: { ...made.metadata, name } })
    const second = await api().create(copy(fresh()))
    expect(second).toMatchObject({ spec: made.spec, metadata: { labels: { a: 'b' }, generation: 1 } })
    expect(second.metadata.uid).not.toBe(made.metadata.uid)
    const { resourceVersion: _version, ...anyVersion } = second.metadata
    expect((await api().apply({ ...second, metadata: anyVersion }, 'one')).metadata.uid).toBe(second.metadata.uid)
    expect(second.metadata).not.toHaveProperty('managedFields')
  })

  test('a kind without a status has none to write', async () => {
    const made = await api().create(configMap(fresh()))
    await expect(api().updateStatus({ ...made, status: {} })).rejects.toEqual(reason('NotFound'))
  })

  test('an object that is too large is refused, whoever minds', async () => {
    const large = (size: number) => job(fresh(), { podTemplate: { metadata: { annotations: { large: 'x'.repeat(size) } } } })
    for (const size of [1_700_000, 4_000_000]) await expect(api().create(large(size))).rejects.toEqual(reason('RequestEntityTooLarge'))
    await api().create(large(1_300_000))
  })

  test('a kind without a spec counts no generations', async () => {
    const made = await api().create(configMap(fresh(), { a: '1' }))
    expect(made).toMatchObject({ data: { a: '1' } })
    expect(made.metadata.generation).toBeUndefined()
  })

  test('deleted, it is gone; with finalizers it waits for the last one, and takes no new one', async () => {
    const plain = await api().create(job(fresh()))
    await api().delete(flinkJobs, 'default', plain.metadata.name)
    await expect(api().get(flinkJobs, 'default', plain.metadata.name)).rejects.toEqual(reason('NotFound'))

    const name = fresh()
    await api().create(job(name, {}, { finalizers: ['millrace.dev/one', 'millrace.dev/two'] }))
    await api().delete(flinkJobs, 'default', name)
    const held = await api().get(flinkJobs, 'default', name)
    expect(held.metadata).toMatchObject({ deletionTimestamp: expect.stringMatching(/Z$/), generation: 2 })
    await api().delete(flinkJobs, 'default', name)
    expect((await api().get(flinkJobs, 'default', name)).metadata.resourceVersion).toBe(held.metadata.resourceVersion)
    await expect(api().patchMetadata(held, { finalizers: ['millrace.dev/one', 'millrace.dev/three'] })).rejects.toEqual(reason('Invalid'))
    await expect(api().apply(job(name, {}, { finalizers: ['millrace.dev/three'] }), 'one')).rejects.toEqual(reason('Invalid'))
    await api().updateStatus({ ...held, status: status('going') })
    const one = await api().patchMetadata(await api().get(flinkJobs, 'default', name), { finalizers: ['millrace.dev/one'] })
    await api().patchMetadata(one, { finalizers: [] })
    await expect(api().get(flinkJobs, 'default', name)).rejects.toEqual(reason('NotFound'))
  })

  test('deleted as another object, or as another version, it is refused', async () => {
    const name = fresh()
    const made = await api().create(configMap(name))
    await expect(api().delete(configMaps, 'default', name, { uid: '00000000-0000-0000-0000-000000000000' })).rejects.toEqual(reason('Conflict'))
    await api().patchMetadata(made, { labels: { a: 'b' } })
    const stale = made.metadata.resourceVersion as string
    await expect(api().delete(configMaps, 'default', name, { resourceVersion: stale })).rejects.toEqual(reason('Conflict'))
    await api().delete(configMaps, 'default', name, { uid: made.metadata.uid as string })
    await expect(api().get(configMaps, 'default', name)).rejects.toEqual(reason('NotFound'))
  })

  test('a pod on a node, deleted, stays until its kubelet says that it has ended; one without a node goes at once', async () => {
    const pod = (name: string, spec: object) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { containers: [{ name: 'main', image: 'example/main:1' }], ...spec },
    })
    const [placed, waiting] = [fresh(), fresh()]
    await api().create(pod(placed, { nodeName: 'node-1' }))
    await api().create(pod(waiting, {}))
    for (const name of [placed, waiting]) await api().delete(pods, 'default', name)
    await expect(api().get(pods, 'default', waiting)).rejects.toEqual(reason('NotFound'))
    const ending = await api().get(pods, 'default', placed)
    expect(Date.parse(ending.metadata.deletionTimestamp ?? '') - Date.parse(ending.metadata.creationTimestamp ?? '')).toBeGreaterThanOrEqual(30_000)
    await api().updateStatus({ ...ending, status: { phase: 'Running' } })
    await api().delete(pods, 'default', placed, { isForced: true })
    await expect(api().get(pods, 'default', placed)).rejects.toEqual(reason('NotFound'))
  })

  test('lists are those of a namespace, or with labels', async () => {
    const label = fresh()
    for (const [name, namespace, color] of [
      ['a', 'default', 'red'],
      ['b', 'default', 'blue'],
      ['a', 'kube-system', 'red'],
    ] as const)
      await api().create(configMap(`${label}-${name}`, {}, { namespace, labels: { test: label, color } }))
    const found = async (selection: Parameters<ObjectApi['list']>[1]) =>
      (await api().list(configMaps, selection)).items.map(({ metadata }) => `${metadata.namespace}/${metadata.name.slice(label.length + 1)}`)
    expect(await found({ labels: { test: label } })).toEqual(['default/a', 'default/b', 'kube-system/a'])
    expect(await found({ namespace: 'default', labels: { test: label } })).toEqual(['default/a', 'default/b'])
    expect(await found({ labels: { test: label, color: 'red' } })).toEqual(['default/a', 'kube-system/a'])
    const [first] = (await api().list(configMaps, { namespace: 'kube-system', labels: { test: label } })).items
    expect(first).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
  })

  test('watched from a version on: each change once, in order, of the selection only', async () => {
    const label = fresh()
    const { resourceVersion } = await api().list(configMaps, { namespace: 'default' })
    const seen = watching(api(), { namespace: 'default', labels: { test: label }, resourceVersion })
    const one = await api().create(configMap(`${label}-one`, {}, { labels: { test: label } }))
    await api().create(configMap(`${label}-other`, {}, { labels: { test: 'no' } }))
    const changed = await api().apply(configMap(`${label}-one`, { a: '1' }), 'watch')
    const left = await api().patchMetadata(changed, { labels: { test: 'no' } })
    const back = await api().patchMetadata(left, { labels: { test: label } })
    await api().delete(configMaps, 'default', `${label}-one`)
    const events = await seen.take(5)
    await seen.stop()
    expect(events.map(({ type }) => type)).toEqual(['ADDED', 'MODIFIED', 'DELETED', 'ADDED', 'DELETED'])
    expect(events[0]).toEqual({ type: 'ADDED', object: one })
    expect(events[1]).toEqual({ type: 'MODIFIED', object: changed })
    expect(events[3]).toEqual({ type: 'ADDED', object: back })
    const versions = events.map(event => Number(event.type === 'BOOKMARK' ? 0 : event.object.metadata.resourceVersion))
    expect([...versions].sort((a, b) => a - b)).toEqual(versions)
  })

  test('watched from an earlier version: what has happened since comes first', async () => {
    const label = fresh()
    const { resourceVersion } = await api().list(configMaps)
    await api().create(configMap(`${label}-one`, {}, { labels: { test: label } }))
    await api().delete(configMaps, 'default', `${label}-one`)
    const seen = watching(api(), { labels: { test: label }, resourceVersion })
    expect((await seen.take(2)).map(({ type }) => type)).toEqual(['ADDED', 'DELETED'])
    await seen.stop()
  })

  test('watched from a version that is forgotten: it is said', async () => {
    const { compact } = subject()
    if (compact === undefined) return expect(compact).toBeUndefined()
    const { resourceVersion } = await api().list(configMaps)
    await api().create(configMap(fresh()))
    await compact()
    const controller = new AbortController()
    const watched = (async () => {
      for await (const event of api().watch(configMaps, { resourceVersion }, controller.signal)) if (event.type !== 'BOOKMARK') return event
      return 'ended'
    })()
    const error = await watched.catch((thrown: unknown) => thrown)
    controller.abort()
    expect(isReason(error, 'Expired'), String(error)).toBe(true)
  })

  test('what has lost its last owner goes', async () => {
    const { collectGarbage } = subject()
    if (collectGarbage === undefined) return expect(collectGarbage).toBeUndefined()
    const [a, b] = [await api().create(configMap(fresh())), await api().create(configMap(fresh()))]
    const name = fresh()
    await api().create(configMap(name, {}, { ownerReferences: [ownerOf(a), ownerOf(b)] }))
    await api().delete(configMaps, 'default', a.metadata.name)
    await collectGarbage()
    await api().get(configMaps, 'default', name)
    await api().delete(configMaps, 'default', b.metadata.name)
    await collectGarbage()
    await expect(api().get(configMaps, 'default', name)).rejects.toEqual(reason('NotFound'))
  })

  test('what is handed out is changed by nobody afterwards', async () => {
    const name = fresh()
    const given = configMap(name, { a: '1' })
    const made = await api().create(given)
    const copy = structuredClone(made)
    await api().apply(configMap(name, { a: '2' }), 'one')
    expect(made).toEqual(copy)
    expect(given).toEqual(configMap(name, { a: '1' }))
  })
}

type From = Parameters<ObjectApi['watch']>[1]

/** Bookmarks are left out. */
function watching(api: ObjectApi, from: From) {
  const controller = new AbortController()
  const seen: WatchEvent[] = []
  let wake = () => {}
  const done = (async () => {
    for await (const event of api.watch(configMaps, from, controller.signal)) {
      if (event.type !== 'BOOKMARK') seen.push(event)
      wake()
    }
  })()
  return {
    async take(wanted: number): Promise<readonly WatchEvent[]> {
      while (seen.length < wanted)
        await Promise.race([
          new Promise<void>(resolve => {
            wake = resolve
          }),
          done,
        ])
      return seen
    },
    async stop() {
      controller.abort()
      await done
    },
  }
}
