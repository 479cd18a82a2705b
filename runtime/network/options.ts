import type { ConfigOption } from '../common/config.ts'
import { PAGE_SIZE } from './frame.ts'

const MIB = 1024 * 1024

export const networkMemoryFraction: ConfigOption<number> = {
  key: 'taskmanager.memory.network.fraction',
  type: 'double',
  defaultValue: 0.1,
  doc: "share of the TaskManager's memory that its network pages may take, within the bounds of min and max",
}

export const networkMemoryMin: ConfigOption<number> = {
  key: 'taskmanager.memory.network.min',
  type: 'memory',
  defaultValue: 64 * MIB,
  doc: 'the least network memory of a TaskManager',
}

export const networkMemoryMax: ConfigOption<number> = {
  key: 'taskmanager.memory.network.max',
  type: 'memory',
  defaultValue: Number.MAX_SAFE_INTEGER,
  doc: 'the most network memory of a TaskManager; in effect unlimited by default',
}

export const buffersPerChannel: ConfigOption<number> = {
  key: 'taskmanager.network.memory.buffers-per-channel',
  type: 'int',
  defaultValue: 2,
  doc: 'pages of 32 KiB that belong to each channel between threads or TaskManagers; at least 1',
}

export const floatingBuffers: ConfigOption<number> = {
  key: 'taskmanager.network.memory.floating-buffers-per-gate',
  type: 'int',
  defaultValue: 8,
  doc: 'further pages of a channel, given when it is made as long as half of the pages are free: with more of them two threads wake one another less often',
}

export const recordSizeMax: ConfigOption<number> = {
  key: 'taskmanager.network.record-size-max',
  type: 'memory',
  defaultValue: 16 * MIB,
  doc: 'the largest encoded record that may cross a channel between threads or TaskManagers',
}

export const exchangeRequestTimeout: ConfigOption<number> = {
  key: 'taskmanager.network.request-timeout',
  type: 'duration',
  defaultValue: 30_000,
  doc: 'how long a consumer waits until its producer has connected, answered the handshake and registered the channel',
}

export const resultMemorySize: ConfigOption<number> = {
  key: 'taskmanager.memory.framework.off-heap.batch-shuffle.size',
  type: 'memory',
  defaultValue: 64 * MIB,
  doc: 'memory of a TaskManager for blocking results; what finds no room in it lies in files in io.tmp.dirs',
}

export const networkOptions: readonly ConfigOption<unknown>[] = [
  networkMemoryFraction,
  networkMemoryMin,
  networkMemoryMax,
  buffersPerChannel,
  floatingBuffers,
  recordSizeMax,
  exchangeRequestTimeout,
  resultMemorySize,
]

/** Pages of a TaskManager's pool. `memorySize` is the TaskManager's whole memory, undefined when nobody said: then the minimum. */
export function networkPageCount(memorySize: number | undefined, fraction: number, minSize: number, maxSize: number): number {
  const wanted = memorySize === undefined ? minSize : memorySize * fraction
  return Math.floor(Math.max(minSize, Math.min(maxSize, wanted)) / PAGE_SIZE)
}
