import { describe, expect, test } from 'vitest'
import { seededRandom, systemRandom } from '../../common/random.ts'
import type { LocalColumn, LocalFrame } from '../../network/columns.ts'
import { rowsOf } from '../../network/columns-rows.ts'
import { rowLayout } from '../../serde/row-layout.ts'
import { Types } from '../../serde/types.ts'
import type { OperatorContext, OperatorOutput } from '../operator.ts'
import { KeyedAggregateOperator } from './keyed-aggregate-operator.ts'

/** Random graphs hold the typed table against the interpreter (test/differential.test.ts); here stand the keys that a table of texts can get wrong. */
const pair = Types.tuple(Types.STRING, Types.INT)

function sumOf(): { readonly add: (keys: readonly string[]) => unknown[][] } {
  const layout = rowLayout(pair.json)
  if (layout === undefined) throw new Error('tuples of primitives have columns')
  const key = { select: (row: unknown) => (row as readonly unknown[])[0], type: Types.STRING }
  const operator = new KeyedAggregateOperator({ kind: 'sum', field: 1, key, keyColumns: [0], type: pair, layout }, { finalOnly: false })
  const out: LocalFrame[] = []
  const context = {
    operatorName: 'sum',
    jobName: 'test',
    maxParallelism: 128,
    random: systemRandom,
    options: {},
  } as unknown as OperatorContext // what it reads of it
  operator.setup(context, { collectFrame: (frame: LocalFrame) => void out.push(frame) } as unknown as OperatorOutput)
  return {
    add: keys => {
      const columns: LocalColumn[] = [
        { kind: 'text', values: keys, validity: undefined },
        { kind: 'i32', values: new Int32Array(keys.length).fill(1), validity: undefined },
      ]
      operator.processFrame({ kind: 'columnar', length: keys.length, columns, timestamps: undefined, rowKinds: undefined })
      return rowsOf(out.pop() as LocalFrame, layout.columns)
    },
  }
}

/** Gives what a `Map` gives, frame for frame. */
function check(frames: readonly (readonly string[])[]): void {
  const table = sumOf()
  const counts = new Map<string, number>()
  for (const keys of frames) {
    const expected = keys.map(key => {
      counts.set(key, (counts.get(key) ?? 0) + 1)
      return [key, counts.get(key)]
    })
    expect(table.add(keys)).toEqual(expected)
  }
}

function framesOf(draw: () => string, rows: number, seed: number): string[][] {
  const random = seededRandom(seed)
  const frames: string[][] = []
  for (let left = rows; left > 0; ) {
    const size = Math.min(left, 1 + random.nextInt(500))
    // Strings of their own, as a split makes them.
    frames.push(Array.from({ length: size }, () => Buffer.from(draw(), 'utf16le').toString('utf16le')))
    left -= size
  }
  return frames
}

describe('keys that are texts', () => {
  const random = seededRandom(11)

  test('of one length with the same ends and middle, empty ones, and others than ASCII', () => {
    const alike = Array.from({ length: 40 }, (_, i) => `a${i % 10}m${Math.floor(i / 10)}z`)
    const odd = [
      '',
      'a',
      'é',
      '漢字',
      '\ud800',
      'x'.repeat(12),
      'x'.repeat(13),
      `${'x'.repeat(40)}y${'x'.repeat(40)}`,
      `${'x'.repeat(41)}y${'x'.repeat(39)}`,
    ]
    const all = [...alike, ...odd]
    check(framesOf(() => all[random.nextInt(all.length)] as string, 20_000, 1))
  })

  test('that come often among ones that hardly do, while the table grows', () => {
    const draw = () => (random.nextInt(4) === 0 ? `rare ${random.nextInt(1 << 20)}` : `often ${random.nextInt(50)}`)
    check(framesOf(draw, 60_000, 2))
  })

  test('that never come twice, and then often: the look at recent ones pauses and comes back', () => {
    let next = 0
    const draw = () => (next++ < 20_000 ? `key ${next}` : `key ${next % 7}`)
    check(framesOf(draw, 60_000, 3))
  })
})
