import { expect, test } from 'vitest'
import { seededRandom } from '../../../runtime/common/random.ts'
import { SimClock } from '../../../test/support/sim-clock.ts'
import { LocalApiServer } from '../../kube/local-api-server.ts'
import { KubeError, type ObjectApi } from '../../kube/object-api.ts'
import { createRecentWarnings } from './recent-warnings.ts'

test('warnings of a namespace are listed for all who look, once in a while; a list that failed is tried again', async () => {
  const clock = new SimClock()
  const server = new LocalApiServer({ clock, random: seededRandom(1) })
  let lists = 0
  let isDown = false
  const list: ObjectApi['list'] = async (...given) => {
    lists++
    if (isDown) throw new KubeError('ServiceUnavailable', 'not now')
    return server.list(...given)
  }
  const warnings = createRecentWarnings({ list } as ObjectApi, clock)
  const event = (name: string, type: string, namespace = 'jobs') =>
    server.create({ apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { name, namespace }, type, reason: 'Failed' })
  const names = async () => (await warnings('jobs')).map(({ metadata }) => metadata.name)

  await event('bad', 'Warning')
  await event('good', 'Normal')
  await event('elsewhere', 'Warning', 'other')
  expect(await Promise.all([names(), names(), names()])).toEqual([['bad'], ['bad'], ['bad']])
  expect(lists).toBe(1)
  await event('late', 'Warning')
  await clock.run(4_900)
  expect([await names(), lists]).toEqual([['bad'], 1])
  isDown = true
  await clock.run(200)
  await expect(names()).rejects.toThrow('not now')
  isDown = false
  expect([await names(), lists]).toEqual([['bad', 'late'], 3])
})
