import { expect, test } from 'vitest'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { ExchangeScope } from '../network/exchange-scope.ts'
import { PagePool } from '../network/page-pool.ts'
import { DataPlane, type ExchangePort } from './data-plane.ts'

/** A pool of so many pages, and an exchange that lets go when the test says so. */
function planeOf(pages: number) {
  const releasing: ExchangeScope[] = []
  const ignore = () => {}
  const exchange: ExchangePort = { serve: ignore, fetch: ignore, store: ignore, feed: ignore, release: scope => void releasing.push(scope) }
  const plane = new DataPlane(new PagePool(pages), exchange, 2, 0)
  // What else stands in it nobody here looks at.
  const deployment = (attempt: number, channels: number) => {
    const outputs = [{ channels: Array.from({ length: channels }, (_, i) => ({ channelId: `c${i}`, peer: { kind: 'remote' } })) }]
    const scope = { jobId: 'job', generation: 1, region: 0, attempt, allocationId: 'slot' }
    return { ...scope, tasks: [{ executionId: 'e', outputs, inputs: [] }] } as unknown as SlotDeployment
  }
  const letGo = () => {
    for (const scope of releasing.splice(0)) plane.onExchangeReleased(scope)
  }
  return { plane, deployment, letGo }
}

test('an attempt that takes more than half of the pages waits for those of the one before, which the exchange still holds', async () => {
  const { plane, deployment, letGo } = planeOf(10)
  const before = deployment(0, 3)
  await plane.wire(before)
  plane.release(before, false)
  const wiring = plane.wire(deployment(1, 4))
  letGo()
  expect(Object.keys(await wiring)).toEqual(['c0', 'c1', 'c2', 'c3'])
})

test('with nothing on its way back, pages that are not there are an error', async () => {
  const { plane, deployment, letGo } = planeOf(10)
  const before = deployment(0, 3)
  await plane.wire(before)
  await expect(plane.wire(deployment(1, 4))).rejects.toMatchObject({ code: 'INSUFFICIENT_NETWORK_BUFFERS' })
  letGo()
  plane.release(before, false)
  const tooMuch = expect(plane.wire(deployment(2, 6))).rejects.toMatchObject({ code: 'INSUFFICIENT_NETWORK_BUFFERS' })
  letGo()
  await tooMuch
})
