import { expect, test } from 'vitest'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { ByteWriter } from '../../common/bytes.ts'
import { noLog } from '../../common/log.ts'
import { KafkaSink } from './kafka-sink.ts'
import { parseProducerProperties } from './producer-settings.ts'

function setUp(kafka: FakeKafka, given: { properties?: Record<string, string>; partitioner?: 'default' | 'fixed'; subtaskIndex?: number } = {}) {
  const { settings, producer } = parseProducerProperties(new Map([['bootstrap.servers', 'a:1'], ...Object.entries(given.properties ?? {})]))
  const clock = new SimulatedClock(1_000)
  const abort = new AbortController()
  const context = { clock, log: noLog, signal: abort.signal, taskManager: { id: 'tm', stdout: () => {}, stderr: () => {} } }
  const sink = new KafkaSink(
    { topic: 't', producer, partitioner: given.partitioner ?? 'default', subtaskIndex: given.subtaskIndex ?? 0 },
    settings,
    context,
    kafka.client(),
  )
  const replies: string[] = []
  const reply = (what: string, data: unknown) => void replies.push(what === 'error' ? `error ${JSON.stringify(data)}` : what)
  const close = async () => {
    abort.abort(new Error('closed'))
    await sink.close()
  }
  return { sink, clock, replies, reply, close, command: (what: string) => sink.command(what, {}, reply) }
}

function records(...all: readonly (string | readonly [key: string, value: string | null])[]): Uint8Array {
  const writer = new ByteWriter()
  for (const each of all) {
    const [key, value] = typeof each === 'string' ? [null, each] : each
    const bytes = [key, value].map(text => (text === null ? undefined : new TextEncoder().encode(text)))
    for (const part of bytes) writer.i32(part?.length ?? -1)
    for (const part of bytes) if (part !== undefined) writer.raw(part)
  }
  return writer.copy()
}

async function settle(): Promise<void> {
  for (let i = 0; i < 200; i++) await Promise.resolve()
}

const topic = (partitions: number, brokers = 2) => {
  const kafka = new FakeKafka(brokers)
  kafka.createTopic('t', partitions)
  return kafka
}
const allValues = (kafka: FakeKafka, partitions: number) => Array.from({ length: partitions }, (_, partition) => kafka.values('t', partition))

test('records with a key go by its hash, those without to one partition a round, and the end comes when all are acknowledged', async () => {
  const kafka = topic(3)
  const { sink, command, replies, close } = setUp(kafka)
  await command('begin')
  await sink.write(records(['21', 'by key'], ['foobar', 'by key too'], 'a', 'b'))
  await command('flush')
  expect(replies).toEqual(['flushed'])
  await sink.write(records('c', ['21', null]))
  await command('end')
  expect(replies).toEqual(['flushed', 'finished'])
  // 1173551340 % 3 and 1357151166 % 3, by Kafka's murmur2.
  expect(allValues(kafka, 3)).toEqual([['by key', 'by key too', 'a', 'b', null], ['c'], []])
  await close()
})

test('fixed writes to the partition of the subtask, whatever the key', async () => {
  const kafka = topic(3)
  const { sink, command, close } = setUp(kafka, { partitioner: 'fixed', subtaskIndex: 4 })
  await sink.write(records(['21', 'a'], 'b'))
  await command('end')
  expect(allValues(kafka, 3)).toEqual([[], ['a', 'b'], []])
  await close()
})

test('a leader that moves and a broker that is away for a while lose nothing, and the order of a partition stays', async () => {
  const kafka = topic(2)
  const { sink, command, clock, close } = setUp(kafka)
  await command('begin')
  for (let i = 0; i < 10; i++) {
    await sink.write(records(['foobar', `f${i}`], ['21', `t${i}`], ['c', `c${i}`]))
    if (i === 2) kafka.setLeader('t', 0, 2)
    if (i === 4) kafka.setDown(2, true)
    if (i === 6) kafka.setDown(2, false)
    await settle()
    clock.advanceBy(1_000)
    await settle()
  }
  await command('end')
  const values = allValues(kafka, 2).flat()
  for (const letter of ['f', 't', 'c'])
    expect(values.filter(value => value?.startsWith(letter))).toEqual(Array.from({ length: 10 }, (_, i) => `${letter}${i}`))
  await close()
})

test('an answer that is lost makes duplicates and no losses', async () => {
  const kafka = topic(1, 1)
  const { sink, command, clock, close } = setUp(kafka)
  kafka.lostAnswers = 1
  await sink.write(records('a', 'b'))
  const ended = command('end')
  await settle()
  clock.advanceBy(1_000)
  await ended
  expect(kafka.values('t', 0)).toEqual(['a', 'b', 'a', 'b'])
  await close()
})

test('records that are not acknowledged in time fail the sink, naming topic and partition, also when nothing more is written', async () => {
  const kafka = topic(1, 1)
  const { sink, command, clock, replies, close } = setUp(kafka, { properties: { 'delivery.timeout.ms': '5000' } })
  await command('begin')
  await settle()
  kafka.setLeader('t', 0, -1)
  await sink.write(records('a', 'b'))
  for (let i = 0; i < 12; i++) {
    await settle()
    clock.advanceBy(500)
  }
  await settle()
  expect(replies).toEqual([
    'error {"code":"TIMEOUT","message":"topic t, partition 0: 2 records were not acknowledged within 5000 ms: topic t, partition 0 has no leader"}',
  ])
  expect(() => sink.write(records('c'))).toThrow('topic t, partition 0: 2 records')
  await close()
})

test.each([
  [10, /topic t, partition 0: 1 records were refused: MESSAGE_TOO_LARGE; a batch of \d+ bytes exceeds the topic's max.message.bytes/],
  [29, /topic t, partition 0: 1 records were refused: TOPIC_AUTHORIZATION_FAILED/],
])('a refusal that no attempt changes (%i) fails the sink at once', async (code, message) => {
  const kafka = topic(1, 1)
  const { sink, command, close } = setUp(kafka)
  kafka.refusals.push(code)
  await sink.write(records('a'))
  await expect(command('end')).rejects.toThrow(message)
  await close()
})

test('a topic that does not exist, and a record that is too large, are named', async () => {
  const missing = setUp(new FakeKafka())
  await missing.command('begin')
  await settle()
  expect(missing.replies).toEqual(['error {"code":"NOT_FOUND","message":"kafka topic t does not exist; writing never creates it"}'])
  await expect(missing.command('end')).rejects.toThrow('kafka topic t does not exist')
  await missing.close()
  const large = setUp(topic(1), { properties: { 'max.request.size': '100' } })
  await expect(
    Promise.resolve(large.sink.write(records('x'.repeat(100))) as unknown).then(() => large.sink.write(records('x'.repeat(101)))),
  ).rejects.toThrow('topic t, partition 0: a record of 101 bytes is larger than max.request.size, 100')
  await large.close()
})

test('what waits for acknowledgement is bounded: a write beyond it waits until brokers answer', async () => {
  const kafka = topic(1, 1)
  const { sink, command, clock, close } = setUp(kafka)
  await command('begin')
  await settle()
  kafka.setDown(1, true)
  const piece = records(...Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(10_000)}`))
  let taken = 0
  let waiting: Promise<unknown> | undefined
  for (; taken < 100 && waiting === undefined; taken++) {
    const done = sink.write(piece)
    if (done !== undefined && (await Promise.race([done.then(() => 'done'), settle().then(() => 'waits')])) === 'waits') waiting = done
  }
  expect(taken).toBe(5)
  kafka.setDown(1, false)
  clock.advanceBy(2_000)
  await waiting
  await command('end')
  expect(kafka.values('t', 0)).toHaveLength(500)
  await close()
})

test('records written in the turn in which the last round ends do not wait for more records or a barrier', async () => {
  const kafka = topic(1, 1)
  const { sink, command, close } = setUp(kafka, { properties: { 'batch.size': '8388608', 'max.request.size': '8388608' } })
  await command('begin')
  await settle()
  await sink.write(records(...Array.from({ length: 5 }, (_, i) => `${i} ${'x'.repeat(1_000_000)}`)))
  await sink.write(records('last'))
  await settle()
  expect(kafka.values('t', 0).map(value => value?.slice(0, 4))).toEqual(['0 xx', '1 xx', '2 xx', '3 xx', '4 xx', 'last'])
  await close()
})

test('a job that is cancelled does not wait for its brokers', async () => {
  const kafka = topic(1, 1)
  const { sink, command, close } = setUp(kafka)
  await command('begin')
  await settle()
  kafka.setDown(1, true)
  await sink.write(records('a'))
  const flushing = command('flush')
  await settle()
  await close()
  await flushing
  expect(kafka.values('t', 0)).toEqual([])
})
