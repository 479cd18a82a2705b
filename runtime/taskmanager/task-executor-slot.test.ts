import { expect, test } from 'vitest'
import { SimClock } from '../../test/support/sim-clock.ts'
import type { FlinkError } from '../common/errors.ts'
import { noLog } from '../common/log.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import type { SlotEvent, SlotHost } from './slot-host.ts'
import type { SlotHostFactory } from './slot-host-factory.ts'
import { SlotRun } from './task-executor-slot.ts'

/** Hosts that do nothing but write down what they are told; the test says what they answer. */
function slot() {
  const told: string[] = []
  const states: string[] = []
  const fatal: FlinkError[] = []
  const hosts: { readonly emit: (event: SlotEvent) => void; readonly end: () => void }[] = []
  const clock = new SimClock()
  const factory: SlotHostFactory = {
    dataHost: 'test',
    dataPort: 0,
    hardware: { cpuCores: 1, physicalMemoryBytes: 0, freeMemoryBytes: 0, managedMemoryBytes: 0, networkMemoryBytes: 0 },
    create(_slotIndex, onEvent) {
      const number = hosts.length
      let gone = false
      const end = () => {
        if (!gone) onEvent({ kind: 'exited', error: undefined })
        gone = true
      }
      hosts.push({ emit: onEvent, end })
      const host: SlotHost = {
        deploy: deployment => void told.push(`${number} deploy ${deployment.region}#${deployment.attempt}`),
        cancel: executionIds => void told.push(`${number} cancel ${executionIds.join()}`),
        addSplits: () => {},
        noMoreSplits: () => {},
        triggerCheckpoint: () => {},
        notifyCheckpoint: () => {},
        returnMemory: () => {},
        metrics: () => [],
        terminate: async () => {
          told.push(`${number} terminate`)
          end()
        },
      }
      return host
    },
    wire: ({ region, attempt }) => {
      told.push(`wire ${region}#${attempt}`)
      return { channels: {}, io: undefined }
    },
    release: ({ region, attempt }, orderly) => void told.push(`release ${region}#${attempt}${orderly ? '' : ' disorderly'}`),
    finishResult: () => Promise.reject(new Error('no task here has a result')),
    releaseResults: () => {},
    ensureArtifact: async () => '',
    metrics: () => ({}),
    readStdout: async () => '',
  }
  const run = new SlotRun({
    clock,
    log: noLog,
    hosts: factory,
    slotIndex: 0,
    jobId: 'job',
    cancellationIntervalMs: 30_000,
    cancellationTimeoutMs: 180_000,
    fatal: error => void fatal.push(error),
  })
  const deploy = async (region: number, attempt: number, ...executionIds: string[]) => {
    // What else stands in it nobody here looks at. Somebody reads what they write as they go.
    const outputs = [{ edge: { exchange: 'pipelined_bounded' } }]
    const deployment = {
      region,
      attempt,
      artifact: {},
      tasks: executionIds.map(executionId => ({ executionId, outputs })),
    } as unknown as SlotDeployment
    run.deploy(deployment, {
      onTaskState: (executionId, state) => void states.push(`${executionId} ${state}`),
      onSplitRequest: () => {},
      onAwaitsCheckpoint: () => {},
      onCheckpointComplete: () => {},
      storeResult: async () => {},
      readRestored: async () => new Map(),
      onCheckpoint: async () => {},
    })
    await clock.run(10)
  }
  const say = async (host: number, executionId: string, state: 'RUNNING' | 'FINISHED' | 'CANCELED' | 'FAILED') => {
    hosts[host]?.emit({ kind: 'task-state', executionId, state, error: undefined })
    await clock.run(10)
  }
  return { run, told, states, fatal, hosts, clock, deploy, say }
}

test('regions of a job share the host of their slot; one comes back while the other runs on, and its channels are given back', async () => {
  const { run, told, states, deploy, say } = slot()
  await deploy(0, 0, 'a')
  await deploy(1, 0, 'b')
  for (const id of ['a', 'b']) await say(0, id, 'RUNNING')
  run.cancel(['b'])
  await say(0, 'b', 'CANCELED')
  await deploy(1, 1, 'c')
  expect(told).toEqual(['wire 0#0', '0 deploy 0#0', 'wire 1#0', '0 deploy 1#0', '0 cancel b', 'release 1#0 disorderly', 'wire 1#1', '0 deploy 1#1'])
  expect(states).toEqual(['a RUNNING', 'b RUNNING', 'b CANCELED'])
  expect(() => run.deploy({ region: 0, attempt: 1, tasks: [] } as unknown as SlotDeployment, {} as never)).toThrow('still runs in slot 0')
})

test('channels of what has not ended in order are given back at its end, once its host is gone', async () => {
  const { told, hosts, clock, deploy, say } = slot()
  await deploy(0, 0, 'a')
  await say(0, 'a', 'FAILED')
  expect(told).toEqual(['wire 0#0', '0 deploy 0#0'])
  hosts[0]?.end()
  await clock.run(10)
  expect(told.splice(0)).toEqual(['wire 0#0', '0 deploy 0#0', 'release 0#0 disorderly'])
  await deploy(0, 1, 'b')
  expect(told).toEqual(['wire 0#1', '1 deploy 0#1'])
})

test('a deployment that reaches a host on its way out is given to the next one', async () => {
  const { told, states, hosts, clock, deploy, say } = slot()
  await deploy(0, 0, 'a')
  await say(0, 'a', 'RUNNING')
  await deploy(1, 0, 'b')
  // It had ended before it was told.
  hosts[0]?.emit({ kind: 'task-state', executionId: 'a', state: 'FINISHED', error: undefined })
  hosts[0]?.end()
  await clock.run(10)
  await say(1, 'b', 'RUNNING')
  expect(told).toEqual(['wire 0#0', '0 deploy 0#0', 'wire 1#0', '0 deploy 1#0', '1 deploy 1#0'])
  expect(states).toEqual(['a RUNNING', 'a FINISHED', 'b RUNNING'])
})

test('a host in which cancelled tasks do not end is terminated, with the tasks of the others', async () => {
  const { run, told, states, fatal, clock, deploy, say } = slot()
  await deploy(0, 0, 'a')
  await deploy(1, 0, 'b')
  for (const id of ['a', 'b']) await say(0, id, 'RUNNING')
  run.cancel(['b'])
  await clock.run(29_000)
  expect(states).toEqual(['a RUNNING', 'b RUNNING'])
  await clock.run(2_000)
  expect(told).toContain('0 terminate')
  expect(states.slice(2).sort()).toEqual(['a FAILED', 'b CANCELED'])
  await deploy(1, 1, 'c')
  expect(told.slice(-3)).toEqual(['release 1#0 disorderly', 'wire 1#1', '1 deploy 1#1'])
  await clock.run(300_000)
  expect(fatal).toEqual([])
})

test('channels of tasks that have finished stay until the slot goes: others may still read', async () => {
  const { run, told, deploy, say } = slot()
  await deploy(0, 0, 'a')
  await deploy(1, 0, 'b')
  await say(0, 'a', 'FINISHED')
  await say(0, 'b', 'FAILED')
  await deploy(1, 1, 'c')
  expect(told.filter(text => text.startsWith('release'))).toEqual(['release 1#0 disorderly'])
  await say(1, 'c', 'FINISHED')
  await run.release()
  expect(told.filter(text => text.startsWith('release')).sort()).toEqual(['release 0#0', 'release 1#0 disorderly', 'release 1#1'])
})
