import { availableParallelism } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** Figures of this process under Flink's JVM names, filled with what V8 and the system say: old dashboards keep working. */
export function processMetrics(): Record<string, number> {
  const heap = getHeapStatistics()
  return {
    'Status.JVM.Memory.Heap.Used': heap.used_heap_size,
    'Status.JVM.Memory.Heap.Committed': heap.total_heap_size,
    'Status.JVM.Memory.Heap.Max': heap.heap_size_limit,
    'Status.JVM.Memory.NonHeap.Used': Math.max(0, residentBytes() - heap.total_heap_size),
    'Status.JVM.Memory.Direct.MemoryUsed': heap.external_memory,
    'Status.JVM.CPU.Time': Math.round((process.cpuUsage().user + process.cpuUsage().system) * 1_000),
    'Status.Hardware.CpuCores': availableParallelism(),
  }
}

let lastResidentBytes = 0

/** To look takes a file descriptor. Where there is none left, figures are no reason to end: what was seen last stands. */
function residentBytes(): number {
  try {
    lastResidentBytes = process.memoryUsage.rss()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error
  }
  return lastResidentBytes
}
