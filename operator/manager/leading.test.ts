import { expect, test } from 'vitest'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { SimClock } from '../../test/support/sim-clock.ts'
import { LeaderElection } from '../kube/leader-election.ts'
import { LocalApiServer } from '../kube/local-api-server.ts'
import { KubeError, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { flinkJobs } from '../kube/resources.ts'
import { Manager } from './manager.ts'

/** Managers that run while they lead, at one API server that each can be cut off from. */
function world() {
  const clock = new SimClock()
  const server = new LocalApiServer({ clock, random: seededRandom(1) })
  const passes: string[] = []
  let seed = 10
  const operator = (identity: string, during: () => Promise<void> = async () => {}) => {
    let isCut = false
    const stopping = new AbortController()
    const api = new Proxy(server, {
      get(target, key) {
        const value = target[key as keyof LocalApiServer]
        if (typeof value !== 'function') return value
        return (...args: never[]) => {
          if (isCut) throw new KubeError('Unreachable', 'cut')
          return (value as (...args: never[]) => unknown).apply(target, args)
        }
      },
    }) as ObjectApi
    const election = new LeaderElection({
      api,
      namespace: 'millrace',
      name: 'operator',
      identity,
      clock,
      random: seededRandom(seed++),
      log: noLog,
    })
    const ended = election.run(leading => {
      const manager = new Manager({
        api,
        clock,
        random: seededRandom(seed++),
        log: noLog,
        controllers: [
          {
            type: flinkJobs,
            async reconcile({ name }) {
              passes.push(`${identity} ${name}`)
              await during()
              return undefined
            },
          },
        ],
      })
      return manager.run(leading)
    }, stopping.signal)
    return {
      ended,
      stop: () => stopping.abort(),
      cut() {
        isCut = true
      },
    }
  }
  const create = (name: string) =>
    server.create({
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'FlinkJob',
      metadata: { name, namespace: 'default' },
      spec: { job: { sql: 'SELECT 1' } },
    } satisfies KubeObject)
  return { clock, passes, operator, create }
}

test('of two operators only the one that leads makes passes; when it stops, the other one makes them', async () => {
  const { clock, passes, operator, create } = world()
  const a = operator('a')
  await clock.run(100)
  const b = operator('b')
  await create('one')
  await clock.run(60_000)
  expect(passes).toEqual(['a one'])
  a.stop()
  await clock.run(5_000)
  expect(await a.ended).toBe('ended')
  await create('two')
  await clock.run(1_000)
  expect([...passes].sort()).toEqual(['a one', 'b one', 'b two'])
  b.stop()
  await clock.run(5_000)
  expect(await b.ended).toBe('ended')
})

test('an operator that is cut off from its lease begins no pass once the other one leads, whatever waits in its queue', async () => {
  const { clock, passes, operator, create } = world()
  const gate = Promise.withResolvers<void>()
  const a = operator('a', () => gate.promise)
  await clock.run(100)
  const b = operator('b')
  // As many as there are workers: the others wait.
  for (let n = 0; n < 68; n++) await create(`job-${n}`)
  await clock.run(1_000)
  expect(passes.length).toBe(64)
  a.cut()
  await clock.run(40_000)
  expect(passes.filter(pass => pass.startsWith('b')).length).toBe(68)
  // Its passes end long after the loss: what waited behind them is dropped.
  gate.resolve()
  await clock.run(5_000)
  expect(await a.ended).toBe('lost')
  expect(passes.filter(pass => pass.startsWith('a')).length).toBe(64)
  b.stop()
  await clock.run(5_000)
  expect(await b.ended).toBe('ended')
})
