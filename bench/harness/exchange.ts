import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ExchangeCase } from '../cases.ts'
import { EXCHANGE_CYCLE, EXCHANGE_ROW_BYTES, exchangeRow } from '../generate/exchange-rows.ts'
import { Neighbours } from './machine.ts'
import { type Figure, figureOf } from './measure.ts'
import { startMillrace, uploadJob } from './millrace.ts'
import { readResult } from './results.ts'
import type { RunOptions } from './side-by-side.ts'

/** Throughput of one HASH edge of ours, from the receiver's first row to its last, after one run that is not measured. */
export interface Exchange {
  readonly records: number
  readonly mbPerSecond: Figure
  /** CPU of the whole cluster, the making of the rows and the reading of them included. */
  readonly cpuSeconds: Figure
  readonly problems: readonly string[]
  readonly othersShare: number
}

export async function runExchange(bench: ExchangeCase, options: RunOptions): Promise<Exchange> {
  const records = bench.records(options.scale)
  const expected = expectedTotals(records)
  const problems: string[] = []
  const rates: number[] = []
  const cpu: number[] = []
  mkdirSync(options.folder, { recursive: true })
  await using cluster = await startMillrace({ taskManagers: bench.taskManagers, slots: bench.slots }, join(options.folder, 'millrace'))
  const jarId = await uploadJob(cluster, 'exchange')
  const neighbours = new Neighbours(() => process.cpuUsage().user / 1e6 + cluster.group.cpuSeconds())
  for (let run = 0; run <= options.runs; run++) {
    const out = join(options.folder, `out-${run}`)
    if (run > 0) neighbours.start()
    const job = await cluster.run(jarId, { entry: 'default', args: ['--rows', String(records), '--out', out], parallelism: 1 })
    if (run > 0) neighbours.stop()
    const { totals } = readResult(out)
    rmSync(out, { recursive: true })
    for (const [name, value] of Object.entries(expected))
      if (totals[name] !== value) problems.push(`run ${run}: ${name} is ${totals[name]}, expected ${value}`)
    if (run === 0) continue
    const rate = (records * EXCHANGE_ROW_BYTES) / 1e6 / ((totals['elapsedMs'] ?? Number.NaN) / 1000)
    rates.push(rate)
    cpu.push(job.cpuSeconds)
    options.say(`millrace ${run}/${options.runs}: ${rate.toFixed(0)} MB/s, ${job.cpuSeconds.toFixed(2)} CPU-s`)
  }
  return { records, mbPerSecond: figureOf(rates), cpuSeconds: figureOf(cpu), problems, othersShare: neighbours.share }
}

/** What the receiver must have read, worked out without an exchange. */
export function expectedTotals(records: number): Record<'rows' | 'keys' | 'values' | 'characters', number> {
  const totals = { rows: records, keys: 0, values: 0, characters: 0 }
  for (let index = 0; index < Math.min(EXCHANGE_CYCLE, records); index++) {
    const times = Math.ceil((records - index) / EXCHANGE_CYCLE)
    const [key, value, text] = exchangeRow(index)
    totals.keys += key * times
    totals.values += value * times
    totals.characters += text.charCodeAt(51) * times
  }
  return totals
}
