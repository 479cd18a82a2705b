/**
 * Snapshots of a large state on the heap, one backend in one thread: `node --expose-gc --max-old-space-size=16000 bench/state-snapshot.ts [keys] [bytes of a
 * value] [changed keys a checkpoint]`; default 10 million keys of 100 bytes, 200,000 changed. Uniform keys. Figures are of the slot's thread alone: what it
 * hands over goes to a file and leaves the heap, as it goes to the main thread in a TaskManager, and that time is not counted.
 */

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
const ROWS_A_RUN = 250
const descriptor = new ValueStateDescriptor('value', Types.STRING)
const random = seededRandom(7)

function newBackend(): KeyedStateBackend {
  const backend = new KeyedStateBackend({ owner: 'bench', keyType: Types.INT, maxParallelism, limits: defaultSnapshotLimits })
  backend.register(descriptor)
  return backend
}

const text = Buffer.alloc(valueBytes, '.')

/** A flat string of its own. */
function textOf(n: number): string {
  text.write(String(n), 'latin1')
  return text.toString('latin1')
}

interface Place {
  readonly offset: number
  readonly length: number
}

const folder = mkdtempSync(join(tmpdir(), 'state-snapshot-'))
const file = openSync(join(folder, 'segments'), 'w+')
let fileLength = 0

function handOver({ written, ...rest }: KeyedIncrement): KeyedIncrement<Place> {
  const places = new Map<string, ReadonlyMap<number, Place>>()
  for (const [name, segment] of written) {
    const placed = new Map<number, Place>()
    for (const [keyGroup, bytes] of segment) {
      placed.set(keyGroup, { offset: fileLength, length: bytes.length })
      fileLength += writeSync(file, bytes)
    }
    // Gone at once, as by a message that moves them.
    for (const buffer of new Set([...segment.values()].map(bytes => bytes.buffer as ArrayBuffer))) buffer.transfer(0)
    places.set(name, placed)
  }
  return { ...rest, written: places }
}

function read({ offset, length }: Place): Uint8Array {
  const bytes = new Uint8Array(length)
  readSync(file, bytes, 0, length, offset)
  return bytes
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
    if (isBase === undefined || isBase === (name !== String(Number.parseInt(name, 10)))) for (const bytes of segment.values()) size += bytes.length
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
    // As a task does between two runs of rows.
    if (i % ROWS_A_RUN === 0) backend.snapshots.writeAhead()
  }
}

/** Builds, changes and takes checkpoints until a base has come to its end; answers the last one. */
function run(): KeyedSnapshot<Place> {
  const backend = newBackend()
  const chain = new SegmentChain<Place>(undefined)
  let id = 0
  let whole: KeyedSnapshot<Place> | undefined
  const barrier = () => {
    const increment = backend.snapshots.snapshot({ checkpointId: ++id, type: 'checkpoint' })
    assert(increment !== undefined, 'there is keyed state')
    return increment
  }
  const keep = (increment: KeyedIncrement) => {
    whole = chain.add({ keyed: handOver(increment), lists: [] }).keyed
    backend.snapshots.confirm(id)
  }
  let key = 0
  timed(
    'build, with checkpoints',
    () => {
      while (key < keyCount) {
        update(backend, Math.min(5 * changedCount, keyCount - key), () => key++)
        keep(barrier())
        while (backend.snapshots.writeAhead());
      }
    },
    heap,
  )
  const savepoint = timed(
    'savepoint, whole, in one go',
    () => backend.snapshots.snapshot({ checkpointId: ++id, type: 'savepoint' }),
    increment => (increment === undefined ? '' : megabytes(writtenBytes(increment))),
  )
  assert(savepoint !== undefined, 'there is keyed state')
  const stateBytes = writtenBytes(savepoint)
  handOver(savepoint)
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
    if (writtenBytes(increment, true) > 0 && increment.kept.length === 0) bases++
    keep(increment)
    restoreMax = Math.max(restoreMax, sizeOf(whole))
    let pieces = 0
    let baseMs = 0
    for (let more = true; more; pieces++) {
      const pieceMs = clocked(() => {
        more = backend.snapshots.writeAhead()
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

function sizeOf(snapshot: KeyedSnapshot<Place> | undefined): number {
  let size = 0
  for (const segments of snapshot?.keyGroups.values() ?? []) for (const place of segments) size += place.length
  return size
}

const whole = run()
globalThis.gc?.()
const copy = newBackend()
const keyGroups = new Map([...whole.keyGroups].map(([keyGroup, places]) => [keyGroup, places.map(read)]))
timed(
  'restore, all bytes at hand',
  () => copy.snapshots.restore({ ...whole, keyGroups }),
  () => `${megabytes(sizeOf(whole))} in ${Math.max(...[...keyGroups.values()].map(each => each.length))} segments`,
)
keyGroups.clear()
process.stdout.write(`${heap()}\n`)
closeSync(file)
rmSync(folder, { recursive: true })
