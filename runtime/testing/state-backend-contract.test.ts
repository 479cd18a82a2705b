import { describe, expect, test } from 'vitest'
import { mapStateBackend } from '../../test/support/map-state-backend.ts'
import type { OwnStateBackend, StateStore } from '../state/own-backend.ts'
import { stateBackendContract } from './state-backend-contract.ts'

describe('a backend that keeps its rows in Maps', () => {
  for (const { title, run } of stateBackendContract(mapStateBackend())) test(title, run)
})

/** Titles of the tests that fail. */
function failing(backend: OwnStateBackend): string[] {
  return stateBackendContract(backend).flatMap(({ title, run }) => {
    try {
      run()
      return []
    } catch {
      return [title]
    }
  })
}

const broken: readonly (readonly [string, (store: StateStore) => Partial<StateStore>, string])[] = [
  [
    'keeps the first row',
    store => ({ put: (state, key, row) => void (store.get(state, key) ?? store.put(state, key, row)) }),
    'a row is what was put last',
  ],
  [
    'mixes up states',
    store => ({ put: (_state, key, row) => store.put(0, key, row), get: (_state, key) => store.get(0, key) }),
    'of its state and key alone',
  ],
  ['does not remove', () => ({ remove: () => {} }), 'a row that was removed is gone'],
  [
    'ends keys at a zero',
    store => {
      const cut = (key: Uint8Array) => (key.includes(0) ? key.subarray(0, key.indexOf(0)) : key)
      return { get: (state, key) => store.get(state, cut(key)), put: (state, key, row) => store.put(state, cut(key), row) }
    },
    'keys and rows are any bytes',
  ],
  ['forgets a row in snapshots', store => ({ rows: state => [...store.rows(state)].slice(1) }), 'rows are those of a state'],
  ['has rows twice', store => ({ rows: state => [...store.rows(state), ...store.rows(state)] }), 'rows are those of a state, each once'],
]

test.each(broken)('a backend that %s fails', (_what, change, title) => {
  expect(failing(mapStateBackend(change))).toContainEqual(expect.stringContaining(title))
})

test('a backend whose stores are one fails', () => {
  const only = mapStateBackend().createStore({ operatorName: '', subtaskIndex: 0, parallelism: 1 })
  expect(failing({ ...mapStateBackend(), createStore: () => only })).toContain('stores of different subtasks have nothing in common')
})

test('what a backend says that it cannot do is not asked of it', () => {
  const neverAsked = () => {
    throw new Error('it has said that it cannot')
  }
  const backend = mapStateBackend(() => ({ rows: neverAsked }), { snapshots: false, incremental: false })
  expect(stateBackendContract(backend)).toHaveLength(5)
  expect(failing(backend)).toEqual([])
})
