import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { configurationPage, errorsPage, generated, sqlFunctionsPage } from '../bin/docs-pages.ts'
import { operatorPage } from '../bin/operator-docs.ts'

test('the generated pages of docs/ equal their tables', () => {
  const page = (name: string) => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8')
  expect(page('configuration.md')).toBe(configurationPage())
  expect(page('errors.md')).toBe(errorsPage())
  expect(page('sql-functions.md')).toBe(sqlFunctionsPage())
  expect(page('operator.md')).toBe(operatorPage(generated))
})
