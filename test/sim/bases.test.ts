import { expect, test } from 'vitest'
import { decodeBody } from '../../runtime/checkpoint/checkpoint-body.ts'
import { readManifest } from '../../runtime/checkpoint/storage/epoch-log.ts'
import { assert } from '../../runtime/common/assert.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { EngineCluster } from '../support/engine-cluster.ts'
import { smallStateLimits } from '../support/increments.ts'
import { buildSums, outsides } from '../support/sums-job.ts'

test('bases are written while a job runs: chains of segments stay short', async () => {
  for (const rowsPerSecond of [20, 2_000]) {
    const client = {
      'execution.checkpointing.interval': '100 ms',
      'execution.checkpointing.dir': 'sim://checkpoints',
      'execution.checkpointing.data-inline-threshold': '0',
    }
    const job = { client, count: 20 * rowsPerSecond, rowsPerSecond, outside: outsides['a sink in memory']() }
    const build = () => buildSums(job)
    const cluster = new EngineCluster({
      seed: 1,
      build,
      taskManagers: 1,
      slots: 1,
      faults: { delayMaxMs: 1, dropChance: 0, duplicateChance: 0 },
      suspendEverywhere: false,
      snapshotLimits: smallStateLimits,
    })
    await cluster.start()
    const jobId = await cluster.submit(buildJobGraph(build(), { client }))
    let newest = 0
    let longest = 0
    for (let seconds = 0; seconds < 15; seconds++) {
      await cluster.clock.run(1_000)
      const store = cluster.stores.get('sim://checkpoints')
      assert(store !== undefined, 'the job has a store')
      const ids = (await store.list(jobId)).flatMap(path => /chk-(\d+)\/_metadata$/.exec(path)?.[1] ?? []).map(Number)
      newest = Math.max(newest, ...ids)
      const body = newest === 0 ? undefined : decodeBody((await readManifest(store, jobId, newest)).body)
      for (const { state } of body?.tasks ?? [])
        for (const { snapshot } of state === 'finished' ? [] : state.operators)
          for (const segments of snapshot.keyed?.keyGroups.values() ?? []) longest = Math.max(longest, segments.length)
    }
    expect(newest).toBeGreaterThan(80)
    expect(longest).toBeGreaterThan(1)
    expect(longest).toBeLessThanOrEqual(5 * smallStateLimits.segmentsMax)
  }
})
