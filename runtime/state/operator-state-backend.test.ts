import { expect, test } from 'vitest'
import { Types } from '../serde/types.ts'
import { ListStateDescriptor, MapStateDescriptor } from './descriptors.ts'
import { OperatorStateBackend } from './operator-state-backend.ts'
import { StateTtlConfig } from './ttl-config.ts'

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
  copy.restore(filled().snapshot())
  const list = copy.getListState(splits)
  const union = copy.getUnionListState(new ListStateDescriptor('offsets', Types.LONG))
  const broadcast = copy.getBroadcastState(rules)
  copy.checkAllDeclared()
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
  const restored = new OperatorStateBackend('source')
  restored.restore(filled().snapshot())
  expect(() => restored.getListState(new ListStateDescriptor('rules', Types.STRING))).toThrow('operator state rules is declared as split')
  expect(() => restored.checkAllDeclared()).toThrow('the snapshot has the operator state splits (split), which is not declared any more')
})

test('what a state that is gone held nothing of is forgotten', () => {
  const empty = new OperatorStateBackend('source')
  empty.getListState(splits)
  const restored = new OperatorStateBackend('source')
  restored.restore(empty.snapshot())
  expect(() => restored.checkAllDeclared()).not.toThrow()
})

test('a name of the engine, time-to-live, and a value that its type cannot encode are refused', () => {
  const backend = new OperatorStateBackend('source')
  expect(() => backend.getListState(new ListStateDescriptor('_watermark', Types.LONG))).toThrow('names that begin with _ are the engine')
  const expiring = new ListStateDescriptor('seen', Types.LONG)
  expiring.enableTimeToLive(StateTtlConfig.newBuilder('1 h').build())
  expect(() => backend.getListState(expiring)).toThrow('operator state seen: only keyed state can have time-to-live')
  backend.getListState(splits).add(7 as never)
  expect(() => backend.snapshot()).toThrow('operator source: operator state splits: ')
})
