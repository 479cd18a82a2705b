import { afterAll, beforeAll, expect, test } from 'vitest'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import { BUCKET, MillraceOnNode, runs, type SeenConditions } from '../../support/millrace-on-node.ts'
import { countedOnce, countingScript, NumbersInKafka } from '../../support/numbers-from-kafka.ts'

/**
 * What a job on Kubernetes lives on goes away, or is short: the job goes on afterwards, and its condition has named the cause meanwhile. Away for some seconds, with time-outs lowered to that;
 * SOAK=1: for a minute.
 */
const soak = process.env['SOAK'] === '1'
const AWAY_MS = soak ? 60_000 : 8_000
const OUT = 'counts'
let world: MillraceOnNode
let kafka: KafkaBroker
let numbers: NumbersInKafka
let conditions: SeenConditions
beforeAll(async () => {
  world = await MillraceOnNode.start()
  kafka = await KafkaBroker.start(world.node.outside)
  numbers = await NumbersInKafka.start(kafka, 'numbers')
  await world.apply(counting())
  await world.reaches('counts', runs(1))
  conditions = world.conditionsOf('counts')
}, 240_000)
afterAll(async () => {
  conditions?.[Symbol.dispose]()
  await numbers?.stop()
  await kafka?.close()
  await world?.[Symbol.asyncDispose]()
}, 60_000)

const counting = (parallelism = 1) =>
  world.job(
    'counts',
    { parallelism, script: countingScript('a', kafka.bootstrapServers, 'numbers', `s3://${BUCKET}/${OUT}`) },
    {
      flinkConfiguration: {
        'taskmanager.numberOfTaskSlots': '2',
        'heartbeat.interval': '1 s',
        'heartbeat.timeout': '5 s',
        'taskmanager.registration.timeout': '5 s',
        'restart-strategy.type': 'fixed-delay',
        'restart-strategy.fixed-delay.attempts': '1000',
        'restart-strategy.fixed-delay.delay': '1 s',
      },
      taskManager: {
        resources: { limits: { memory: '512Mi', 'ephemeral-storage': '200Mi' } },
      },
    },
  )
const written = () => world.s3.lines(BUCKET, OUT)
const growsBy = async (count: number) => {
  const before = written().length
  await expect.poll(() => written().length, { timeout: 120_000, interval: 100 }).toBeGreaterThanOrEqual(before + count)
}
const away = () => new Promise(resolve => setTimeout(resolve, AWAY_MS))
/** The newest of what the condition said since the test began that fits. */
const named = (cause: RegExp) => expect.poll(() => conditions.messages('Degraded').join('\n'), { timeout: 90_000, interval: 200 }).toMatch(cause)

test('the API server is away: the job goes on meanwhile, the operator afterwards', { timeout: 240_000 }, async () => {
  conditions[Symbol.dispose]()
  await world.node.without('kube-apiserver', async () => {
    await growsBy(50)
    await away()
    await growsBy(50)
  })
  conditions = world.conditionsOf('counts')
  await world.apply(counting(2))
  await world.reaches('counts', { ...runs(2), jobStatus: { state: 'RUNNING', parallelism: 2 } })
  await growsBy(50)
})

test('S3 is away: the condition names it, the job goes on afterwards', { timeout: 240_000 }, async () => {
  await world.s3.goAway()
  try {
    await named(/the checkpoint store does not answer: .*ECONNREFUSED|checkpoints fail since .*ECONNREFUSED/)
    await away()
  } finally {
    await world.s3.comeBack()
  }
  await growsBy(50)
  await world.reaches('counts', runs(2))
})

test('DNS is away while a TaskManager starts: the condition names it, the job goes on afterwards', { timeout: 240_000 }, async () => {
  await world.node.without('CoreDNS', async () => {
    await world.kubectl('delete', 'pod', 'counts-tm-0', '--wait=false')
    await named(/EAI_AGAIN|ENOTFOUND|getaddrinfo/)
    await away()
  })
  await growsBy(50)
  await world.reaches('counts', runs(2))
})

const inPod = async (pod: string, program: string) => {
  await world.podsReady()
  return world.kubectl('exec', pod, '--', 'node', '-e', program)
}

test('a full emptyDir: the node ends the pod, the condition names it, the job goes on in another one', { timeout: 240_000 }, async () => {
  await inPod('counts-tm-0', "require('node:fs').writeFileSync('/var/lib/millrace/full', Buffer.alloc(220 * 2 ** 20))")
  await named(/ephemeral local storage usage exceeds the total limit of containers/)
  await growsBy(50)
  await world.reaches('counts', runs(2))
})

test('a TaskManager that is killed for its memory: the condition names it, the job goes on', { timeout: 240_000 }, async () => {
  // Many small processes in its container use up what it may have: the kernel ends the largest one, and that is the TaskManager. kubectl hears no more of the rest then.
  const hungry = 'const held = Buffer.alloc(50 * 2 ** 20, 1); setTimeout(() => held, 20000)'
  const program = `for (let i = 0; i < 12; i++) require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(hungry)}])`
  await inPod('counts-tm-0', program).catch(() => {})
  await named(/it needed more memory than its limit and was killed/)
  await growsBy(50)
  await world.reaches('counts', runs(2))
})

test('what was written through all of it is there exactly once', { timeout: 240_000 }, async () => {
  const total = await numbers.stop()
  await expect.poll(() => written().length, { timeout: 120_000 }).toBeGreaterThanOrEqual(total)
  countedOnce(written(), total)
  console.info(`exactly once: ${total} numbers`)
})
