import { expect, test } from 'vitest'
import { systemClock } from '../../runtime/common/clock.ts'
import type { KubeObject, ObjectApi } from '../kube/object-api.ts'
import type { Caches } from './caches.ts'
import { createFlinkJobObjects } from './flink-job-objects.ts'

const key = { namespace: 'default', name: 'job' }
const object = (uid: string): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { ...key, uid, generation: 1, deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['millrace.dev/cleanup'] },
  spec: { job: { script: 'export default () => 1' } },
})

test('a job whose last finalizer has gone is gone, though the cache still has it; another one of its name is there', async () => {
  let cached: KubeObject | undefined = object('1')
  const caches: Partial<Caches> = { get: () => cached, list: () => [], labelled: () => [], seen: () => {} }
  const api: Partial<ObjectApi> = {
    patchMetadata: async (patched, { finalizers = [] }) => ({ ...patched, metadata: { ...patched.metadata, finalizers } }),
  }
  // Nothing else is asked for here.
  const objects = createFlinkJobObjects({
    api: api as ObjectApi,
    caches: caches as Caches,
    clock: systemClock,
    optionTables: [],
    sessionOptions: () => undefined,
  })
  expect((await objects.read(key))?.job.metadata.uid).toBe('1')
  await objects.writeFinalizers(key, ['example.com/other'])
  expect((await objects.read(key))?.job.metadata.uid).toBe('1')
  await objects.writeFinalizers(key, [])
  expect(await objects.read(key)).toBeUndefined()
  cached = object('2')
  expect((await objects.read(key))?.job.metadata.uid).toBe('2')
  cached = undefined
  expect(await objects.read(key)).toBeUndefined()
})
