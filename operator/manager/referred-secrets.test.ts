import { expect, test } from 'vitest'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { KubeError, type KubeObject, type ResourceType } from '../kube/object-api.ts'
import { createReferredSecrets } from './referred-secrets.ts'

test('a Secret is got by name, its metadata alone, once a minute; none that nobody asks for', async () => {
  const clock = new SimulatedClock()
  const asked: string[] = []
  let version: string | undefined = '1'
  let failure: Error | undefined
  const get = async (type: ResourceType, namespace: string, name: string): Promise<KubeObject> => {
    asked.push(`${type.plural} ${namespace}/${name}${type.isMetadataOnly === true ? ', metadata' : ''}`)
    if (failure !== undefined) throw failure
    if (version === undefined) throw new KubeError('NotFound', 'none')
    return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace, uid: 'u', resourceVersion: version } }
  }
  const secrets = createReferredSecrets({ get }, clock)
  expect(await secrets.version('jobs', 'key')).toBe('u/1')
  version = '2'
  clock.advanceBy(59_999)
  expect(await secrets.version('jobs', 'key')).toBe('u/1')
  clock.advanceBy(1)
  expect(await secrets.version('jobs', 'key')).toBe('u/2')
  version = undefined
  expect(await secrets.version('jobs', 'other')).toBeUndefined()
  expect(asked).toEqual(['secrets jobs/key, metadata', 'secrets jobs/key, metadata', 'secrets jobs/other, metadata'])
  // What is not known is not taken for a Secret that is not there.
  failure = new KubeError('Forbidden', 'secrets is forbidden')
  clock.advanceBy(60_000)
  await expect(secrets.version('jobs', 'key')).rejects.toThrow('secrets is forbidden')
})
