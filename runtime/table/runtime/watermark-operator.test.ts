import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../../test/support/runs.ts'
import type { ColumnarFrame, Float64Column } from '../../network/columns.ts'
import type { OperatorContext, OperatorOutput } from '../../stream/operator.ts'
import { SqlWatermarkOperator } from './watermark-operator.ts'

type Emitted = { readonly times: readonly number[] } | { readonly watermark: number }

const INTERVAL_MS = 200

function column(values: readonly (number | null)[]): Float64Column {
  const validity = values.includes(null) ? new Uint8Array((values.length + 7) >> 3) : undefined
  if (validity !== undefined) for (const [i, value] of values.entries()) if (value !== null) validity[i >> 3]! |= 1 << (i & 7)
  return { kind: 'f64', values: Float64Array.from(values, value => value ?? 0), validity }
}

function run(frames: readonly (readonly [time: number, watermark: number | null][])[]): Emitted[] {
  const emitted: Emitted[] = []
  const output: OperatorOutput = {
    collect: () => {},
    collectFrame: frame => {
      emitted.push({ times: [...(frame.timestamps ?? [])] })
      return false
    },
    sideOutput: () => {},
    emitWatermark: watermark => void emitted.push({ watermark }),
    emitStatus: () => {},
  }
  // The watermark's expression is the second column.
  const operator = new SqlWatermarkOperator(0, frame => frame.columns[1] as Float64Column)
  const context: Partial<OperatorContext> = {
    batch: false,
    options: { autoWatermarkIntervalMs: INTERVAL_MS, checkpointingEnabled: false, snapshotLimits: undefined },
    clock: { nowMs: () => 0 } as OperatorContext['clock'],
  }
  operator.setup(context as OperatorContext, output)
  void operator.open()
  for (const rows of frames) {
    const frame: ColumnarFrame = {
      kind: 'columnar',
      length: rows.length,
      columns: [column(rows.map(([time]) => time)), column(rows.map(([, watermark]) => watermark))],
      timestamps: undefined,
      rowKinds: undefined,
    }
    operator.processFrame(frame)
  }
  return emitted
}

/** Flink's operator, row by row: each row is late or not by the watermark that left before it. */
function lateness(frames: Parameters<typeof run>[0]): { readonly rows: readonly string[]; readonly last: number } {
  let [current, last] = [0, 0]
  const rows: string[] = []
  for (const [time, watermark] of frames.flat()) {
    rows.push(`${time} ${time <= last && last > 0 ? 'late' : 'on time'}`)
    if (watermark !== null) current = Math.max(current, watermark)
    if (current - last > INTERVAL_MS) last = current
  }
  return { rows, last }
}

const row = fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.option(fc.integer({ min: -10, max: 5000 }), { freq: 5 }))

test('every row is as late as when each watermark left right behind its row', () => {
  fc.assert(
    fc.property(fc.array(fc.array(row, { minLength: 1, maxLength: 30 }), { maxLength: 5 }), frames => {
      const rows: string[] = []
      let last = 0
      for (const emitted of run(frames)) {
        if ('watermark' in emitted) {
          expect(emitted.watermark).toBeGreaterThan(last)
          last = emitted.watermark
        } else {
          rows.push(...emitted.times.map(time => `${time} ${time <= last && last > 0 ? 'late' : 'on time'}`))
        }
      }
      expect({ rows, last }).toEqual(lateness(frames))
    }),
    { numRuns: runs(3000) },
  )
})

test('a frame without a late row is passed on whole, one watermark behind it', () => {
  const rows = Array.from({ length: 2000 }, (_, i): [number, number] => [10_000 + i, 6_000 + i])
  expect(run([rows])).toEqual([{ times: rows.map(([time]) => time) }, { watermark: 6_000 + 9 * 201 }])
})
