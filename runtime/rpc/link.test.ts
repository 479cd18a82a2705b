import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SimClock } from '../../test/support/sim-clock.ts'
import { calmNetwork, SimNetwork } from '../../test/support/sim-network.ts'
import { FlinkError } from '../common/errors.ts'
import { seededRandom } from '../common/random.ts'
import { RpcLink } from './link.ts'
import { checkPayload, type JobManagerMethods } from './messages.ts'

async function pair(seed: number, faults = calmNetwork) {
  const clock = new SimClock()
  const network = new SimNetwork(clock, seededRandom(seed))
  const accepted = Promise.withResolvers<RpcLink<JobManagerMethods>>()
  await network
    .transport('jm')
    .listen({ host: 'jm', port: 1, token: 't', onConnection: connection => accepted.resolve(new RpcLink(connection, { clock })) })
  const connecting = network.transport('tm').connect({ host: 'jm', port: 1, token: 't', role: 'taskmanager', id: 'tm', timeoutMs: 1_000 })
  await clock.run(100)
  const client = new RpcLink<JobManagerMethods>(await connecting, { clock })
  network.faults = faults
  return { clock, network, client, server: await accepted.promise }
}

const request = (n: number) => ({ generation: 1, jobId: 'j', executionId: String(n), operatorId: 'o' })

test('ordered calls arrive exactly once and in order, whatever the network drops, doubles and reorders', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 40 }), fc.double({ min: 0, max: 0.6, noNaN: true }), async (seed, count, chance) => {
      const { clock, client, server } = await pair(seed, { delayMaxMs: 3_000, dropChance: chance, duplicateChance: chance })
      const seen: string[] = []
      server.serve((_, payload) => {
        seen.push(String(payload['executionId']))
        if (seen.length % 5 === 0) throw new FlinkError('NOT_FOUND', `refused ${seen.length}`)
        return null
      })
      const outcomes: Promise<string>[] = []
      for (let i = 0; i < count; i++) {
        outcomes.push(
          client.callInOrder('splitRequest', request(i)).then(
            () => 'ok',
            (error: FlinkError) => error.message,
          ),
        )
        await clock.run(seededRandom(seed + i).nextInt(500))
      }
      let settled = false
      const all = Promise.all(outcomes)
      void all.then(() => {
        settled = true
      })
      expect(await clock.runUntil(() => settled, 10_000_000)).toBe(true)
      expect(seen).toEqual(Array.from({ length: count }, (_, i) => String(i)))
      // An error is an answer too: it is told once more to whoever asks again, and the handler does not run again.
      expect(await all).toEqual(Array.from({ length: count }, (_, i) => ((i + 1) % 5 === 0 ? `refused ${i + 1}` : 'ok')))
    }),
    { numRuns: 60 },
  )
})

test('ordered calls that are under way when the connection ends reject with CONNECTION_LOST', async () => {
  const { clock, client, server, network } = await pair(1, { ...calmNetwork, dropChance: 1 })
  server.serve(() => null)
  const outcome = client.callInOrder('splitRequest', request(0)).catch((error: FlinkError) => error.code)
  // Once while the answer is awaited, once in the pause before it is sent again.
  await clock.run(10_500)
  expect(network.sentCount).toBe(1)
  client.connection.close('over')
  expect(await outcome).toBe('CONNECTION_LOST')
  await expect(client.callInOrder('splitRequest', request(1))).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
})

test('a payload without what its method needs is refused before any handler sees it', () => {
  expect(() => checkPayload('splitRequest', request(0))).not.toThrow()
  expect(() => checkPayload('splitRequest', { ...request(0), executionId: 0 })).toThrow('rpc splitRequest field executionId is number, not string')
  expect(() => checkPayload('offerSlots', { generation: 1, jobId: 'j', slots: {}, slotVersion: 1 })).toThrow('field slots is object, not array')
  expect(() => checkPayload('heartbeat', { allocations: [], allocationVersion: 0 })).toThrow('rpc heartbeat carries no generation')
  expect(() => checkPayload('toString', { generation: 1 })).toThrow('rpc method toString does not exist')
})
