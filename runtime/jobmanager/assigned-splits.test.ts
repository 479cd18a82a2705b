import { expect, test } from 'vitest'
import { AssignedSplits } from './assigned-splits.ts'

const splits = (...names: string[]) => names.map(splitId => ({ splitId }))

/** Two readers; a checkpoint after each of the first two rounds. */
function threeRounds(): AssignedSplits {
  const assigned = new AssignedSplits()
  assigned.add(0, splits('a0'))
  assigned.add(1, splits('b0'))
  assigned.snapshot(4)
  assigned.add(0, splits('a1'))
  assigned.snapshot(7)
  assigned.add(0, splits('a2'))
  assigned.add(1, splits('b2', 'b3'))
  return assigned
}

test.each([
  [7, 0, ['a2']],
  [4, 0, ['a1', 'a2']],
  [undefined, 0, ['a0', 'a1', 'a2']],
  [4, 1, ['b2', 'b3']],
  [9, 1, ['b2', 'b3']],
] as const)('a reader that goes back to checkpoint %s loses what came behind it', (checkpointId, reader, expected) => {
  expect(
    threeRounds()
      .takeBack(reader, checkpointId)
      .map(({ splitId }) => splitId),
  ).toEqual(expected)
})

test('what has been taken back is nobody’s until it is handed out again; what is behind a complete checkpoint is not kept', () => {
  const assigned = threeRounds()
  expect(assigned.takeBack(0, 4)).toEqual(splits('a1', 'a2'))
  expect(assigned.takeBack(0, 4)).toEqual([])
  assigned.add(0, splits('a1'))
  assigned.completed(7)
  expect(assigned.takeBack(0, 7)).toEqual(splits('a1'))
  expect(assigned.takeBack(1, undefined)).toEqual(splits('b2', 'b3'))
})
