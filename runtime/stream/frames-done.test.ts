import { expect, test } from 'vitest'
import type { NetworkOutput } from '../network/io.ts'
import { columnLayout } from '../serde/columns-type.ts'
import { OperatorChain } from './chain.ts'
import { type ChainLink, newLinkCounters } from './chain-link.ts'
import type { StreamOperator } from './operator.ts'
import { BaseOperator } from './operators/base-operator.ts'

class Framed extends BaseOperator {
  readonly frameUse?: 'passed' | 'done'
  constructor(use: 'passed' | 'done' | 'kept') {
    super()
    if (use !== 'kept') this.frameUse = use
  }
  processElement(): void {}
  processFrame(): void {}
}

class Rows extends BaseOperator {
  processElement(): void {}
}

const framed = (use: 'passed' | 'done' | 'kept') => new Framed(use)

/** Whether the head of a chain of `operators`, each fed by the one before, may write into its frames again. */
function done(operators: readonly StreamOperator[], networkAt?: number): boolean {
  const links = operators.map(
    (operator, i): ChainLink => ({
      operator,
      parent: i - 1,
      parentTag: undefined,
      // Nothing is sent.
      networkOutputs: i === networkAt ? [{ tag: undefined, output: {} as NetworkOutput }] : [],
      counters: newLinkCounters(),
      inputLayouts: [{ columns: [columnLayout('INT')], shape: { kind: 'array' }, texts: false }],
    }),
  )
  const chain = new OperatorChain(links, 0, { budgetSpent: () => false, rowsPerClockRead: 64 })
  return chain.outputOf(0).framesAreDone?.() ?? false
}

test('frames are done where every operator behind passes them on or is done with them, and no channel takes them', () => {
  expect(done([framed('passed'), framed('passed'), framed('done')])).toBe(true)
  expect(done([framed('passed')])).toBe(true)
  expect(done([framed('passed'), framed('kept')])).toBe(false)
  expect(done([framed('passed'), framed('passed'), framed('kept')])).toBe(false)
  expect(done([framed('passed'), new Rows()])).toBe(false)
  expect(done([framed('passed'), framed('passed')], 1)).toBe(false)
  expect(done([framed('passed'), framed('done')], 0)).toBe(false)
  // What an operator that is done with its input sends on is something else.
  expect(done([framed('passed'), framed('done')], 1)).toBe(true)
})
