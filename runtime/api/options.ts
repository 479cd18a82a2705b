import type { ConfigOption } from '../common/config.ts'

export const runtimeModeOption: ConfigOption<string> = {
  key: 'execution.runtime-mode',
  type: 'enum',
  values: ['STREAMING', 'BATCH', 'AUTOMATIC'],
  defaultValue: 'STREAMING',
  doc: 'BATCH emits final results only and needs bounded sources; AUTOMATIC is BATCH when all sources are bounded',
}

export const pipelineName: ConfigOption<string | undefined> = {
  key: 'pipeline.name',
  type: 'string',
  defaultValue: undefined,
  doc: 'name of the job; `env.execute(name)` wins over it',
}

export const apiOptions: readonly ConfigOption<unknown>[] = [runtimeModeOption, pipelineName]
