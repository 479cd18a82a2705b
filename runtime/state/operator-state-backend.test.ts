import { expect, test } from 'vitest'
import { Types } from '../serde/types.ts'
import { ListStateDescriptor, MapStateDescriptor } from './descriptors.ts'
import { OperatorStateBackend } from './operator-state-backend.ts'

const splits = new ListStateDescriptor('splits', Types.STRING)
const rules = new MapStateDescriptor('rules', Types.tuple(Types.INT, Types.INT), Types.STRING)

function filled(): OperatorStateBackend {
  const backend = new OperatorStateBackend('source')
  backend.getListState(splits).addAll(['a', 'b'])
  backend.getUnionListState(new ListStateDescriptor('offsets', Types.LONG)).add(7n)
  backend.getBroadcastState(rules).put([1, 2], 'x')
  return backend
}

test('lists and broadcast maps survive a snapshot', () => {
  const copy = new OperatorStateBackend('source')
  const list = copy.getListState(splits)
  const union = copy.getUnionListState(new ListStateDescriptor('offsets', Types.LONG))
  const broadcast = copy.getBroadcastState(rules)
  copy.restore(filled().snapshot())
  expect([[...list.get()], [...union.get()], [...broadcast.entries()], broadcast.get([1, 2])]).toEqual([['a', 'b'], [7n], [[[1, 2], 'x']], 'x'])
})

test('a snapshot says how each state is redistributed', () => {
  expect(
    filled()
      .snapshot()
      .map(({ name, mode, items }) => [name, mode, items.length]),
  ).toEqual([
    ['splits', 'split', 2],
    ['offsets', 'union', 1],
    ['rules', 'broadcast', 1],
  ])
})

test('one name in two modes is refused, and so is a state that is gone', () => {
  expect(() => filled().getUnionListState(splits)).toThrow(
    'operator state splits is declared as split {"kind":"STRING"} and also as union {"kind":"STRING"}',
  )
  expect(() => new OperatorStateBackend('source').restore(filled().snapshot())).toThrow(
    'the snapshot has the operator state splits, which is not declared any more',
  )
})
