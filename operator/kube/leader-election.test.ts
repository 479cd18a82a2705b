import { expect, test } from 'vitest'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { SimClock } from '../../test/support/sim-clock.ts'
import { LeaderElection } from './leader-election.ts'
import { LocalApiServer } from './local-api-server.ts'
import { KubeError, type ObjectApi } from './object-api.ts'
import { leases } from './resources.ts'

function world() {
  const clock = new SimClock()
  const server = new LocalApiServer({ clock, random: seededRandom(1) })
  const leadingNow = new Set<string>()
  const history: string[] = []
  let seed = 1
  const candidate = (identity: string) => {
    let isCut = false
    let hangs = false
    const stopping = new AbortController()
    const guarded = new Proxy(server, {
      get(target, key) {
        const value = target[key as keyof LocalApiServer]
        if (typeof value !== 'function') return value
        return async (...args: never[]) => {
          if (hangs) return new Promise(() => {})
          if (isCut) throw new KubeError('Unreachable', 'cut')
          return (value as (...args: never[]) => unknown).apply(target, args)
        }
      },
    }) as ObjectApi
    const election = new LeaderElection({
      api: guarded,
      namespace: 'millrace',
      name: 'operator',
      identity,
      clock,
      random: seededRandom(seed++),
      log: noLog,
    })
    const ended = election.run(async leading => {
      expect([...leadingNow], 'never two at once').toEqual([])
      leadingNow.add(identity)
      history.push(identity)
      await new Promise<void>(resolve => leading.addEventListener('abort', () => resolve()))
      leadingNow.delete(identity)
    }, stopping.signal)
    return {
      ended,
      stop: () => stopping.abort(),
      cut: (value: boolean) => {
        isCut = value
      },
      hang: () => {
        hangs = true
      },
    }
  }
  const spec = async () => (await server.get(leases, 'millrace', 'operator')).spec
  return { clock, server, candidate, leadingNow, history, spec }
}

test('one leads and renews; who stops gives the lease back, and the next one need not wait for its end', async () => {
  const { clock, candidate, leadingNow, history, spec } = world()
  const a = candidate('a')
  await clock.run(10)
  const b = candidate('b')
  await clock.run(120_000)
  expect([...leadingNow]).toEqual(['a'])
  expect(await spec()).toMatchObject({
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    leaseTransitions: 0,
    renewTime: expect.stringMatching(/\.\d{6}Z$/),
  })
  a.stop()
  await clock.run(3_000)
  expect(await a.ended).toBe('ended')
  expect([...leadingNow]).toEqual(['b'])
  expect(await spec()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 })
  b.stop()
  await clock.run(3_000)
  expect(await b.ended).toBe('ended')
  expect(history).toEqual(['a', 'b'])
})

test.each(['cut', 'hang'] as const)('who cannot renew (%s) stops leading before another one begins', async how => {
  const { clock, candidate, leadingNow, history } = world()
  const a = candidate('a')
  await clock.run(10)
  const b = candidate('b')
  await clock.run(20_000)
  if (how === 'cut') a.cut(true)
  else a.hang()
  const deadlineMs = clock.monotonicMs() + 13_000
  await clock.runUntil(() => leadingNow.size === 0, 60_000)
  expect(clock.monotonicMs()).toBeLessThan(deadlineMs)
  await clock.runUntil(() => leadingNow.has('b'), 60_000)
  expect(history).toEqual(['a', 'b'])
  expect(await a.ended).toBe('lost')
  b.stop()
  await clock.run(3_000)
  await b.ended
})

test('a clock that is set wrong changes nothing', async () => {
  const { clock, candidate, leadingNow, history } = world()
  const a = candidate('a')
  await clock.run(10)
  const b = candidate('b')
  await clock.run(10_000)
  clock.jump(3_600_000)
  await clock.run(60_000)
  clock.jump(-7_200_000)
  await clock.run(60_000)
  expect([...leadingNow]).toEqual(['a'])
  expect(history).toEqual(['a'])
  a.stop()
  b.stop()
  await clock.run(5_000)
  await Promise.all([a.ended, b.ended])
})

test('of many that begin at once one leads', async () => {
  const { clock, candidate, leadingNow } = world()
  const all = Array.from({ length: 8 }, (_, n) => candidate(`c${n}`))
  await clock.run(60_000)
  expect(leadingNow.size).toBe(1)
  for (const each of all) each.stop()
  await clock.run(30_000)
  expect(await Promise.all(all.map(({ ended }) => ended))).toEqual(all.map(() => 'ended'))
})
