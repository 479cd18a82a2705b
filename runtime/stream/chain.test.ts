import { expect, test } from 'vitest'
import type { ColumnarFrame, Float64Column } from '../network/columns.ts'
import { frameOf } from '../network/columns-rows.ts'
import { columnLayout } from '../serde/columns-type.ts'
import { rowLayout } from '../serde/row-layout.ts'
import { OperatorChain } from './chain.ts'
import { type ChainLink, newLinkCounters } from './chain-link.ts'
import type { OperatorContext, StreamOperator } from './operator.ts'
import { BaseOperator } from './operators/base-operator.ts'

const layouts = [columnLayout('DOUBLE')]
const layout = rowLayout({ kind: 'COLUMNS', fields: [{ name: 'n', type: 'DOUBLE' }] })
const numbers = (...values: readonly number[]) =>
  frameOf(
    values.map(value => [value]),
    layouts,
  )
const shown = (frame: ColumnarFrame) => [...(frame.columns[0] as Float64Column).values.subarray(0, frame.length)].join(' ')

/** Passes every row on as a frame of one, with a watermark of its value behind it. */
class OneByOne extends BaseOperator {
  processElement(): void {}
  processFrame(frame: ColumnarFrame): void {
    for (const value of (frame.columns[0] as Float64Column).values.subarray(0, frame.length)) {
      this.output.collectFrame(numbers(value))
      this.output.emitWatermark(value)
    }
  }
}

class Recorder extends BaseOperator {
  readonly seen: string[] = []
  processElement(): void {}
  processFrame(frame: ColumnarFrame): void {
    this.seen.push(shown(frame))
    this.output.collectFrame(frame)
  }
  protected override advanceEventTime(watermark: number): boolean {
    this.seen.push(`watermark ${watermark}`)
    return true
  }
}

function chainOf(operators: readonly StreamOperator[]): OperatorChain {
  const links = operators.map(
    (operator, i): ChainLink => ({
      operator,
      parent: i - 1,
      parentTag: undefined,
      networkOutputs: [],
      counters: newLinkCounters(),
      inputLayouts: [layout],
      outputLayout: layout,
    }),
  )
  const chain = new OperatorChain(links, 1, { budgetSpent: () => false, rowsPerClockRead: 64 })
  // These operators ask nothing of their context.
  for (const [i, operator] of operators.entries()) operator.setup({} as OperatorContext, chain.outputOf(i))
  return chain
}

test('a frame that follows a watermark of the same call comes behind it everywhere down the chain', () => {
  const [near, far] = [new Recorder(), new Recorder()]
  const chain = chainOf([new OneByOne(), near, far])
  expect(chain.run(numbers(1, 2, 3), 0, 0)).toBe('done')
  // The first frame went on by a direct call; the rest waits for its watermark.
  expect(far.seen).toEqual(['1'])
  expect(chain.advance()).toBe(true)
  const order = ['1', 'watermark 1', '2', 'watermark 2', '3', 'watermark 3']
  expect(near.seen).toEqual(order)
  expect(far.seen).toEqual(order)
})
