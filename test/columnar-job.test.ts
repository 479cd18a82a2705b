import { describe, expect, test } from 'vitest'
import type { StreamExecutionEnvironment } from '../runtime/api/index.ts'
import type { OperatorDefinition } from '../runtime/graph/stream-graph.ts'
import type { ColumnarFrame, Int32Column } from '../runtime/network/columns.ts'
import { columnLayouts, frameOf } from '../runtime/network/columns-rows.ts'
import { Types } from '../runtime/serde/types.ts'
import { BaseOperator } from '../runtime/stream/operators/base-operator.ts'
import { runInProcess } from './support/in-process-job.ts'

/** A columnar chain written by hand, run by the whole engine: source -> into columns -> HASH -> sum by key -> sink; and its row form. */
const type = Types.columns([
  { name: 'key', type: 'STRING' },
  { name: 'n', type: 'INT' },
])
const layouts = columnLayouts(type.json) ?? []
const ROWS = 300
const rowOf = (n: number): [string | null, number] => [n % 11 === 0 ? null : `key ${n % 7}`, n]

/** Numbers into rows, in frames of up to ten or one by one. */
class IntoColumns extends BaseOperator {
  private rows: unknown[] = []
  private readonly columnar: boolean

  constructor(columnar: boolean) {
    super()
    this.columnar = columnar
  }

  processElement(value: unknown): void {
    const row = rowOf(value as number)
    if (!this.columnar) {
      this.output.collect(row, Number.NaN)
      return
    }
    this.rows.push(row)
    if (this.rows.length === 10) this.emitFrame()
  }

  override endInput(): boolean {
    this.emitFrame()
    return true
  }

  private emitFrame(): void {
    this.output.collectFrame(frameOf(this.rows, layouts))
    this.rows = []
  }
}

/** Sums by key over the whole input; what it has at the end goes out as one frame or as rows. */
class RowSum extends BaseOperator {
  protected readonly sums = new Map<string | null, number>()

  processElement(value: unknown): void {
    const [key, n] = value as [string | null, number]
    this.add(key, n)
  }

  override endInput(): boolean {
    for (const row of this.sums) this.output.collect(row, Number.NaN)
    return true
  }

  protected add(key: string | null, n: number): void {
    this.sums.set(key, (this.sums.get(key) ?? 0) + n)
  }
}

class ColumnarSum extends RowSum {
  processFrame(frame: ColumnarFrame): void {
    const numbers = (frame.columns[1] as Int32Column).values
    const keys = frame.columns[0]
    for (let row = 0; row < frame.length; row++) {
      const isNull = keys?.validity !== undefined && (keys.validity[row >> 3]! & (1 << (row & 7))) === 0
      if (keys?.kind !== 'bytes') throw new Error('the key is a text')
      const start = keys.starts[row]!
      this.add(isNull ? null : new TextDecoder().decode(keys.data.subarray(start, start + keys.lengths[row]!)), numbers[row]!)
    }
  }

  override endInput(): boolean {
    this.output.collectFrame(frameOf([...this.sums], layouts))
    return true
  }
}

function definition(name: string, factory: () => unknown): OperatorDefinition {
  return { type: name, options: {}, functions: [], states: [], factory }
}

interface Forms {
  readonly producer: boolean
  readonly consumer: boolean
}

/** The API has no columns: the two operators and the edge between are put under a DataStream program's source and sink. */
function program(env: StreamExecutionEnvironment, { producer, consumer }: Forms): void {
  const numbers = env.fromCollection(
    Array.from({ length: ROWS }, (_, i) => i),
    Types.INT,
  )
  type Inner = { transform(name: string, type: unknown, definition: OperatorDefinition): Inner; partitioned(spec: unknown): Inner; print(): unknown }
  const inner = numbers.rebalance() as unknown as Inner
  inner
    .transform(
      'into columns',
      type,
      definition('into-columns', () => new IntoColumns(producer)),
    )
    .partitioned({
      kind: 'HASH',
      explicit: false,
      key: { type: Types.STRING, select: (row: unknown[]) => row[0], description: 'columns [0]', columns: [0] },
    })
    .transform(
      'sum',
      type,
      definition('sum', () => (consumer ? new ColumnarSum() : new RowSum())),
    )
    .print()
}

function expected(): string[] {
  const sums = new Map<string | null, number>()
  for (let n = 0; n < ROWS; n++) {
    const [key] = rowOf(n)
    sums.set(key, (sums.get(key) ?? 0) + n)
  }
  return [...sums].map(([key, sum]) => `(${key},${sum})`).sort()
}

describe('a job over columnar frames', () => {
  const forms = [true, false].flatMap(producer => [true, false].map(consumer => ({ producer, consumer })))
  test.each([1, 2, 3])('gives what its row form gives at parallelism %i, in every mixture of the two', async parallelism => {
    for (const form of forms) {
      for (const chaining of [true, false]) {
        const result = await runInProcess(env => program(env, form), { parallelism, chaining, channelCapacity: 1, suspendEverywhere: true })
        expect(result.error).toBeUndefined()
        const printed = result.stdout
          .trimEnd()
          .split('\n')
          .map(line => line.replace(/^\d+> /, ''))
        expect(printed.sort(), JSON.stringify({ form, chaining })).toEqual(expected())
        const counted = (name: string) =>
          result.metrics.flatMap(task => Object.values(task.operators)).reduce((sum, values) => sum + (values[name] ?? 0), 0)
        expect(counted('rowsColumnar')).toBe(form.consumer ? ROWS : 0)
        // Where forms meet, on the way to the sum, and before the sink, which prints rows.
        expect(counted('rowsConverted')).toBe((form.producer === form.consumer ? 0 : ROWS) + (form.consumer ? printed.length : 0))
      }
    }
  })
})
