import { describe, expect, test } from 'vitest'
import type { DeclaredState } from '../graph/declared-state.ts'
import type { JobGraph, JobVertex, OperatorSpec } from '../graph/job-graph.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { StateSchema } from '../state/snapshot.ts'
import type { CheckpointBody, OperatorEntry } from './checkpoint-body.ts'
import { isRestorable, planState, requireRestorable, type StatePlan, savedOperators } from './state-plan.ts'
import type { StatePlace } from './task-state.ts'

const LONG: TypeJson = { kind: 'LONG' }
const STRING: TypeJson = { kind: 'STRING' }
const GENERIC: TypeJson = { kind: 'GENERIC' }
const VOID: TypeJson = { kind: 'VOID' }
const count: StateSchema = { name: 'count', kind: 'value', type: LONG, namespace: VOID }
const seen: StateSchema = { name: 'seen', kind: 'list', type: { kind: 'LIST', element: STRING }, namespace: VOID }
const place: StatePlace = { blob: { kind: 'inline', bytes: new Uint8Array(9) }, offset: 0, length: 9 }

/** An operator on either side: what it is now, and what it was. */
interface Operator {
  readonly id: string
  readonly name?: string
  readonly uid?: string | undefined
  readonly type?: string
  readonly keyType?: TypeJson | null
  readonly states?: readonly StateSchema[]
  readonly lists?: readonly DeclaredState[]
  readonly maxParallelism?: number
  readonly parallelism?: number
  /** Of a savepoint: without anything in its states. */
  readonly empty?: boolean
  readonly enumerator?: boolean
}

function program(...operators: Operator[]): JobGraph {
  return {
    jobName: 'job',
    runtimeMode: 'STREAMING',
    edges: [],
    configuration: {},
    parallelism: 1,
    scheduling: 'eager',
    vertices: operators.map(
      ({
        id,
        name = id,
        uid = id,
        type = 'keyedProcess',
        keyType = STRING,
        states = [],
        lists = [],
        maxParallelism = 128,
        parallelism = 1,
      }): JobVertex => ({
        id,
        name,
        parallelism,
        maxParallelism,
        slotSharingGroup: 'default',
        inputCount: 1,
        operators: [
          {
            operatorId: id,
            nodeId: 1,
            name,
            uid: uid === '' ? undefined : uid,
            type,
            options: {},
            states: [...states, ...lists],
            keyType: states.length === 0 ? null : keyType,
            hash: '',
            kind: 'operator',
            source: type.startsWith('source:') ? {} : undefined,
            parent: -1,
            parentTag: undefined,
            outputType: LONG,
            parallelismOrigin: 'operator',
          } satisfies OperatorSpec,
        ],
      }),
    ),
  }
}

function savepoint(...operators: Operator[]): CheckpointBody {
  return {
    operators: operators.map(
      ({ id, name = id, uid = id, type = 'keyedProcess', maxParallelism = 128, enumerator }): OperatorEntry => ({
        operatorId: id,
        uid: uid === '' ? null : uid,
        name,
        type,
        vertexId: id,
        parallelism: 1,
        maxParallelism,
        enumerator: enumerator === true ? { left: [] } : null,
      }),
    ),
    tasks: operators.map(({ id, keyType = STRING, states = [], lists = [], empty }) => ({
      vertexId: id,
      subtaskIndex: 0,
      state: {
        operators: [
          {
            operatorId: id,
            snapshot: {
              keyed:
                states.length === 0
                  ? undefined
                  : { keyType: keyType ?? VOID, schemas: states, keyGroups: new Map(empty === true ? [] : [[3, [place]]]) },
              lists: lists.map(({ name, kind, type }) => ({ name, mode: kind as 'split', type, items: empty === true ? [] : [place] })),
            },
          },
        ],
        kept: [],
      },
    })),
  }
}

/** `sums: kept; count kept`, the operator's verdict and those of its states. */
function verdicts({ operators }: StatePlan): readonly string[] {
  return operators.map(({ name, verdict, states }) => [`${name} ${verdict}`, ...states.map(state => `${state.name} ${state.verdict}`)].join(', '))
}

const listOf = (kind: DeclaredState['kind'], type = STRING): DeclaredState => ({ name: 'items', kind, type, namespace: null })
const rulesOf = <K extends 'map' | 'broadcast', N extends TypeJson | null>(kind: K, namespace: N) => ({
  name: 'rules',
  kind,
  type: { kind: 'MAP', key: STRING, value: LONG } as const,
  namespace,
})
const sums: Operator = { id: 'sums', states: [count, seen] }
const source: Operator = { id: 'numbers', type: 'source:kafka', enumerator: true, lists: [listOf('split')] }

describe('what becomes of the state when', () => {
  test.each<[string, Operator[], Operator[], string[], restorable: boolean, allowed: boolean]>([
    [
      'nothing has changed',
      [source, sums],
      [source, sums],
      ['numbers kept, items kept, SplitEnumerator kept', 'sums kept, count kept, seen kept'],
      true,
      true,
    ],
    ['states stand in another order', [sums], [{ ...sums, states: [seen, count] }], ['sums kept, seen kept, count kept'], true, true],
    ['it is renamed, but has its uid', [sums], [{ ...sums, name: 'totals' }], ['totals kept, count kept, seen kept'], true, true],
    ['a state was added', [{ ...sums, states: [count] }], [sums], ['sums kept, count kept, seen new'], true, true],
    [
      'an operator was added',
      [source],
      [source, sums],
      ['numbers kept, items kept, SplitEnumerator kept', 'sums new, count new, seen new'],
      true,
      true,
    ],
    ['a state was dropped', [sums], [{ ...sums, states: [count] }], ['sums dropped, count kept, seen dropped'], false, true],
    ['all states were dropped', [sums], [{ ...sums, states: [] }], ['sums dropped, count dropped, seen dropped'], false, true],
    [
      'an operator was dropped',
      [source, sums],
      [source],
      ['numbers kept, items kept, SplitEnumerator kept', 'sums dropped, count dropped, seen dropped'],
      false,
      true,
    ],
    [
      'a source was dropped',
      [source, sums],
      [sums],
      ['sums kept, count kept, seen kept', 'numbers dropped, items dropped, SplitEnumerator dropped'],
      false,
      true,
    ],
    ['an operator without contents was dropped', [{ ...sums, empty: true }], [], [], true, true],
    [
      'a state without contents has another type',
      [{ ...sums, empty: true }],
      [{ ...sums, states: [{ ...count, type: STRING }] }],
      ['sums new, count new'],
      true,
      true,
    ],
    [
      'a type has changed',
      [sums],
      [{ ...sums, states: [{ ...count, type: STRING }, seen] }],
      ['sums incompatible, count incompatible, seen kept'],
      false,
      false,
    ],
    [
      'a kind has changed',
      [sums],
      [{ ...sums, states: [count, { ...seen, kind: 'value' }] }],
      ['sums incompatible, count kept, seen incompatible'],
      false,
      false,
    ],
    [
      'a state of the key is one of a window now',
      [sums],
      [{ ...sums, states: [{ ...count, namespace: LONG }, seen] }],
      ['sums dropped, count new, seen kept, count dropped'],
      false,
      true,
    ],
    ['the key has another type', [sums], [{ ...sums, keyType: LONG }], ['sums incompatible, count kept, seen kept'], false, false],
    ['the max parallelism is another', [sums], [{ ...sums, maxParallelism: 256 }], ['sums incompatible, count kept, seen kept'], false, false],
    [
      'the max parallelism is another, and there are no keys',
      [source],
      [{ ...source, maxParallelism: 256 }],
      ['numbers kept, items kept, SplitEnumerator kept'],
      true,
      true,
    ],
    [
      'the parallelism is above what keys were grouped for',
      [source],
      [{ ...source, parallelism: 129, maxParallelism: 256 }],
      ['numbers incompatible, items kept, SplitEnumerator kept'],
      false,
      false,
    ],
    [
      'a source is of another kind',
      [source],
      [{ ...source, type: 'source:file' }],
      ['numbers incompatible, items kept, SplitEnumerator kept'],
      false,
      false,
    ],
    [
      "lists and maps of functions, which say only while they run that they are not the key's",
      [{ id: 's', lists: [listOf('split'), { name: 'offsets', kind: 'union', type: LONG, namespace: null }, rulesOf('broadcast', null)] }],
      [{ id: 's', states: [{ ...seen, name: 'items' }, { ...seen, name: 'offsets', type: { kind: 'LIST', element: LONG } }, rulesOf('map', VOID)] }],
      ['s kept, items kept, offsets kept, rules kept'],
      true,
      true,
    ],
    [
      'a list of functions has other elements',
      [{ id: 's', lists: [listOf('split', LONG)] }],
      [{ id: 's', states: [{ ...seen, name: 'items' }] }],
      ['s incompatible, items incompatible'],
      false,
      false,
    ],
    [
      'a state without a type was given one, which each value has to be of',
      [
        {
          ...sums,
          states: [
            { ...count, type: GENERIC },
            { ...seen, type: { kind: 'LIST', element: GENERIC } },
          ],
        },
      ],
      [sums],
      ['sums kept, count kept, seen kept'],
      true,
      true,
    ],
    [
      'the type of a state was taken away',
      [sums],
      [{ ...sums, states: [{ ...count, type: GENERIC }, seen] }],
      ['sums incompatible, count incompatible, seen kept'],
      false,
      false,
    ],
    [
      'time-to-live was turned on',
      [sums],
      [{ ...sums, states: [{ ...count, type: { kind: 'TTL', value: LONG } }, seen] }],
      ['sums incompatible, count incompatible, seen kept'],
      false,
      false,
    ],
    [
      'a list is dealt out otherwise',
      [{ id: 's', lists: [listOf('split')] }],
      [{ id: 's', lists: [listOf('union')] }],
      ['s incompatible, items incompatible'],
      false,
      false,
    ],
    [
      'a list has other elements',
      [{ id: 's', lists: [listOf('split')] }],
      [{ id: 's', lists: [listOf('split', LONG)] }],
      ['s incompatible, items incompatible'],
      false,
      false,
    ],
  ])('%s', (_, saved, now, expected, restorable, allowed) => {
    const plan = planState(savepoint(...saved), program(...now))
    expect(verdicts(plan)).toEqual(expected)
    expect(isRestorable(plan, false)).toBe(restorable)
    expect(isRestorable(plan, true)).toBe(allowed)
  })
})

describe('what is refused says why, with names', () => {
  test.each<[string, Operator[], Operator[], RegExp]>([
    [
      'an operator that is gone, in Flink words',
      [sums],
      [],
      /^Failed to rollback to checkpoint\/savepoint \/s\. Cannot map checkpoint\/savepoint state for operator sums \('sums'\) to the new program, because the operator is not available in the new program\. If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI\.$/,
    ],
    [
      'a state that is gone',
      [sums],
      [{ ...sums, states: [count] }],
      /Operator 'sums' \(sums\) does not declare 'seen' any more, of which there is state\. If you want/,
    ],
    [
      'another type',
      [sums],
      [{ ...sums, states: [{ ...count, type: STRING }, seen] }],
      /State 'count' of operator 'sums' \(sums\) was ValueState<LONG> and is declared as ValueState<STRING>; its type cannot change\.$/,
    ],
    [
      'another kind (seed D7)',
      [{ ...sums, states: [{ ...seen, kind: 'value' }] }],
      [{ ...sums, states: [seen] }],
      /State 'seen' of operator 'sums' \(sums\) was ValueState<LIST<STRING>> and is declared as ListState<STRING>; its kind cannot change: give the new one another name and copy what is needed\.$/,
    ],
    ['another type of key', [sums], [{ ...sums, keyType: LONG }], /Operator 'sums' \(sums\) was keyed by STRING and is keyed by LONG now\.$/],
    [
      'another max parallelism',
      [sums],
      [{ ...sums, maxParallelism: 64 }],
      /has max parallelism 64, its state was taken with 128: set its max parallelism to that\.$/,
    ],
  ])('%s', (_, saved, now, message) => {
    const plan = planState(savepoint(...saved), program(...now))
    expect(() => requireRestorable(plan, '/s', false)).toThrow(
      expect.objectContaining({ code: 'INVALID_PROGRAM', message: expect.stringMatching(message) }),
    )
  })

  test('what may be left out is, and what is incompatible is not', () => {
    requireRestorable(planState(savepoint(sums, source), program()), '/s', true)
    const plan = planState(savepoint(sums, source), program({ ...sums, keyType: LONG }))
    expect(() => requireRestorable(plan, '/s', true)).toThrow('was keyed by STRING')
  })
})

describe('renames (seed D9)', () => {
  test('a dropped operator and a new one alike: perhaps the uid has changed', () => {
    const { operators } = planState(savepoint(sums), program({ ...sums, id: 'totals' }))
    expect(operators.map(({ name, verdict, suggestion }) => [name, verdict, suggestion])).toEqual([
      ['totals', 'new', undefined],
      ['sums', 'dropped', "It looks like 'totals': with .uid('sums') that one would have its state."],
    ])
  })

  test('each new one is suggested once, and only where kinds, types and keys are the same', () => {
    const twice = planState(savepoint(sums, { ...sums, id: 'more' }), program({ ...sums, id: 'totals' }))
    expect(twice.operators.filter(({ suggestion }) => suggestion !== undefined)).toHaveLength(1)
    for (const other of [{ keyType: LONG }, { states: [count] }, { states: [count, { ...seen, type: LONG }] }])
      expect(
        planState(savepoint(sums), program({ ...sums, id: 'totals', ...other })).operators.some(({ suggestion }) => suggestion !== undefined),
      ).toBe(false)
  })

  test('a dropped state and a new one alike: perhaps its name has changed', () => {
    const renamed = { ...count, name: 'total' }
    const [operator] = planState(savepoint(sums), program({ ...sums, states: [renamed, seen] })).operators
    expect(operator?.states.map(({ name, verdict, suggestion }) => [name, verdict, suggestion])).toEqual([
      ['total', 'new', undefined],
      ['seen', 'kept', undefined],
      ['count', 'dropped', "was it renamed? 'total' is new and alike"],
    ])
  })
})

test('operators with state and without uid are listed, others are not (seed D10)', () => {
  const { withoutUid } = planState(savepoint(), program({ ...sums, uid: '' }, source, { id: 'map', uid: '' }))
  expect(withoutUid).toEqual(['sums'])
})

test('an operator has the bytes of all pieces of its key groups and of its lists', () => {
  const body = savepoint({ ...sums, lists: [listOf('split')] })
  const state = body.tasks[0]?.state
  const keyGroups = state === undefined || state === 'finished' ? undefined : state.operators[0]?.snapshot.keyed?.keyGroups
  if (!(keyGroups instanceof Map)) throw new Error('the task has keyed state')
  // Behind one another, as changes stand behind a base.
  keyGroups.set(3, [place, place, { ...place, length: 4 }])
  expect(savedOperators(body).map(({ bytes }) => bytes)).toEqual([9 + 9 + 4 + 9])
})
