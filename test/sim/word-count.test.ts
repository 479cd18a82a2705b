import { describe, expect, test } from 'vitest'
import { StreamExecutionEnvironment } from '../../runtime/api/index.ts'
import { type Random, seededRandom } from '../../runtime/common/random.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { forSeeds, simSeeds } from '../support/sim-seeds.ts'

/** In every third run a TaskManager is lost. */
const seeds = simSeeds(100)
const chunkSize = 25
const words = ['hello', 'world', 'flink', 'scala', 'stream', 'job']

describe('word count on a simulated cluster', () => {
  for (let from = 0; from < seeds.length; from += chunkSize) {
    const chunk = seeds.slice(from, from + chunkSize)
    test(`counts every word exactly, or fails with the TaskManager it lost: seeds ${chunk[0]} to ${chunk.at(-1)}`, { timeout: 120_000 }, () =>
      forSeeds(chunk, wordCount),
    )
  }
})

async function wordCount(seed: number): Promise<void> {
  const random = seededRandom(seed * 13 + 5)
  const parallelism = 1 + random.nextInt(4)
  const lines = randomLines(random)
  const client = { 'parallelism.default': String(parallelism), 'pipeline.operator-chaining.enabled': String(random.nextInt(2) === 0) }
  const build = () => {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    env
      .fromCollection(lines)
      .flatMap(splitWords)
      .keyBy((pair: [string, number]) => pair[0])
      .reduce((a: [string, number], b: [string, number]) => [a[0], a[1] + b[1]] as [string, number])
      .print()
    return env.getStreamGraph()
  }
  const cluster = new EngineCluster({
    seed,
    build,
    taskManagers: 2 + random.nextInt(2),
    slots: 2,
    faults: { delayMaxMs: 1 + random.nextInt(1_000), dropChance: random.next() * 0.3, duplicateChance: random.next() * 0.3 },
    // So often that the faults never lose all heartbeats of one timeout: only a killed TaskManager may be given up.
    jobManager: { loadBalanceMode: 'SLOTS', heartbeatIntervalMs: 2_000 },
    suspendEverywhere: seed % 2 === 0,
  })
  await cluster.start()
  const jobId = await cluster.submit(buildJobGraph(build(), { client }))
  const losing = seed % 3 === 0
  let lostId: string | undefined
  if (losing) {
    cluster.clock.schedule(random.next() * 8_000, () => {
      const victim = cluster.taskManagers[random.nextInt(cluster.taskManagers.length)]
      if (victim === undefined) return
      lostId = victim.id
      cluster.kill(victim)
      cluster.startTaskManager('replacement')
    })
  }
  const ended = await cluster.clock.runUntil(() => cluster.jobManager.jobResult(jobId)?.kind === 'completed', 900_000)
  expect(ended, `the job ends: ${cluster.job(jobId).state} ${JSON.stringify(cluster.job(jobId).taskCounts)}`).toBe(true)

  const result = await cluster.jobManager.awaitJobResult(jobId)
  if (result?.state === 'FAILED') {
    expect(losing).toBe(true)
    expect(result.failureCause?.message).toContain(`TaskManager with id ${lostId}`)
  } else {
    expect(result?.state).toBe('FINISHED')
    const counts = countWords(lines)
    const printed = cluster.printed.text
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.replace(/^\d+> /, ''))
    // Streaming: each word appears with 1, 2, …, its count, each exactly once.
    const expected = [...counts].flatMap(([word, count]) => Array.from({ length: count }, (_, i) => `(${word},${i + 1})`))
    expect(printed.sort()).toEqual(expected.sort())
  }
  await cluster.clock.run(120_000)
  const { slotsTotal, slotsAvailable } = cluster.jobManager.overview()
  expect(slotsAvailable, 'all slots are free again').toBe(slotsTotal)
}

function splitWords(line: string, out: { collect(value: [string, number]): void }): void {
  for (const word of line.split(/\s+/)) if (word !== '') out.collect([word, 1])
}

function randomLines(random: Random): string[] {
  return Array.from({ length: 1 + random.nextInt(20) }, () =>
    Array.from({ length: random.nextInt(6) }, () => words[random.nextInt(words.length)]).join('  '),
  )
}

function countWords(lines: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const word of lines.flatMap(line => line.split(/\s+/))) if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}
