import { describe, expect, test } from 'vitest'
import { CatalogManager } from '../../catalog/catalog-manager.ts'
import { tableOf } from '../../catalog/catalog-objects.ts'
import { parseScript } from '../../sql/parse.ts'
import { bindQuery } from '../bind-query.ts'
import type { LogicalNode } from '../logical.ts'
import { optimise } from '../optimise.ts'
import { logicalPlanText, physicalPlanText } from '../plan-text.ts'
import { toPhysical } from '../to-physical.ts'
import { foldConstants } from './fold-constants.ts'
import { mergeCalcs } from './merge-calc.ts'
import { pruneColumns } from './prune-columns.ts'
import { recogniseWindowAggregates } from './window-aggregate.ts'

const ddl = `CREATE TABLE t (a INT, b STRING, c DOUBLE, r ROW<x INT, y INT>, ts TIMESTAMP(3), up AS UPPER(b), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'datagen');`

function bound(sql: string): LogicalNode {
  const catalog = new CatalogManager()
  const [table, query] = parseScript(ddl + sql).map(({ statement }) => statement)
  if (table?.kind !== 'createTable' || query?.kind !== 'query') throw new Error('a table and a query')
  catalog.createObject(['t'], tableOf(table).table, { temporary: false, ignoreIfExists: false })
  return bindQuery(query.query, { catalog, scope: catalog.currentPath, timeZone: 'UTC', kafkaDefaults: {}, common: new Map(), views: [] }).node
}

const lines = (node: LogicalNode) =>
  logicalPlanText(node)
    .split('\n')
    .map(line => line.trim().replace(/^\+- /, ''))

test('constants are folded; what has no value and what depends on the time stays', () => {
  expect(lines(foldConstants(bound('SELECT 1 + 2 * 3, 1 / 0, a FROM t WHERE 1 = 1 AND a > 2 + 2'), 'UTC')).slice(0, 2)).toEqual([
    'LogicalProject(EXPR$0=[7], EXPR$1=[(1 / 0)], a=[a])',
    'LogicalFilter(condition=[(a > 4)])',
  ])
  expect(lines(foldConstants(bound('SELECT a FROM t WHERE 1 < 2'), 'UTC'))[1]).toMatch(/^LogicalWatermarkAssigner/)
  expect(lines(foldConstants(bound('SELECT CURRENT_DATE FROM t'), 'UTC'))[0]).toBe('LogicalProject(EXPR$0=[CURRENT_DATE()])')
})

test('filters and projections become one calc, filters below', () => {
  const merged = mergeCalcs(bound('SELECT x + 1 AS y FROM (SELECT a * 2 AS x, b FROM t WHERE a > 1) WHERE x < 10'))
  expect(lines(merged).slice(0, 2)).toEqual(['LogicalProject(y=[((a * 2) + 1)])', 'LogicalFilter(condition=[((a > 1) AND ((a * 2) < 10))])'])
})

test('a condition that may fail sees no row that a filter below keeps from it, also when that one answers NULL', () => {
  const guarded = mergeCalcs(bound('SELECT b FROM (SELECT a, b FROM t WHERE a > 1) WHERE 8 / a > 2'))
  expect(lines(guarded)[1]).toBe('LogicalFilter(condition=[((a > 1) IS TRUE AND ((8 / a) > 2))])')
  const harmless = mergeCalcs(bound('SELECT b FROM (SELECT a, b FROM t WHERE a > 1) WHERE 8 + a > 2'))
  expect(lines(harmless)[1]).toBe('LogicalFilter(condition=[((a > 1) AND ((8 + a) > 2))])')
})

test('what is dear and used twice, or depends on the time, is worked out once', () => {
  const dear = mergeCalcs(bound("SELECT x, x || x FROM (SELECT UPPER(b || LOWER(b || 'abc' || b || UPPER(b || b))) AS x FROM t)"))
  expect(lines(dear).filter(line => line.startsWith('LogicalProject')).length).toBe(3)
  const now = mergeCalcs(bound('SELECT x, x FROM (SELECT LOCALTIMESTAMP AS x FROM t)'))
  expect(lines(now).filter(line => line.startsWith('LogicalProject')).length).toBe(3)
})

test('a filter does not go below the watermark', () => {
  const [, filter, watermark] = lines(mergeCalcs(bound('SELECT a FROM t WHERE a > 1')))
  expect(filter).toMatch(/^LogicalFilter/)
  expect(watermark).toMatch(/^LogicalWatermarkAssigner/)
})

test('columns that nobody reads are not scanned; fields of a ROW are columns of their own', () => {
  expect(lines(pruneColumns(mergeCalcs(bound('SELECT r.y FROM t WHERE a > 1')))).at(-1)).toBe('LogicalTableScan(table=[t], fields=[a, r.y, ts])')
  expect(lines(pruneColumns(mergeCalcs(bound('SELECT up FROM t')))).at(-1)).toBe('LogicalTableScan(table=[t], fields=[b, ts])')
})

describe('window aggregates', () => {
  const tumble =
    "SELECT window_end, b, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) WHERE a > 1 GROUP BY b, window_start, window_end"

  test('a window table function under GROUP BY window_start, window_end is pulled into the aggregate', () => {
    expect(lines(recogniseWindowAggregates(bound(tumble))).slice(2, 5)).toEqual([
      'LogicalAggregate(group=[$f0], window=[TUMBLE(time_col=[$rowtime], size=[10 s])], select=[COUNT(*)])',
      'LogicalProject($f0=[b], $rowtime=[ts])',
      'LogicalFilter(condition=[(a > 1)])',
    ])
  })

  test('two phases: local, exchange by the keys, global; or one', () => {
    const sink: Extract<LogicalNode, { kind: 'sink' }> = {
      kind: 'sink',
      input: bound(tumble),
      table: 'o',
      connector: 'blackhole',
      options: {},
      schema: [],
    }
    const plan = (twoPhase: boolean) => {
      const text = physicalPlanText(toPhysical(optimise(sink, { timeZone: 'UTC' }), { timeZone: 'UTC', twoPhase }))
      return text.split('\n').map(line => line.trim().replace(/^\+- /, '').split('(')[0])
    }
    expect(plan(true)).toEqual([
      'Sink',
      'Calc',
      'GlobalWindowAggregate',
      'Exchange',
      'LocalWindowAggregate',
      'Calc',
      'WatermarkAssigner',
      'TableSourceScan',
    ])
    expect(plan(false)).toEqual(['Sink', 'Calc', 'WindowAggregate', 'Exchange', 'Calc', 'WatermarkAssigner', 'TableSourceScan'])
  })
})
