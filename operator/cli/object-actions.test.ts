import { beforeEach, expect, test, vi } from 'vitest'
import { seededRandom } from '../../runtime/common/random.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { LocalApiServer } from '../kube/local-api-server.ts'
import type { KubeObject } from '../kube/object-api.ts'
import { flinkJobs } from '../kube/resources.ts'
import { createObjectCommands } from './object-actions.ts'
import type { DeleteRequest, GetRequest, ObjectScope } from './object-commands.ts'

let clock: SimulatedClock
let one: LocalApiServer
let two: LocalApiServer
let printed: string[]
let errors: string[]

const START_MS = Date.parse('2026-11-23T10:00:00Z')
const scope: ObjectScope = { namespace: 'default', labels: {} }
const get = (args: readonly string[], more: Partial<GetRequest> = {}): GetRequest => ({ args, scope, output: 'table', watch: false, ...more })
const remove = (args: readonly string[], more: Partial<DeleteRequest> = {}): DeleteRequest => ({ args, scope, all: false, wait: true, ...more })

const commands = (isLive = true) =>
  createObjectCommands({
    apis: [one, two],
    isLive,
    print: text => printed.push(text),
    printError: text => errors.push(text),
    clock,
    interrupted: new AbortController().signal,
  })

const object = (kind: string, name: string, spec: object, metadata: object = {}): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind,
  metadata: { name, namespace: 'default', ...metadata },
  spec,
})

beforeEach(async () => {
  clock = new SimulatedClock(START_MS)
  one = new LocalApiServer({ clock, random: seededRandom(1) })
  two = new LocalApiServer({ clock, random: seededRandom(2) })
  printed = []
  errors = []
  const words = await one.create(object('FlinkJob', 'words', { job: { sql: 'SELECT 1' } }, { labels: { team: 'a' } }))
  await one.updateStatus({
    ...words,
    status: {
      lifecycleState: 'STABLE',
      jobManagerDeploymentStatus: 'READY',
      jobStatus: { jobId: '0'.repeat(32), jobName: 'words', state: 'RUNNING', parallelism: 2 },
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Running',
          message: 'the job is RUNNING\nsecond line',
          lastTransitionTime: '2026-11-23T10:00:00Z',
          observedGeneration: 1,
        },
      ],
    },
  })
  await two.create(object('FlinkJob', 'clicks', { job: { sql: 'SELECT 2' } }))
  await two.create(object('FlinkSession', 'shared', {}, { namespace: 'other' }))
})

test('get: the columns of the CRD, of all servers, in order of names', async () => {
  clock.advanceBy(95_000)
  expect(await commands().get(get(['fj']))).toBe(0)
  expect(printed.join('\n')).toBe(
    [
      'NAME     JOB STATE   LIFECYCLE   PARALLELISM   LAST SAVEPOINT   MESSAGE              AGE',
      'clicks                                                                               95s',
      'words    RUNNING     STABLE      2                              the job is RUNNING   95s',
    ].join('\n'),
  )
})

test('get: one by name, in each format, and as kubectl says what is missing', async () => {
  expect(await commands().get(get(['flinkjob', 'words'], { output: 'name' }))).toBe(0)
  expect(await commands().get(get(['fj/words'], { output: 'yaml' }))).toBe(0)
  expect(await commands().get(get(['FlinkJobs'], { output: 'json' }))).toBe(0)
  expect(printed[0]).toBe('flinkjob.millrace.dev/words')
  expect(printed[1]).toMatch(/^apiVersion: millrace\.dev\/v1alpha1\nkind: FlinkJob\nmetadata:\n {2}creationTimestamp: 2026-11-23T10:00:00Z\n/)
  expect(printed[1]).toMatch(/\n {2}lifecycleState: STABLE$/)
  expect(JSON.parse(printed[2] ?? '')).toMatchObject({ kind: 'List', items: [{ metadata: { name: 'clicks' } }, { metadata: { name: 'words' } }] })
  expect(await commands().get(get(['flinkjob', 'none', 'words'], { output: 'name' }))).toBe(1)
  expect(errors).toEqual(['Error from server (NotFound): flinkjob.millrace.dev "none" not found'])
  await expect(commands().get(get(['flinkjbo']))).rejects.toThrow('there is no kind flinkjbo, did you mean flinkjobs?')
})

test('get: all kinds, all namespaces, with labels, and nothing', async () => {
  const everywhere = { namespace: undefined, labels: {} }
  expect(await commands().get(get(['all'], { scope: everywhere }))).toBe(0)
  expect(printed.map(table => table.trimStart().split(/\s+/).slice(0, 2))).toEqual([
    ['NAMESPACE', 'NAME'],
    ['NAMESPACE', 'NAME'],
  ])
  printed.length = 0
  expect(await commands().get(get(['fj'], { scope: { namespace: 'default', labels: { team: 'a' } }, output: 'name' }))).toBe(0)
  expect(printed).toEqual(['flinkjob.millrace.dev/words'])
  expect(await commands().get(get(['fsnap']))).toBe(0)
  expect(errors).toEqual(['No resources found in default namespace.'])
})

test('describe: every field in words, conditions, then events', async () => {
  const job = await one.get(flinkJobs, 'default', 'words')
  await one.create({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: 'words.1', namespace: 'default' },
    type: 'Normal',
    reason: 'Submit',
    note: 'the job was submitted',
    reportingController: 'millrace-operator',
    eventTime: '2026-11-23T10:00:00.000000Z',
    series: { count: 3, lastObservedTime: '2026-11-23T10:00:30.000000Z' },
    regarding: { uid: job.metadata.uid },
  })
  clock.advanceBy(60_000)
  expect(await commands().describe({ args: ['flinkjob', 'words'], scope })).toBe(0)
  const text = printed.join('\n')
  expect(text).toMatch(
    /^Name: {9}words\nNamespace: {4}default\nLabels: {7}team=a\nAnnotations: {2}<none>\nAPI Version: {2}millrace\.dev\/v1alpha1\nKind: {9}FlinkJob\nMetadata:\n/,
  )
  expect(text).toContain('\n  Lifecycle State:  STABLE\n')
  expect(text).toContain('\n  Job Status:\n    Job Id:  ')
  expect(text).toMatch(
    /\nEvents:\n {2}Type +Reason +Age +From +Message\n {2}---- .*\n {2}Normal +Submit +30s \(x3\) +millrace-operator +the job was submitted$/,
  )
})

test('annotate: sets, removes, and overwrites only when told to', async () => {
  const annotate = (annotations: Readonly<Record<string, string | null>>, overwrite = false) =>
    commands().annotate({ args: ['fj', 'words'], annotations, overwrite, scope })
  expect(await annotate({ 'millrace.dev/savepoint': '1', other: 'x' })).toBe(0)
  expect(await annotate({ 'millrace.dev/savepoint': '2' })).toBe(1)
  expect(errors.join()).toContain("'millrace.dev/savepoint' already has a value (1)")
  expect(await annotate({ 'millrace.dev/savepoint': '2', other: null }, true)).toBe(0)
  const { items } = await one.list(flinkJobs)
  expect(items[0]?.metadata.annotations).toEqual({ 'millrace.dev/savepoint': '2' })
  expect(printed).toEqual(['flinkjob.millrace.dev/words annotated', 'flinkjob.millrace.dev/words annotated'])
})

test('delete: waits until it is gone; nothing by accident', async () => {
  const held = await one.patchMetadata(await one.get(flinkJobs, 'default', 'words'), { finalizers: ['millrace.dev/cleanup'] })
  let isDone = false
  const deleted = commands()
    .delete(remove(['fj', 'words']))
    .then(code => {
      isDone = true
      return code
    })
  await vi.waitFor(() => expect(clock.pendingCount).toBe(1))
  expect(printed).toEqual(['flinkjob.millrace.dev "words" deleted'])
  expect(isDone).toBe(false)
  await one.patchMetadata(await one.get(flinkJobs, 'default', held.metadata.name), { finalizers: [] })
  clock.advanceBy(1_000)
  expect(await deleted).toBe(0)
  await expect(commands().delete(remove(['fj']))).rejects.toThrow('no object is named, and neither --all nor a selector is given')
  expect(await commands().delete(remove(['fj'], { all: true, wait: false }))).toBe(0)
  expect((await two.list(flinkJobs)).items).toEqual([])
})

test('what an ended up has left can be read, and not be changed', async () => {
  expect(await commands(false).get(get(['fj'], { output: 'name' }))).toBe(0)
  await expect(commands(false).annotate({ args: ['fj', 'words'], annotations: { a: 'b' }, overwrite: false, scope })).rejects.toThrow(
    'no millrace up runs here',
  )
  await expect(commands(false).delete(remove(['fj', 'words']))).rejects.toThrow('no millrace up runs here')
})
