/**
 * Users' functions in generated loops and typed tables: `node bench/micro/segments.ts`. CPU time of this process, one thread: a busy machine changes
 * the figures little. What a row costs where the rule of runtime/stream/generated/find-segment.ts chooses columns, and where it does not.
 */
import { systemClock } from '../../runtime/common/clock.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { LocalFrame } from '../../runtime/network/columns.ts'
import { rowLayout } from '../../runtime/serde/row-layout.ts'
import { Types } from '../../runtime/serde/types.ts'
import { OperatorChain } from '../../runtime/stream/chain.ts'
import { newLinkCounters } from '../../runtime/stream/chain-link.ts'
import type { OperatorContext, StreamOperator } from '../../runtime/stream/operator.ts'
import { aggregationFunction } from '../../runtime/stream/operators/aggregations.ts'
import { FlatMapOperator } from '../../runtime/stream/operators/flat-map-operator.ts'
import { KeyedAggregateOperator } from '../../runtime/stream/operators/keyed-aggregate-operator.ts'
import { MapOperator } from '../../runtime/stream/operators/map-operator.ts'
import { ReduceOperator } from '../../runtime/stream/operators/reduce-operator.ts'
import { SinkFunctionOperator } from '../../runtime/stream/operators/sink-function-operator.ts'
import { vocabulary } from '../generate/words.ts'

const MIN_MS = 700
const ROWS = 2048

function measure(name: string, round: () => number): void {
  const run = (minMs: number) => {
    const startMs = systemClock.monotonicMs()
    const before = process.cpuUsage()
    let rows = 0
    while (systemClock.monotonicMs() - startMs < minMs) rows += round()
    const { user, system } = process.cpuUsage(before)
    return { rows, cpuUs: user + system }
  }
  run(MIN_MS)
  const { rows, cpuUs } = run(2 * MIN_MS)
  process.stdout.write(`${name.padEnd(64)} ${((cpuUs * 1e3) / rows).toFixed(1).padStart(7)} ns/row\n`)
}

const context = {
  operatorName: 'bench',
  jobName: 'bench',
  subtaskIndex: 0,
  maxParallelism: 128,
  options: { snapshotLimits: undefined },
  clock: systemClock,
  random: seededRandom(1),
  shouldYield: () => false,
} as unknown as OperatorContext // what these operators read of it

interface Part {
  readonly operator: StreamOperator
  readonly input: typeof pair
  readonly output: typeof pair
}

function chainOf(parts: readonly Part[], generated: boolean): OperatorChain {
  const links = parts.map(({ operator, input, output }, i) => ({
    operator,
    name: `operator ${i}`,
    parent: i - 1,
    parentTag: undefined,
    networkOutputs: [],
    counters: newLinkCounters(),
    inputLayouts: [rowLayout(input.json)],
    outputLayout: rowLayout(output.json),
  }))
  const chain = new OperatorChain(links, 1, { budgetSpent: () => false, rowsPerClockRead: 64, generated })
  for (const [i, { operator }] of parts.entries()) operator.setup(context, chain.outputOf(i))
  return chain
}

function through(chain: OperatorChain, frames: readonly LocalFrame[]): () => number {
  let next = 0
  return () => {
    const frame = frames[next++ % frames.length] as LocalFrame
    for (let row = 0; row < frame.length; ) {
      chain.run(frame, 0, row)
      row = chain.currentRow
      chain.advance()
    }
    return frame.length
  }
}

const pair = Types.tuple(Types.STRING, Types.INT) as never as ReturnType<typeof Types.tuple>
const line = Types.STRING as never as typeof pair
const random = seededRandom(7)

function words(distinct: number, count: number): LocalFrame[] {
  const all = vocabulary(distinct)
  const sums: number[] = []
  let sum = 0
  for (let i = 0; i < distinct; i++) sums.push((sum += 1 / (i + 1)))
  const draw = () => {
    const at = (random.nextInt(1 << 30) / (1 << 30)) * sum
    let [low, high] = [0, distinct - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! < at) low = middle + 1
      else high = middle
    }
    return all[low] as string
  }
  const fresh = (text: string) => text.split('').join('')
  return Array.from({ length: count }, () => ({
    kind: 'columnar' as const,
    length: ROWS,
    columns: [
      { kind: 'text' as const, values: Array.from({ length: ROWS }, () => fresh(draw())), validity: undefined },
      { kind: 'i32' as const, values: new Int32Array(ROWS).fill(1), validity: undefined },
    ],
    timestamps: undefined,
    rowKinds: undefined,
  }))
}

const layout = rowLayout(pair.json)!
const key = { select: (row: unknown) => (row as unknown[])[0], type: Types.STRING as never }
const typed = () => new KeyedAggregateOperator({ kind: 'sum', field: 1, key, keyColumns: [0], type: pair as never, layout }, { finalOnly: false })
const plain = () => new ReduceOperator(key, aggregationFunction('sum', 1, pair as never), pair as never, { finalOnly: false })
const sink = () => {
  let total = 0
  return new SinkFunctionOperator({ invoke: ([word, count]: [string, number]) => void (total += word.length + count) } as never)
}
for (const distinct of [1000, 50_000]) {
  const frames = words(distinct, 200)
  for (const [name, create] of [
    ['typed', typed],
    ['reduce', plain],
  ] as const) {
    measure(`sum of ${distinct} words, ${name}`, through(chainOf([{ operator: create(), input: pair, output: pair }], true), frames))
    for (const generated of [true, false])
      measure(
        `sum of ${distinct} words and a sink, ${name}, ${generated ? 'generated' : 'interpreted'}`,
        through(
          chainOf(
            [
              { operator: create(), input: pair, output: pair },
              { operator: sink(), input: pair, output: pair },
            ],
            generated,
          ),
          frames,
        ),
      )
  }
}

const text = words(50_000, 200).map(frame => (frame.columns[0] as { values: readonly string[] }).values)
const lineFrames = text.map(values => {
  const lines: string[] = []
  for (let i = 0; i + 10 <= values.length; i += 10) lines.push(values.slice(i, i + 10).join(' '))
  return {
    kind: 'columnar' as const,
    length: lines.length,
    columns: [{ kind: 'text' as const, values: lines, validity: undefined }],
    timestamps: undefined,
    rowKinds: undefined,
  }
})
const splitter = () =>
  new FlatMapOperator({
    flatMap: (value: unknown, out: { collect(value: unknown): void }) => {
      for (const word of (value as string).split(' ')) out.collect([word, 1])
    },
  })
const upper = () => new MapOperator({ map: (row: unknown) => row })
for (const generated of [true, false]) {
  const how = generated ? 'generated' : 'interpreted'
  measure(
    `split of lines of 10 words, a sink (per line), ${how}`,
    through(
      chainOf(
        [
          { operator: splitter(), input: line, output: pair },
          { operator: sink(), input: pair, output: pair },
        ],
        generated,
      ),
      lineFrames,
    ),
  )
  measure(
    `split of lines, columns, sum (per line), ${how}`,
    through(
      chainOf(
        [
          { operator: splitter(), input: line, output: pair },
          { operator: typed(), input: pair, output: pair },
        ],
        generated,
      ),
      lineFrames,
    ),
  )
  measure(
    `identity map, a sink, ${how}`,
    through(
      chainOf(
        [
          { operator: upper(), input: pair, output: pair },
          { operator: sink(), input: pair, output: pair },
        ],
        generated,
      ),
      words(1000, 20),
    ),
  )
}
