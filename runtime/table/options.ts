import type { ConfigOption } from '../common/config.ts'

export const tableOptions = {
  localTimeZone: {
    key: 'table.local-time-zone',
    type: 'string',
    defaultValue: 'UTC' as string,
    doc: 'time zone of local times in SQL: an IANA name or an offset such as +02:00',
  },
  aggPhaseStrategy: {
    key: 'table.optimizer.agg-phase-strategy',
    type: 'enum',
    values: ['AUTO', 'TWO_PHASE', 'ONE_PHASE'],
    defaultValue: 'AUTO' as string,
    doc: 'whether SQL aggregates before the exchange: AUTO and TWO_PHASE do where the aggregates can be merged',
  },
  reuseSubplans: {
    key: 'table.optimizer.reuse-sub-plan-enabled',
    type: 'boolean',
    defaultValue: true as boolean,
    doc: 'what statements of one job, or branches of one, compute alike is computed once',
  },
  reuseSources: {
    key: 'table.optimizer.reuse-source-enabled',
    type: 'boolean',
    defaultValue: true as boolean,
    doc: 'a table that is read several times in one job is read once, where sub-plans are shared',
  },
  codegen: {
    key: 'table.exec.codegen',
    type: 'boolean',
    defaultValue: true as boolean,
    doc: 'generate loops for SQL expressions; false interprets them, for comparison and tests',
  },
  explainGeneratedSource: {
    key: 'table.explain.generated-source',
    type: 'boolean',
    defaultValue: false as boolean,
    doc: 'EXPLAIN shows the generated loops of every calc as a section of its own',
  },
} as const satisfies Record<string, ConfigOption<unknown>>

export const tableOptionTable: readonly ConfigOption<unknown>[] = Object.values(tableOptions)
