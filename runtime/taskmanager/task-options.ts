import type { ConfigOption } from '../common/config.ts'
import { globalJobParameters } from '../common/job-parameters.ts'

export const bufferTimeout: ConfigOption<number> = {
  key: 'execution.buffer-timeout.interval',
  type: 'duration',
  defaultValue: 100,
  doc: 'how long a row may wait for its frame to fill while its task is busy; a task whose input is empty sends at once',
}

export const autoWatermarkInterval: ConfigOption<number> = {
  key: 'pipeline.auto-watermark-interval',
  type: 'duration',
  defaultValue: 200,
  doc: 'how often periodic watermark generators are asked, in processing time; 0 = never',
}

export const taskOptions: readonly ConfigOption<unknown>[] = [bufferTimeout, autoWatermarkInterval, globalJobParameters]
