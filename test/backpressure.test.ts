import { describe, expect, test } from 'vitest'
import type { StreamExecutionEnvironment } from '../runtime/api/index.ts'
import { PAGE_SIZE, ROWS_PER_FRAME_MAX } from '../runtime/network/frame.ts'
import { finishInProcess, runInProcess } from './support/in-process-job.ts'

/**
 * How far a source may run ahead of a sink that is slower, to the row: source and sink count in one thread, with rings of one page and
 * local edges of one frame. Rows have 1,000 bytes.
 */
const payload = 'x'.repeat(1_000)
const rowsPerPage = Math.ceil(PAGE_SIZE / 1_000)
const count = 20_000

/**
 * Frames of one channel outside its ring: the one being built, two in the spill, the one half written, the one in the sink's hands.
 * Until an output has seen how large its rows are it makes frames of `ROWS_PER_FRAME_MAX`, of which there can be one.
 */
const ringRows = 5 * rowsPerPage + rowsPerPage
const localRows = 5 * ROWS_PER_FRAME_MAX

interface Lead {
  readonly max: number
  readonly maxAfterFirstFrames: number
  readonly received: number
}

/** Runs source -> `connect` -> sink; the sink waits at every fiftieth row until the source has come to a standstill. */
async function lead(sinks: number, sharing: boolean, partition: 'keyBy' | 'rebalance' | 'broadcast'): Promise<Lead[]> {
  let emitted = 0
  const received = new Array<number>(sinks).fill(0)
  const max = new Array<number>(sinks).fill(0)
  const maxLater = new Array<number>(sinks).fill(0)
  const allReceived = () => received.reduce((sum, one) => sum + one, 0)
  await finishInProcess(
    env => {
      const rows = env
        .fromSequence(1, count)
        .setParallelism(1)
        .map((value: number) => {
          emitted++
          return payload + value
        })
        .setParallelism(1)
      const partitioned = partition === 'keyBy' ? rows.keyBy((row: string) => row) : rows[partition]()
      const sink = partitioned.addSink(recording(), { inFlightMax: 1 }).setParallelism(sinks)
      if (!sharing) sink.slotSharingGroup('sinks')
    },
    // Frames leave when they are full: the clock has no say.
    { parallelism: sinks, channelCapacity: 1, configuration: { 'execution.buffer-timeout.interval': '1 h' } },
  )
  expect(emitted).toBe(count)
  return max.map((one, i) => ({ max: one, maxAfterFirstFrames: maxLater[i] ?? 0, received: received[i] ?? 0 }))

  /** However fast the machine is: until the source has made no row for several turns of the event loop, in each of which it could have. */
  async function standstill(): Promise<void> {
    for (let still = 0, last = emitted; still < 3; ) {
      await new Promise(resolve => setImmediate(resolve))
      still = emitted === last ? still + 1 : 0
      last = emitted
    }
  }

  function recording() {
    let subtask = 0
    return {
      open(context: { getIndexOfThisSubtask(): number }) {
        subtask = context.getIndexOfThisSubtask()
      },
      invoke(): void | Promise<void> {
        const own = (received[subtask] ?? 0) + 1
        received[subtask] = own
        const ahead = emitted - (partition === 'broadcast' ? own : allReceived())
        max[subtask] = Math.max(max[subtask] ?? 0, ahead)
        if (Math.min(...received) > ROWS_PER_FRAME_MAX) maxLater[subtask] = Math.max(maxLater[subtask] ?? 0, ahead)
        if (own % 50 === 0) return standstill()
      },
    }
  }
}

describe('a slow sink holds its source back', () => {
  test.each([
    ['keyBy', 1],
    ['keyBy', 3],
    ['rebalance', 3],
    ['broadcast', 3],
  ] as const)('%s to %i sinks over rings of one page: never further ahead than the channels hold', async (partition, sinks) => {
    const leads = await lead(sinks, false, partition)
    // A broadcast row is on its way to each sink at once; otherwise each channel has rows of its own.
    const channels = partition === 'broadcast' ? 1 : sinks
    for (const { max, maxAfterFirstFrames, received } of leads) {
      expect(received).toBeGreaterThan(2 * ROWS_PER_FRAME_MAX)
      expect(max).toBeLessThanOrEqual(channels * (ROWS_PER_FRAME_MAX + ringRows) + 1)
      expect(maxAfterFirstFrames).toBeLessThanOrEqual(channels * ringRows + 1)
    }
    expect(Math.max(...leads.map(({ maxAfterFirstFrames }) => maxAfterFirstFrames))).toBeGreaterThan(2 * rowsPerPage)
  })

  test('inside a slot, where frames pass by reference: never further ahead than its one frame and those at its ends', async () => {
    const [one] = await lead(1, true, 'rebalance')
    expect(one?.received).toBe(count)
    expect(one?.max).toBeLessThanOrEqual(localRows + 1)
    expect(one?.max).toBeGreaterThan(ROWS_PER_FRAME_MAX)
  })
})

describe('pages for what one row emits beyond its output', () => {
  /** The row in the middle gives `factor` rows of 1,000 bytes. */
  const burst = (factor: number) => (env: StreamExecutionEnvironment) => {
    env
      .fromSequence(1, 5_000)
      .setParallelism(1)
      .flatMap((value: number, out: { collect(row: string): void }) => {
        for (let i = 0; i < (value === 2_500 ? factor : 1); i++) out.collect(`${payload}${value}`)
      })
      .setParallelism(1)
      .name('burst')
      .rebalance()
      .addSink(() => {})
      .setParallelism(2)
      .slotSharingGroup('sinks')
  }

  test('are reserved up to the size of the pool, and given back', async () => {
    const { pages } = await finishInProcess(burst(3_000), { parallelism: 2, channelCapacity: 1, pages: 150 })
    expect(pages.peak).toBeGreaterThan(3_000 / rowsPerPage / 2)
    expect(pages.peak).toBeLessThanOrEqual(150)
    expect(pages.used).toBe(0)
  })

  test('that are not there fail the job with the name of the operator; what was reserved goes back', async () => {
    const { state, error, pages } = await runInProcess(burst(3_000), { parallelism: 2, channelCapacity: 1, pages: 20 })
    expect(state).toBe('FAILED')
    expect(error?.code).toBe('OUTPUT_SPILL_EXHAUSTED')
    expect(error?.message).toContain('burst')
    expect(pages).toEqual({ used: 0, peak: 20, total: 20 })
  })
})
