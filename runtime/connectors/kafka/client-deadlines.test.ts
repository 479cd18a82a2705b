import { afterEach, describe, expect, test } from 'vitest'
import { BlackHole } from '../../../test/support/black-hole.ts'
import { RecordingEnumeratorContext } from '../../../test/support/connector-harness.ts'
import { ScriptedBroker } from '../../../test/support/scripted-broker.ts'
import { createLogger, type LogEntry } from '../../common/log.ts'
import { createKafkaClient, type KafkaClient } from './client.ts'
import { kafkaEnumerator } from './kafka-enumerator.ts'
import { parseProperties, settingsJson } from './settings.ts'

/** Real sockets and the system's clock: what brokers do that do not answer. */
const toClose: { close(): unknown }[] = []
afterEach(async () => {
  for (const each of toClose.splice(0).reverse()) await each.close()
})

async function blackHole(): Promise<BlackHole> {
  const hole = await BlackHole.open()
  toClose.push(hole)
  return hole
}

async function broker(behaviour: ScriptedBroker['behaviour'] = 'answers'): Promise<ScriptedBroker> {
  const started = await ScriptedBroker.start('t', 2)
  started.behaviour = behaviour
  toClose.push(started)
  return started
}

function settingsOf(servers: readonly string[], properties: Readonly<Record<string, string>>) {
  return parseProperties(new Map([['bootstrap.servers', servers.join(',')], ...Object.entries(properties)])).settings
}

function clientOf(servers: readonly string[], properties: Readonly<Record<string, string>>): KafkaClient {
  const client = createKafkaClient(settingsOf(servers, properties))
  toClose.push(client)
  return client
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly outcome: T | Error }> {
  const startMs = performance.now()
  const outcome = await work().catch((error: Error) => error)
  return { ms: performance.now() - startMs, outcome }
}

/** Loading the package counts towards the first connection. */
await createKafkaClient(settingsOf(['127.0.0.1:1'], {}))
  .metadata(['t'])
  .catch(() => {})

describe('deadlines of the kafka client', () => {
  test('socket.connection.setup.timeout.ms ends an attempt to connect that nobody answers', async () => {
    const hole = await blackHole()
    const { ms, outcome } = await timed(() => clientOf([`127.0.0.1:${hole.port}`], { 'socket.connection.setup.timeout.ms': '400' }).metadata(['t']))
    expect(outcome).toMatchObject({ code: 'CONNECTION_REFUSED', message: expect.stringContaining(`kafka broker 127.0.0.1:${hole.port}`) })
    expect(ms).toBeGreaterThanOrEqual(390)
    expect(ms).toBeLessThan(3_000)
  })

  test('request.timeout.ms ends a request that a broker takes and never answers, apart from connecting', async () => {
    const silent = await broker('silent')
    const { ms, outcome } = await timed(() =>
      clientOf([silent.address], { 'request.timeout.ms': '600', 'fetch.max.wait.ms': '100', 'socket.connection.setup.timeout.ms': '100' }).metadata([
        't',
      ]),
    )
    expect(outcome).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('within 600 ms') })
    expect(ms).toBeGreaterThanOrEqual(590)
    expect(ms).toBeLessThan(3_000)
  })

  test('a broker that takes connections and closes them is a lost connection, at once', async () => {
    const closing = await broker('closes')
    const { ms, outcome } = await timed(() => clientOf([closing.address], {}).metadata(['t']))
    expect(outcome).toMatchObject({ code: 'CONNECTION_LOST' })
    expect(ms).toBeLessThan(3_000)
  })

  test('12 addresses, 4 of them black holes: each costs one attempt to connect, once; then they come last, and current metadata first', async () => {
    const hole = await blackHole()
    const holes = [1, 2, 3, 4].map(i => `127.0.0.${i}:${hole.port}`)
    const live = await Promise.all(Array.from({ length: 8 }, () => broker()))
    const client = clientOf([...holes, ...live.map(({ address }) => address)], { 'socket.connection.setup.timeout.ms': '300' })
    const first = await timed(() => client.metadata(['t']))
    expect(first.outcome).toMatchObject({ brokers: [{ nodeId: 1 }] })
    expect(first.ms).toBeGreaterThanOrEqual(4 * 290)
    expect(first.ms).toBeLessThan(4 * 300 + 3_000)
    expect(client.unreachable()).toEqual(holes)
    // The first live one answered, and names itself.
    expect(live.map(({ connectionCount }) => connectionCount)).toEqual([1, 0, 0, 0, 0, 0, 0, 0])
    const [gone, next] = live as [ScriptedBroker, ScriptedBroker]
    const goneAddress = gone.address
    await gone.close()
    toClose.splice(toClose.indexOf(gone), 1)
    const second = await timed(() => client.metadata(['t']))
    expect(second.ms).toBeLessThan(4 * 290)
    expect(next.connectionCount).toBe(1)
    expect(client.unreachable()).toEqual([...holes, goneAddress])
  })
})

describe('discovery and cancel with brokers that do not answer', () => {
  function enumerate(servers: readonly string[], properties: Readonly<Record<string, string>> = {}) {
    const logged: LogEntry[] = []
    const context = Object.assign(new RecordingEnumeratorContext(1), { log: createLogger(entry => logged.push(entry)) })
    const settings = settingsJson(settingsOf(servers, properties))
    const options = { topics: ['t'], startingOffsets: 'earliest', bounded: false, settings, ignoredProperties: [] }
    const enumerator = kafkaEnumerator(options, context)
    enumerator.addReader(0)
    return { context, enumerator, logged, started: enumerator.start() }
  }

  test('closing ends a pass that waits for a connection or an answer, at once, and leaves no socket', async () => {
    const hole = await blackHole()
    const silent = await broker('silent')
    for (const server of [`127.0.0.1:${hole.port}`, silent.address]) {
      const { context, enumerator, started } = enumerate([server])
      await expect.poll(() => server !== silent.address || silent.requests.length > 0).toBe(true)
      const { ms } = await timed(async () => enumerator.close())
      expect(ms).toBeLessThan(1_000)
      await started
      expect([context.failure, context.assigned]).toEqual([undefined, [[]]])
    }
    await expect.poll(() => silent.open).toBe(0)
  })

  test('a broker that stops answering while partitions are looked for: shown, repeated, and found again when it answers', async () => {
    const flaky = await broker('silent')
    const { context, enumerator, logged, started } = enumerate([flaky.address], {
      'request.timeout.ms': '150',
      'fetch.max.wait.ms': '100',
      'default.api.timeout.ms': '400',
      'retry.backoff.max.ms': '100',
      'partition.discovery.interval.ms': '100',
    })
    const failures = () => logged.filter(({ message }) => message === 'kafka partition discovery failed, trying again')
    await expect.poll(() => failures().length, { timeout: 5_000 }).toBeGreaterThanOrEqual(2)
    expect(Number(/within (\d+) ms \(default\.api\.timeout\.ms\)/.exec(String(failures()[0]?.fields['reason']))?.[1])).toBeGreaterThanOrEqual(400)
    flaky.behaviour = 'answers'
    await started
    expect(context.assigned[0]?.map(({ splitId }) => splitId)).toEqual(['t-0', 't-1'])
    flaky.behaviour = 'closes'
    const before = failures().length
    await expect.poll(() => flaky.connectionCount, { timeout: 5_000 }).toBeGreaterThan(3)
    flaky.behaviour = 'silent'
    await expect.poll(() => failures().length, { timeout: 5_000 }).toBeGreaterThan(before)
    expect(context.failure).toBeUndefined()
    expect(context.assigned[0]?.length).toBe(2)
    await enumerator.close()
  })
})
