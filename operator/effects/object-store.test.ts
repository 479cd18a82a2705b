import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FlinkJob } from '../api/flink-job.ts'
import { createFileStore } from './object-store.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const fresh: FlinkJob = {
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name: 'a', namespace: 'default', generation: 1, resourceVersion: '1', uid: 'u' },
  spec: {
    job: { module: 'job.ts', entryClass: 'default', args: [], state: 'running', upgradeMode: 'stateless', fallback: 'none' },
    flinkConfiguration: {},
    taskManager: {},
  },
}
const status = { lifecycleState: 'UPGRADING', jobManagerDeploymentStatus: 'MISSING', conditions: [] } as const

test('writes count versions, spec changes count generations, a deletion is marked once', async () => {
  const store = createFileStore(join(folder, 'x', 'flinkjob.json'))
  await store.create(fresh)
  const written = await store.writeStatus(fresh, status)
  expect(written).toMatchObject({ status, metadata: { resourceVersion: '2', generation: 1 } })
  const edited = await store.writeSpec(written, { ...fresh.spec, taskManager: { replicas: 2 } })
  expect(edited).toMatchObject({ status, metadata: { resourceVersion: '3', generation: 2 } })
  const deleted = await store.markDeleted(edited, 0)
  expect((await store.markDeleted(deleted, 5_000)).metadata.deletionTimestamp).toBe('1970-01-01T00:00:00.000Z')
  expect((await store.read()).metadata.resourceVersion).toBe('5')
})

test('a write that names an old version is refused and changes nothing', async () => {
  const store = createFileStore(join(folder, 'flinkjob.json'))
  await store.create(fresh)
  await store.writeStatus(fresh, status)
  await expect(store.writeStatus(fresh, { ...status, lifecycleState: 'FAILED' })).rejects.toMatchObject({ code: 'CONFLICT' })
  expect((await store.read()).status?.lifecycleState).toBe('UPGRADING')
})

test('an object that is not there is named', async () => {
  await expect(createFileStore(join(folder, 'none.json')).read()).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
