import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnar, joined, shown } from '../../test/support/columnar.ts'
import { ColumnarFrameBuilder } from './columns-frame-builder.ts'
import { scatterFrame } from './columns-scatter.ts'

describe('scattering a frame', () => {
  test('gives every target its rows, in order, and nobody else', () => {
    fc.assert(
      fc.property(
        columnar({ rowsMin: 1 }),
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 40, maxLength: 40 }),
        ({ frame, layouts }, targets) => {
          const { rows, times, kinds } = shown(frame, layouts)
          const parts = scatterFrame(frame, Int32Array.from(targets), 5)
          for (const [target, part] of parts.entries()) {
            const mine = <T>(values: readonly T[] | undefined) => values?.filter((_, row) => targets[row] === target)
            if (part === undefined) expect(mine(rows)).toEqual([])
            else expect(shown(part, layouts)).toEqual({ rows: mine(rows), times: mine(times), kinds: mine(kinds) })
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('building a frame', () => {
  test('of pieces of frames, gathered or in runs, into recycled arrays, gives their rows', () => {
    const steps = fc.array(fc.record({ from: fc.nat(40), to: fc.nat(40), gather: fc.boolean(), finish: fc.boolean() }), { maxLength: 12 })
    fc.assert(
      fc.property(columnar({ rowsMin: 1 }), steps, fc.boolean(), ({ frame, layouts }, pieces, recycled) => {
        const builder = new ColumnarFrameBuilder(frame.columns.map(column => column.kind))
        // The same rows without times and kinds: frames with and without them meet in one builder.
        const bare = { ...frame, timestamps: undefined, rowKinds: undefined }
        let expected: Parameters<typeof joined>[0][number][] = []
        const check = () => {
          const built = builder.finish()
          const wanted = joined(expected, layouts)
          expect(shown(built, layouts)).toEqual(wanted)
          expected = []
          if (recycled) builder.recycle(built)
        }
        for (const [i, { from, to, gather, finish }] of pieces.entries()) {
          const [start, end] = [Math.min(from, to, frame.length), Math.min(Math.max(from, to), frame.length)]
          const source = i % 3 === 2 ? bare : frame
          if (start === end) continue
          const order = Int32Array.from({ length: end - start }, (_, k) => start + k)
          if (gather) builder.gather(source, order, 0, order.length)
          else builder.appendRange(source, start, end)
          const targets = new Int32Array(frame.length).fill(1)
          targets.fill(0, start, end)
          expected.push(scatterFrame(source, targets, 2)[0]!)
          if (finish) check()
        }
        check()
      }),
      { numRuns: 200 },
    )
  })
})
