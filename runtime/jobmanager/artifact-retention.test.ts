import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { noLog } from '../common/log.ts'
import { ArtifactRetention, SUBMIT_GRACE_MS } from './artifact-retention.ts'
import { createMemoryArtifactStore } from './artifact-store.ts'

const bundle = (text: string) => {
  const bytes = new TextEncoder().encode(text)
  return { bytes, digest: createHash('sha256').update(bytes).digest('hex') }
}

function retention() {
  const clock = new SimulatedClock()
  const store = createMemoryArtifactStore()
  const needed = new Set<string>()
  return { clock, store, needed, kept: new ArtifactRetention({ clock, log: noLog, store, isNeeded: digest => needed.has(digest) }) }
}

const a = bundle('a')
const b = bundle('b')
const turn = () => new Promise(resolve => setImmediate(resolve))

test('the bundle of a job that is forgotten is dropped, one that another job has is not', async () => {
  const { clock, store, needed, kept } = retention()
  await kept.put(a.digest, a.bytes)
  await kept.put(b.digest, b.bytes)
  needed.add(a.digest).add(b.digest)
  clock.advanceBy(SUBMIT_GRACE_MS)
  needed.delete(a.digest)
  kept.sweep()
  await turn()
  expect(await store.get(a.digest)).toBeUndefined()
  expect(await store.get(b.digest)).toBeDefined()
})

test('a bundle that was put again a moment ago waits for its job', async () => {
  const { clock, store, kept } = retention()
  await kept.put(a.digest, a.bytes)
  clock.advanceBy(SUBMIT_GRACE_MS)
  await kept.put(a.digest, a.bytes)
  kept.sweep()
  await turn()
  expect(await store.get(a.digest)).toBeDefined()
})

test('a bundle that nobody submitted is dropped when another one is put', async () => {
  const { clock, store, kept } = retention()
  await kept.put(a.digest, a.bytes)
  clock.advanceBy(SUBMIT_GRACE_MS)
  await kept.put(b.digest, b.bytes)
  await turn()
  expect(await store.get(a.digest)).toBeUndefined()
})
