/**
 * Snapshots of a large state on the heap, one backend in one thread: `node --expose-gc --max-old-space-size=16000 bench/state-snapshot.ts [keys] [bytes of a
 * value] [changed keys a checkpoint]`; default 10 million keys of 100 bytes, 200,000 changed. Uniform keys. Figures are of this thread alone: nothing is
 * written anywhere, and no rows are processed beside it.
 */

import { SegmentChain } from '../runtime/checkpoint/segment-chains.ts'
import { assert } from '../runtime/common/assert.ts'
import { systemClock } from '../runtime/common/clock.ts'
import { seededRandom } from '../runtime/common/random.ts'
import { Types } from '../runtime/serde/types.ts'
import { ValueStateDescriptor } from '../runtime/state/descriptors.ts'
import { defaultSnapshotLimits } from '../runtime/state/keyed-snapshots.ts'
import { KeyedStateBackend } from '../runtime/state/keyed-state-backend.ts'
import type { KeyedIncrement, KeyedSnapshot } from '../runtime/state/snapshot.ts'

const [keyCount = 10_000_000, valueBytes = 100, changedCount = 200_000] = process.argv.slice(2).map(Number)
const maxParallelism = 128
const descriptor = new ValueStateDescriptor('value', Types.STRING)
const random = seededRandom(7)

function newBackend(): KeyedStateBackend {
  const backend = new KeyedStateBackend({ owner: 'bench', keyType: Types.INT, maxParallelism, limits: defaultSnapshotLimits })
  backend.register(descriptor)
  return backend
}

/** A flat string of its own. */
function textOf(n: number): string {
  return Buffer.from(String(n).padStart(valueBytes, '.')).toString('latin1')
}

function timed<R>(what: string, action: () => R, note: (result: R) => string = () => ''): R {
  const startMs = systemClock.monotonicMs()
  const result = action()
  print(what, systemClock.monotonicMs() - startMs, note(result))
  return result
}

function print(what: string, ms: number, note: string): void {
  process.stdout.write(`${what.padEnd(58)} ${ms.toFixed(0).padStart(7)} ms  ${note}\n`)
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

function writtenBytes({ written }: KeyedIncrement, isBase?: boolean): number {
  let size = 0
  for (const [name, segment] of written)
    if (isBase === undefined || isBase === name.endsWith('-base')) for (const bytes of segment.values()) size += bytes.length
  return size
}

function heap(): string {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return `heap ${(heapUsed / 1e9).toFixed(2)} GB, ${(heapUsed / keyCount).toFixed(0)} bytes a key; external ${(external / 1e9).toFixed(2)} GB`
}

function update(backend: KeyedStateBackend, count: number, next: () => number): void {
  const state = backend.getState(descriptor)
  for (let i = 0; i < count; i++) {
    const key = next()
    backend.setCurrentKey(key)
    state.update(textOf(key))
  }
}

/** Builds, changes and takes checkpoints until a base has come to its end; answers the last one. */
function run(): KeyedSnapshot {
  const backend = newBackend()
  const chain = new SegmentChain<Uint8Array>(undefined)
  let id = 0
  let whole: KeyedSnapshot | undefined
  const barrier = () => {
    const increment = backend.snapshots.snapshot({ checkpointId: ++id, type: 'checkpoint' })
    assert(increment !== undefined, 'there is keyed state')
    return increment
  }
  const keep = (increment: KeyedIncrement) => {
    whole = chain.add({ keyed: increment, lists: [] }).keyed
    backend.snapshots.confirm(id)
  }
  let key = 0
  timed('build', () => update(backend, keyCount, () => key++), heap)
  const first = timed('first checkpoint, whole, in one go', barrier, increment => megabytes(writtenBytes(increment)))
  const stateBytes = writtenBytes(first)
  keep(first)
  const changedBytes = changedCount * (stateBytes / keyCount)
  let snapshotMaxMs = 0
  let pieceMaxMs = 0
  let totalBytes = 0
  let restoreMax = 0
  let bases = 0
  let rounds = 0
  for (; bases < 2; rounds++) {
    const isPrinted = rounds < 2
    const updateMs = clocked(() => update(backend, changedCount, () => random.nextInt(keyCount)))
    let increment: KeyedIncrement | undefined
    const snapshotMs = clocked(() => {
      increment = barrier()
    })
    assert(increment !== undefined, 'it was taken')
    snapshotMaxMs = Math.max(snapshotMaxMs, snapshotMs)
    if (isPrinted) print(`${changedCount} updates`, updateMs, '')
    if (isPrinted)
      print('checkpoint', snapshotMs, `${megabytes(writtenBytes(increment, false))} changed, ${megabytes(writtenBytes(increment, true))} of a base`)
    totalBytes += writtenBytes(increment)
    keep(increment)
    restoreMax = Math.max(restoreMax, sizeOf(whole))
    if (writtenBytes(increment, true) > 0 && increment.kept.length === 0) bases++
    let pieces = 0
    let baseMs = 0
    for (let more = true; more; pieces++) {
      const pieceMs = clocked(() => {
        more = backend.snapshots.continueBase()
      })
      baseMs += pieceMs
      pieceMaxMs = Math.max(pieceMaxMs, pieceMs)
    }
    if (pieces > 1 && rounds % 10 === 0)
      print(`  ${pieces} pieces of a base before the next barrier`, baseMs, `longest so far ${pieceMaxMs.toFixed(1)} ms`)
  }
  print(`longest barrier of ${rounds}`, snapshotMaxMs, `${bases} bases; longest piece ${pieceMaxMs.toFixed(1)} ms; ${heap()}`)
  process.stdout.write(
    `written ${(totalBytes / (rounds * changedBytes)).toFixed(2)} bytes a byte of changed rows; restored at most ${(restoreMax / stateBytes).toFixed(2)} times the state\n`,
  )
  assert(whole !== undefined, 'there is a checkpoint')
  return whole
}

function clocked(action: () => void): number {
  const startMs = systemClock.monotonicMs()
  action()
  return systemClock.monotonicMs() - startMs
}

function sizeOf(snapshot: KeyedSnapshot | undefined): number {
  let size = 0
  for (const segments of snapshot?.keyGroups.values() ?? []) for (const bytes of segments) size += bytes.length
  return size
}

const whole = run()
globalThis.gc?.()
const copy = newBackend()
timed(
  'restore',
  () => copy.snapshots.restore(whole),
  () => `${megabytes(sizeOf(whole))} in ${Math.max(...[...whole.keyGroups.values()].map(each => each.length))} segments; ${heap()}`,
)
