import { FlinkError } from '../common/errors.ts'
import { DataStream } from './data-stream.ts'
import { refuseByName, refusedName } from './refusals.ts'

/** Flink 1's DataSet API, and what else its users look for: answered with the way to write it here. */
const batchAdvice =
  "there is no DataSet API: write the same program with StreamExecutionEnvironment and keyBy instead of groupBy, and run it with env.setRuntimeMode('BATCH') or -D execution.runtime-mode=BATCH; it then emits final results only"

export class ExecutionEnvironment {
  static getExecutionEnvironment(): never {
    throw new FlinkError('UNSUPPORTED', `ExecutionEnvironment: ${batchAdvice}`)
  }
}

export const EmbeddedRocksDBStateBackend = refusedName('EmbeddedRocksDBStateBackend', 'RocksDB is not supported yet: state lives on the heap')
export const RocksDBStateBackend = refusedName('RocksDBStateBackend', 'RocksDB is not supported yet: state lives on the heap')
export const TimeCharacteristic = refusedName(
  'TimeCharacteristic',
  'nothing needs it: give the stream a WatermarkStrategy for event time, and windows name the time they use',
)
export const SlidingEventTimeWindows = refusedName('SlidingEventTimeWindows', 'sliding windows are not supported yet; tumbling ones are')
export const SlidingProcessingTimeWindows = refusedName('SlidingProcessingTimeWindows', 'sliding windows are not supported yet; tumbling ones are')
export const EventTimeSessionWindows = refusedName('EventTimeSessionWindows', 'session windows are not supported yet; tumbling ones are')
export const ProcessingTimeSessionWindows = refusedName('ProcessingTimeSessionWindows', 'session windows are not supported yet; tumbling ones are')
export const GlobalWindows = refusedName('GlobalWindows', 'global windows are not supported yet; tumbling ones are')
export const AsyncDataStream = refusedName('AsyncDataStream', 'asynchronous operators are not supported yet; an own sink may be async')

refuseByName(DataStream.prototype, 'stream', {
  groupBy: `use keyBy, which takes the same positions and names; ${batchAdvice}`,
  timeWindow: "use window(TumblingEventTimeWindows.of('15 s')) or TumblingProcessingTimeWindows",
  countWindow: 'count windows are not supported yet',
  windowAll: 'windows over all rows are not supported yet; key the stream by a constant for one',
  timeWindowAll: 'windows over all rows are not supported yet; key the stream by a constant for one',
  countWindowAll: 'windows over all rows are not supported yet',
  iterate: 'iterations are not supported',
  join: 'joins of streams are not supported yet; connect two keyed streams and keep state',
  coGroup: 'joins of streams are not supported yet; connect two keyed streams and keep state',
  intervalJoin: 'joins of streams are not supported yet; connect two keyed streams and keep state',
  assignAscendingTimestamps: 'use assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner(row => row.ts))',
  writeAsCsv: 'use map to make lines and writeAsText',
  writeToSocket: 'use an own sink with addSink',
  executeAndCollect: 'a program only builds the job: print, writeAsText or an own sink take its results',
  asQueryableState: 'queryable state is not supported',
})
