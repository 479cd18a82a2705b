import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { chartCrdFiles, crdFiles } from '../../bin/crds.ts'

test.each([
  ['crds', crdFiles()],
  ['charts/millrace/templates/crds', chartCrdFiles()],
])('%s is what make crds makes, each file under 100 KB', (path, files) => {
  const folder = join(import.meta.dirname, '../..', path)
  expect(readdirSync(folder).sort()).toEqual([...files.keys()].sort())
  for (const [name, text] of files) {
    expect(readFileSync(join(folder, name), 'utf8'), name).toBe(text)
    expect(text.length, name).toBeLessThan(100_000)
  }
})

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema
  readonly items?: Schema
  readonly [other: string]: unknown
}

function* schemasIn(schema: Schema, path: string): Generator<readonly [string, Schema]> {
  yield [path, schema]
  for (const [name, inner] of Object.entries(schema.properties ?? {})) yield* schemasIn(inner, `${path}.${name}`)
  if (schema.additionalProperties !== undefined) yield* schemasIn(schema.additionalProperties, `${path}.*`)
  if (schema.items !== undefined) yield* schemasIn(schema.items, `${path}[]`)
}

test.each([...crdFiles()])('%s: structural, every field of a spec is described, a text and a list have a largest size', (_name, text) => {
  const { openAPIV3Schema } = parse(text).spec.versions[0].schema as { openAPIV3Schema: Schema }
  const all = [...schemasIn(openAPIV3Schema.properties?.['spec'] as Schema, 'spec')]
  expect(all.length).toBeGreaterThan(5)
  for (const [path, schema] of all) {
    expect(schema.type ?? schema['x-kubernetes-int-or-string'] ?? schema['x-kubernetes-preserve-unknown-fields'], path).toBeDefined()
    for (const forbidden of ['anyOf', 'oneOf', 'allOf', 'not', '$schema', '$ref']) expect(schema, path).not.toHaveProperty(forbidden)
    if (path !== 'spec' && !/[\]*]$/.test(path)) expect(schema.description, path).toMatch(/^[A-Z].*\.$/s)
    if (schema.type === 'string') expect(schema['maxLength'] ?? schema['enum'], path).toBeDefined()
    if (schema.type === 'array') expect(schema['maxItems'], path).toBeDefined()
  }
})
