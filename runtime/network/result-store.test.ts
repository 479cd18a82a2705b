import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { MemoryResultFiles } from '../../test/support/memory-result-files.ts'
import { systemClock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import { createLogger, noLog } from '../common/log.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import { createTcpNetwork } from './data-socket.ts'
import { ExchangeClient } from './exchange-client.ts'
import type { ExchangeScope } from './exchange-scope.ts'
import { startExchangeServer } from './exchange-server.ts'
import type { ChannelElement } from './frame.ts'
import { createResultFiles, type ResultFiles } from './result-files.ts'
import { ResultStore } from './result-store.ts'
import { createUnpooledRing } from './ring.ts'
import { RingReader, RingWriter } from './ring-channel.ts'

const strings: TypeSerializer<unknown> = { write: (value, out) => out.string(value as string), read: input => input.string() }
const written: ExchangeScope = { jobId: 'job', generation: 1, region: 0, attempt: 0 }
const reading: ExchangeScope = { ...written, region: 1 }
const silent = { ring: () => {} }

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'result-store-test-'))
  cleanups.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function storeOf(memoryLimit: number, files: ResultFiles, warnings: string[] = []): ResultStore {
  const store = new ResultStore({ memoryLimit, files, log: createLogger(entry => warnings.push(entry.message), 'warn') })
  cleanups.push(() => store.close())
  return store
}

const rowsOf = (channel: string, frame: number) =>
  Array.from({ length: 50 }, (_, i) => `${channel} ${frame}/${i} ${'x'.repeat((frame * 7 + i) % 300)}`)
const frameOf = (rows: readonly string[]): ChannelElement => ({ kind: 'object', rows: [...rows], timestamps: undefined, rowKinds: undefined })

/** A task that writes `frames` frames into each of its channels, to its end. */
async function write(store: ResultStore, executionId: string, channels: readonly string[], frames: number): Promise<void> {
  const writers = channels.map(channelId => {
    const ring = createUnpooledRing(2, 0, channelId, true)
    const writer = new RingWriter(ring, { serializer: strings, doorbell: { ring: () => queueMicrotask(() => store.pump()) } })
    store.accept(written, executionId, ring, silent)
    return { channelId, writer }
  })
  for (let frame = 0; frame < frames; frame++) {
    for (const { channelId, writer } of writers) while (!writer.offer(frameOf(rowsOf(channelId, frame)))) await nextTurn()
  }
  for (const { writer } of writers) {
    while (!writer.offer({ kind: 'end' })) await nextTurn()
    while (!writer.flush()) await nextTurn()
  }
}

/** A slot here that reads a channel to its end, after as many turns for each element. */
async function read(store: ResultStore, channelId: string, turns = 0): Promise<string[]> {
  const ring = createUnpooledRing(2, 0, channelId, true)
  const reader = new RingReader(ring, { serializer: strings, doorbell: { ring: () => queueMicrotask(() => store.pump()) } })
  store.feed(reading, ring, silent)
  return rowsUntilEnd(reader, turns)
}

async function rowsUntilEnd(reader: RingReader, turns = 0): Promise<string[]> {
  const rows: string[] = []
  for (;;) {
    const element = reader.poll()
    if (element?.kind === 'end') return rows
    if (element?.kind === 'object') rows.push(...(element.rows as string[]))
    for (let turn = element === undefined ? 1 : turns; turn > 0; turn--) await nextTurn()
  }
}

const all = (channelId: string, frames: number) => Array.from({ length: frames }, (_, frame) => rowsOf(channelId, frame)).flat()

describe.each([
  ['all of it in memory', 64 * 1024 * 1024, 'memory'],
  ['the first part in memory, the rest on the disk', 300_000, 'both'],
  ['all of it on the disk', 0, 'disk'],
] as const)('a blocking result with %s', (_, memoryLimit, where) => {
  test('is stored without a reader, and read by several, each from its beginning and at its own pace', async () => {
    const directory = folder()
    const store = storeOf(memoryLimit, createResultFiles([directory]))
    await write(store, 'task', ['0/0/0@task', '0/0/1@task'], 60)
    const { memoryBytes, diskBytes } = await store.finish('task')
    expect([memoryBytes > 0, diskBytes > 0]).toEqual([where !== 'disk', where !== 'memory'])
    expect(memoryBytes).toBeLessThanOrEqual(memoryLimit)
    expect(memoryBytes + diskBytes).toBeGreaterThan(800_000)
    expect(readdirSync(directory)).toEqual(where === 'memory' ? [] : ['task'])

    const [first, second, slow] = await Promise.all([read(store, '0/0/0@task'), read(store, '0/0/1@task'), read(store, '0/0/0@task', 3)])
    expect(first).toEqual(all('0/0/0@task', 60))
    expect(second).toEqual(all('0/0/1@task', 60))
    expect(slow).toEqual(first)

    store.release(['task'])
    await store.close()
    expect(readdirSync(directory)).toEqual([])
    expect(store.usage()).toMatchObject({ memoryUsed: 0, results: 0 })
  })

  test('crosses TCP, again after its first reader is gone', async () => {
    const store = storeOf(memoryLimit, createResultFiles([folder()]))
    await write(store, 'task', ['0/0/0@task'], 40)
    await store.finish('task')
    const server = await startExchangeServer({
      network: createTcpNetwork(),
      clock: systemClock,
      log: noLog,
      host: '127.0.0.1',
      port: 0,
      token: 'secret',
      requestTimeoutMs: 10_000,
      openResult: (channelId, onReady) => store.open(channelId, onReady),
    })
    cleanups.push(() => server.close())
    for (const attempt of [0, 1]) {
      const client = new ExchangeClient({
        network: createTcpNetwork(),
        clock: systemClock,
        log: noLog,
        token: 'secret',
        taskManagerId: 'reader',
        requestTimeoutMs: 10_000,
      })
      const ring = createUnpooledRing(2, 0, '0/0/0@task', true)
      const reader = new RingReader(ring, { serializer: strings, doorbell: { ring: () => queueMicrotask(() => client.pump()) } })
      client.request({ ...reading, attempt }, { taskManagerId: 'writer', host: '127.0.0.1', dataPort: server.port }, ring, silent)
      if (attempt === 0) {
        while (reader.poll() === undefined) await nextTurn()
      } else {
        expect(await rowsUntilEnd(reader)).toEqual(all('0/0/0@task', 40))
      }
      client.close()
    }
  })
})

test('what is not finished is not read, and a reader of what is not here is told so', async () => {
  const store = storeOf(0, new MemoryResultFiles())
  await write(store, 'task', ['0/0/0@task'], 1)
  expect(store.open('0/0/0@task', () => {})).toBeUndefined()
  await expect(read(store, '0/0/0@task')).rejects.toThrow('there is no blocking result of channel 0/0/0@task on this taskmanager')
  await store.finish('task')
  expect(await read(store, '0/0/0@task')).toEqual(all('0/0/0@task', 1))
  await expect(store.finish('another')).rejects.toThrow('there is no blocking result another')
})

test('memory goes from those that are released to those that come', async () => {
  const store = storeOf(200_000, new MemoryResultFiles())
  await write(store, 'first', ['0/0/0@first'], 60)
  expect((await store.finish('first')).diskBytes).toBeGreaterThan(0)
  await write(store, 'second', ['0/1/0@second'], 10)
  expect((await store.finish('second')).diskBytes).toBeGreaterThan(30_000)
  store.release(['first', 'second', 'never heard of'])
  await write(store, 'third', ['0/2/0@third'], 10)
  expect(await store.finish('third')).toMatchObject({ diskBytes: 0 })
})

test('a disk that is full is the error of the task that writes, and names the file', async () => {
  const files = new MemoryResultFiles()
  files.limit = 400_000
  const store = storeOf(0, files)
  const message = 'a blocking result could not be written to memory:/task: ENOSPC: no space left on device, write'
  await expect(write(store, 'task', ['0/0/0@task'], 200)).rejects.toThrow(message)
  await expect(store.finish('task')).rejects.toThrow(message)
  store.release(['task'])
  await store.close()
  expect([...files.files.keys()]).toEqual([])
})

test('a folder that cannot be made is named, with what the system said', async () => {
  const parent = folder()
  writeFileSync(join(parent, 'file'), '')
  const path = join(parent, 'file', 'tmp')
  const store = storeOf(0, createResultFiles([path]))
  await write(store, 'task', ['0/0/0@task'], 1)
  await expect(store.finish('task')).rejects.toThrow(`a blocking result could not be written to ${join(path, 'task')}: ENOTDIR`)
})

test('a file that has lost its end fails its reader, and bytes that have changed are no rows', async () => {
  for (const damage of ['cut', 'changed'] as const) {
    const files = new MemoryResultFiles()
    const store = storeOf(0, files)
    await write(store, 'task', ['0/0/0@task'], 60)
    await store.finish('task')
    const bytes = files.files.get('memory:/task') ?? new Uint8Array(0)
    if (damage === 'changed') bytes[bytes.length >> 1]! ^= 1
    else files.files.set('memory:/task', bytes.subarray(0, bytes.length - 1))
    const failure = await read(store, '0/0/0@task').catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(FlinkError)
    expect((failure as FlinkError).message).toMatch(
      damage === 'cut' ? /^a blocking result could not be read from memory:\/task: / : /^corrupt frame on channel 0\/0\/0@task/,
    )
  }
})

test('after detach no ring of the scope is touched, and results stay for others', async () => {
  const store = storeOf(1_000_000, new MemoryResultFiles())
  await write(store, 'task', ['0/0/0@task'], 2)
  await store.finish('task')
  const open = createUnpooledRing(2, 0, '0/1/0@open', true)
  const writer = new RingWriter(open, { serializer: strings, doorbell: silent })
  store.accept(written, 'open', open, silent)
  store.detach(written)
  while (writer.flush() && writer.offer(frameOf(rowsOf('0/1/0@open', 1))));
  store.pump()
  expect(writer.flush() && writer.offer(frameOf(['one more']))).toBe(false)
  const ring = createUnpooledRing(2, 0, '0/0/0@task', true)
  store.feed(reading, ring, silent)
  const reader = new RingReader(ring, { serializer: strings, doorbell: silent })
  store.detach(reading)
  while (reader.poll() !== undefined);
  store.pump()
  expect(reader.poll()).toBeUndefined()
  expect(await read(store, '0/0/0@task')).toEqual(all('0/0/0@task', 2))
})
