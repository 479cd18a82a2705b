import { describe, expect, test } from 'vitest'
import type { KubeObject } from '../../kube/object-api.ts'
import { LostPods } from './lost-pods.ts'
import { creationProblem, isReady, mountProblem, ordinalOf, type Pod, podProblem, replacedProblem } from './pods.ts'

const metadata = { name: 'words-tm-3', namespace: 'jobs', uid: 'u3' }
const pod = (status: NonNullable<Pod['status']>, more: object = {}): Pod => ({
  metadata: { ...metadata, ...more },
  spec: { nodeName: 'node-1' },
  status,
})
const container = (state: object, more: object = {}) =>
  pod({ phase: 'Pending', containerStatuses: [{ name: 'main', image: 'example/millrace:1', state, ...more }] })
const problem = (given: Pod) => podProblem(given, 'taskmanager-3', false)
const event = (reason: string, note: string, uid: string, name: string, eventTime: string): KubeObject => ({
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name: `${name}.${eventTime}`, namespace: 'jobs' },
  type: 'Warning',
  reason,
  note,
  regarding: { name, uid },
  eventTime,
})

describe('a pod that is on its way, or runs, has no problem', () => {
  test.each<[string, Pod]>([
    ['not looked at by anybody yet', { metadata }],
    ['its containers are created', container({ waiting: { reason: 'ContainerCreating' } })],
    ['it runs', container({ running: {} }, { ready: true })],
    ['it runs again after an end of its own accord', container({ running: {} }, { lastState: { terminated: { exitCode: 0 } }, restartCount: 1 })],
    ['it ends because it was told to', pod({ phase: 'Running' }, { deletionTimestamp: '2026-01-01T00:09:50Z' })],
  ])('%s', (_what, given) => expect(problem(given)).toBeUndefined())
})

test.each<[string, Pod, string, string]>([
  [
    'no image',
    container({ waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "example/millrace:1"' } }),
    'ImagePullBackOff',
    'taskmanager-3 (pod words-tm-3) container main has no image example/millrace:1: ImagePullBackOff: Back-off pulling image "example/millrace:1"',
  ],
  [
    'a Secret that is missing',
    container({ waiting: { reason: 'CreateContainerConfigError', message: 'secret "words-token" not found' } }),
    'CreateContainerConfigError',
    'taskmanager-3 (pod words-tm-3) container main cannot be started: CreateContainerConfigError: secret "words-token" not found',
  ],
  [
    'a program that ends again and again',
    container(
      { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 20s restarting failed container' } },
      { restartCount: 3, lastState: { terminated: { exitCode: 1, reason: 'Error', message: 'option rest.port: expected a port\n' } } },
    ),
    'CrashLoopBackOff',
    'taskmanager-3 (pod words-tm-3) container main ends again and again, 3 times so far: it ended with exit code 1; it said last:\noption rest.port: expected a port',
  ],
  [
    'too little memory, again and again',
    container({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 2, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } }),
    'OOMKilled',
    'taskmanager-3 (pod words-tm-3) container main ends again and again, 2 times so far: it needed more memory than its limit and was killed (exit code 137)',
  ],
  [
    'too little memory, once',
    container({ running: {} }, { restartCount: 1, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } }),
    'OOMKilled',
    'taskmanager-3 (pod words-tm-3) container main runs again after its end: it needed more memory than its limit and was killed (exit code 137)',
  ],
  [
    'an init container that fails',
    pod({
      phase: 'Pending',
      initContainerStatuses: [{ name: 'program', state: { terminated: { exitCode: 2, signal: 9, reason: 'Error' } } }],
      containerStatuses: [{ name: 'main', state: { waiting: { reason: 'PodInitializing' } } }],
    }),
    'Error',
    'taskmanager-3 (pod words-tm-3) container program has ended: it ended with exit code 2 by signal 9',
  ],
  [
    'no node',
    pod({
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes are available: 3 Insufficient memory.' }],
    }),
    'Unschedulable',
    'taskmanager-3 (pod words-tm-3) waits for a node: Unschedulable: 0/3 nodes are available: 3 Insufficient memory.',
  ],
  [
    'evicted',
    pod({ phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: ephemeral-storage.' }),
    'Evicted',
    'taskmanager-3 (pod words-tm-3) was ended by its node: Evicted: The node was low on resource: ephemeral-storage.',
  ],
  [
    'a node that does not answer',
    pod({ phase: 'Running', conditions: [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown' }] }),
    'NodeStatusUnknown',
    'taskmanager-3 (pod words-tm-3) may run or not: its node node-1 does not answer',
  ],
])('%s is said in words', (_what, given, reason, message) => {
  expect(problem(given)).toEqual({ process: 'taskmanager-3', reason, message })
})

test('a pod on a node that never answered again is said to be lost', () => {
  const given = pod({ phase: 'Running' }, { deletionTimestamp: '2026-01-01T00:08:59Z' })
  expect(podProblem(given, 'jobmanager', true)).toEqual({
    process: 'jobmanager',
    reason: 'NodeLost',
    message: 'jobmanager (pod words-tm-3) was to end at 2026-01-01T00:08:59Z and nobody says that it has: node node-1 does not answer',
  })
})

test('a pod is lost when it was watched ending for its grace and a minute, whatever the wall clock says', () => {
  let ms = 0
  const lost = new LostPods({ nowMs: () => 10 ** 15, monotonicMs: () => ms, schedule: () => ({ cancel() {} }) })
  const ending = pod({}, { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 10 })
  const answers = [0, 70_000, 70_001].map(at => {
    ms = at
    return lost.has(ending)
  })
  expect([answers, lost.has(pod({}))]).toEqual([[false, false, true], false])
  lost.keep([])
  expect(lost.has(ending)).toBe(false)
})

test('a pod that is told to end is not ready, whatever its condition says', () => {
  const conditions = [{ type: 'Ready', status: 'True' }]
  expect([isReady(pod({ conditions })), isReady(pod({ conditions }, { deletionTimestamp: '2026-01-01T00:09:59Z' })), isReady(pod({}))]).toEqual([
    true,
    false,
    false,
  ])
})

test('the number of a pod is that at the end of its name', () => {
  expect([ordinalOf(pod({})), ordinalOf({ metadata: { ...metadata, name: 'words-7-tm-12' } })]).toEqual([3, 12])
})

describe('pods that are not made', () => {
  const set: KubeObject = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'words-tm', namespace: 'jobs', uid: 's' },
    spec: { replicas: 3 },
  }
  const events = [
    event('FailedCreate', 'exceeded quota: pods, requested: pods=1, used: pods=9, limited: pods=10', 's', 'words-tm', '2026-01-01T00:01:00Z'),
    event('FailedCreate', 'exceeded quota: pods, requested: pods=1, used: pods=10, limited: pods=10', 's', 'words-tm', '2026-01-01T00:02:00Z'),
    event('FailedCreate', 'of an earlier set of this name', 'other', 'words-tm', '2026-01-01T00:09:00Z'),
  ]

  test('the newest warning of their StatefulSet says why', () => {
    expect(creationProblem(set, 'taskmanager', 1, events)).toEqual({
      process: 'taskmanager',
      reason: 'FailedCreate',
      message: '2 of 3 pods of words-tm cannot be made: exceeded quota: pods, requested: pods=1, used: pods=10, limited: pods=10',
    })
  })

  test('there is no problem once all are there, nor while nobody complains', () => {
    expect([creationProblem(set, 'taskmanager', 3, events), creationProblem(set, 'taskmanager', 1, [])]).toEqual([undefined, undefined])
  })
})

test('what keeps the containers of a pod from being created is said by its warnings', () => {
  const creating = container({ waiting: { reason: 'ContainerCreating' } })
  const events = [
    event('FailedMount', 'MountVolume.SetUp failed for volume "token": secret "words-token" not found', 'u3', 'words-tm-3', '2026-01-01T00:01:00Z'),
  ]
  expect(mountProblem(creating, 'taskmanager-3', events)).toMatchObject({
    reason: 'FailedMount',
    message:
      'taskmanager-3 (pod words-tm-3) is not started: FailedMount: MountVolume.SetUp failed for volume "token": secret "words-token" not found',
  })
  expect(mountProblem(container({ running: {} }), 'taskmanager-3', events)).toBeUndefined()
})

test('a pod that its node has ended is gone before anybody looks: its warning tells it of the one in its place', () => {
  const replacing = { ...pod({}), metadata: { ...metadata, uid: 'new', creationTimestamp: '2026-01-01T00:02:00Z' } }
  const evicted = (uid: string, at: string) => event('Evicted', 'The node was low on resource: memory.', uid, metadata.name, at)
  expect(replacedProblem(replacing, 'taskmanager-3', [evicted('old', '2026-01-01T00:01:30Z')])).toEqual({
    process: 'taskmanager-3',
    reason: 'Evicted',
    message: `taskmanager-3 (pod ${metadata.name}) was ended by its node, and is replaced: Evicted: The node was low on resource: memory.`,
  })
  const others = [
    evicted('old', '2026-01-01T00:00:30Z'),
    evicted('new', '2026-01-01T00:02:10Z'),
    event('Killing', 'x', 'old', metadata.name, '2026-01-01T00:01:59Z'),
  ]
  expect(replacedProblem(replacing, 'taskmanager-3', others)).toBeUndefined()
})
