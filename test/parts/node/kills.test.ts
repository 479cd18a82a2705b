import { afterAll, beforeAll, expect, test } from 'vitest'
import { seededRandom } from '../../../runtime/common/random.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import { BUCKET, JOBS, MillraceOnNode, runs, SYSTEM } from '../../support/millrace-on-node.ts'
import { countedOnce, countingScript, NumbersInKafka } from '../../support/numbers-from-kafka.ts'

/**
 * Pods of JobManager, TaskManagers and operator deleted at random, in order and by force, and processes in them killed, while a job counts what comes by Kafka. Each round strikes once or twice at a
 * moment of its own, and waits until more has come through. Every kind once; SOAK=1: at random for ten minutes. SEED=n for other moments.
 */
const soak = process.env['SOAK'] === '1'
const SOAK_MS = 600_000
const seed = Number(process.env['SEED'] || 1)
const random = seededRandom(seed)
const OUT = 'counts'
let world: MillraceOnNode
let kafka: KafkaBroker
let numbers: NumbersInKafka
beforeAll(async () => {
  world = await MillraceOnNode.start()
  kafka = await KafkaBroker.start(world.node.outside)
  numbers = await NumbersInKafka.start(kafka, 'numbers')
}, 180_000)
afterAll(async () => {
  await numbers?.stop()
  await kafka?.close()
  await world?.[Symbol.asyncDispose]()
}, 60_000)

type Strike = readonly [how: 'delete' | 'delete by force' | 'kill -9', whom: 'jobmanager' | 'taskmanager' | 'operator']
const strikes: readonly Strike[] = (['delete', 'delete by force', 'kill -9'] as const).flatMap(how =>
  (['jobmanager', 'taskmanager', 'operator'] as const).map(whom => [how, whom] as const),
)
const below = (limit: number) => Math.floor(random.next() * limit)
const written = () => world.s3.lines(BUCKET, OUT)

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
}

async function strike([how, whom]: Strike): Promise<string> {
  const [namespace, selector] = whom === 'operator' ? [SYSTEM, 'app.kubernetes.io/component=operator'] : [JOBS, `app.kubernetes.io/component=${whom}`]
  const { items } = JSON.parse(await world.node.kubectl(['-n', namespace, 'get', 'pods', '-l', selector, '-o', 'json'])) as {
    readonly items: readonly Pod[]
  }
  const there = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  const pod = there[below(there.length)]
  if (pod === undefined) return `${how} ${whom}: none was there`
  const { name, uid } = pod.metadata
  if (how === 'kill -9') return `${how} ${name}: ${world.node.killInPod(uid)} processes`
  const force = how === 'delete by force' ? ['--grace-period=0', '--force'] : []
  await world.node.kubectl(['-n', namespace, 'delete', 'pod', name, '--wait=false', ...force])
  return `${how} ${name}`
}

function shuffled<T>(items: readonly T[]): T[] {
  const rest = [...items]
  return items.flatMap(() => rest.splice(below(rest.length), 1))
}

test('deleted and killed at random: what is written is there exactly once', { timeout: soak ? 1_500_000 : 400_000 }, async () => {
  const script = countingScript('a', kafka.bootstrapServers, 'numbers', `s3://${BUCKET}/${OUT}`)
  await world.apply(
    world.job('counts', { parallelism: 2, script }, { flinkConfiguration: { 'heartbeat.timeout': '10 s', 'heartbeat.interval': '2 s' } }),
  )
  await world.reaches('counts', runs(1))
  const told: string[] = []
  const more = async () => {
    const before = written().length
    await expect
      .poll(() => written().length, { timeout: 120_000, interval: 100, message: `nothing is written after ${told.at(-1)}; seed ${seed}` })
      .toBeGreaterThan(before)
  }
  await more()
  const endMs = Date.now() + (soak ? SOAK_MS : 0)
  do
    for (const each of shuffled(strikes)) {
      await new Promise(resolve => setTimeout(resolve, below(1_500)))
      told.push(await strike(each))
      if (random.next() < 0.25) told.push(await strike(strikes[below(strikes.length)]!)) // of a list that is not empty
      await more()
      await more()
    }
  while (Date.now() < endMs)
  console.info(`seed ${seed}:\n${told.join('\n')}`)
  const total = await numbers.stop()
  await expect.poll(() => written().length, { timeout: 180_000 }).toBeGreaterThanOrEqual(total)
  await world.reaches('counts', runs(1))
  countedOnce(written(), total)
  console.info(`exactly once: ${total} numbers through ${told.length} strikes`)
  expect(told.filter(line => /processes$/.test(line) && !/ 0 processes/.test(line)).length).toBeGreaterThanOrEqual(3)
})
