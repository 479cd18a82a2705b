import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { CHART, chartFiles } from '../bin/chart.ts'
import { configurationPage, errorsPage, generated, sqlFunctionsPage } from '../bin/docs-pages.ts'
import { operatorPage } from '../bin/operator-docs.ts'

test('the generated pages of docs/ equal their tables', () => {
  const page = (name: string) => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8')
  expect(page('configuration.md')).toBe(configurationPage())
  expect(page('errors.md')).toBe(errorsPage())
  expect(page('sql-functions.md')).toBe(sqlFunctionsPage())
  expect(page('operator.md')).toBe(operatorPage(generated))
})

test('what is generated of the chart equals its values, and its version is that of the package', () => {
  for (const [name, text] of chartFiles()) expect(readFileSync(`${CHART}/${name}`, 'utf8'), name).toBe(text)
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }
  expect(parse(readFileSync(`${CHART}/Chart.yaml`, 'utf8'))).toMatchObject({ version, appVersion: version })
})

test('docs/runbook.md has an entry for each condition that the operator writes', () => {
  const folder = new URL('../operator/', import.meta.url)
  const sources = ['job', 'snapshot', 'manager'].flatMap(room =>
    readdirSync(new URL(`${room}/`, folder))
      .filter(name => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map(name => readFileSync(new URL(`${room}/${name}`, folder), 'utf8')),
  )
  // A condition is written as `{ type: 'Ready', status: ...`, or with a name of its own for the type.
  const types = new Set(
    sources.flatMap(text => [...text.matchAll(/type: (?:'(\w+)'|RESTART_LOOP), status/g)].map(([, type = 'RestartLoop']) => type)),
  )
  expect(types.size).toBeGreaterThan(8)
  const headings = new Set(
    readFileSync(new URL('../docs/runbook.md', import.meta.url), 'utf8')
      .split('\n')
      .filter(line => line.startsWith('### ')),
  )
  expect([...types].filter(type => !headings.has(`### ${type}`))).toEqual([])
})

test('docs/reliability.md names each fault that the operator is shown to stand, and has the numbers', () => {
  const page = readFileSync(new URL('../docs/reliability.md', import.meta.url), 'utf8')
  const items = readFileSync(new URL('../docs/items/m4.md', import.meta.url), 'utf8')
  const rows = [...items.matchAll(/^\| (shown-fault-\w+) /gm)].map(([, row = '']) => row)
  expect(rows.length).toBeGreaterThanOrEqual(10)
  expect(rows.filter(row => !page.includes(`| ${row} |`))).toEqual([])
  expect(page).toMatch(/\d runs, 0 violations/)
})
