import { availableParallelism } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** Figures of this process under Flink's JVM names, filled with what V8 and the system say: old dashboards keep working. */
export function processMetrics(): Record<string, number> {
  const heap = getHeapStatistics()
  const memory = process.memoryUsage()
  return {
    'Status.JVM.Memory.Heap.Used': heap.used_heap_size,
    'Status.JVM.Memory.Heap.Committed': heap.total_heap_size,
    'Status.JVM.Memory.Heap.Max': heap.heap_size_limit,
    'Status.JVM.Memory.NonHeap.Used': Math.max(0, memory.rss - memory.heapTotal),
    'Status.JVM.Memory.Direct.MemoryUsed': memory.external,
    'Status.JVM.CPU.Time': Math.round((process.cpuUsage().user + process.cpuUsage().system) * 1_000),
    'Status.Hardware.CpuCores': availableParallelism(),
  }
}
