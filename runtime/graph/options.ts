import type { ConfigOption } from '../common/config.ts'

export const parallelismDefault: ConfigOption<number> = {
  key: 'parallelism.default',
  type: 'int',
  defaultValue: 1,
  doc: "parallelism of operators that set none; `env.setParallelism` and the operator's own win over it",
}

export const pipelineMaxParallelism: ConfigOption<number> = {
  key: 'pipeline.max-parallelism',
  type: 'int',
  defaultValue: -1,
  doc: 'number of key groups of operators that set none, 1 to 32768; -1 = derived from the parallelism',
}

export const operatorChainingEnabled: ConfigOption<boolean> = {
  key: 'pipeline.operator-chaining.enabled',
  type: 'boolean',
  defaultValue: true,
  doc: 'false runs every operator in a task of its own',
}

export const autoGenerateUids: ConfigOption<boolean> = {
  key: 'pipeline.auto-generate-uids',
  type: 'boolean',
  defaultValue: true,
  doc: 'false refuses a program that has an operator with state and without uid: in a changed graph its state could not be found',
}

export const batchShuffleMode: ConfigOption<string> = {
  key: 'execution.batch-shuffle-mode',
  type: 'enum',
  values: ['ALL_EXCHANGES_BLOCKING', 'ALL_EXCHANGES_PIPELINED'],
  defaultValue: 'ALL_EXCHANGES_BLOCKING',
  doc: 'of batch jobs: ALL_EXCHANGES_BLOCKING stores what a task gives to others until it has finished, and only then asks for slots for them; ALL_EXCHANGES_PIPELINED runs all tasks at once. The hybrid modes are not supported yet',
}

export const graphOptions: readonly ConfigOption<unknown>[] = [
  parallelismDefault,
  pipelineMaxParallelism,
  operatorChainingEnabled,
  autoGenerateUids,
  batchShuffleMode,
]
