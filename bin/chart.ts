import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Document, isMap, isScalar, type Pair, visit } from 'yaml'
import { z } from 'zod'
import { chartValues } from './chart/values.ts'

/** `make chart`: what of charts/millrace is made of bin/chart/values.ts. A test compares them. */
const MADE_BY = 'Made by bin/chart.ts from bin/chart/values.ts: do not edit, run make chart.'
export const CHART = join(import.meta.dirname, '..', 'charts', 'millrace')

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
}

export function chartFiles(): ReadonlyMap<string, string> {
  const schema = z.toJSONSchema(chartValues, { target: 'draft-7', io: 'input' }) as unknown as Schema
  return new Map([
    ['values.schema.json', `${JSON.stringify(schema, undefined, 2)}\n`],
    ['values.yaml', valuesText(schema)],
    ['README.md', readmeText(schema)],
  ])
}

/** A group has no value of its own: what is in it has. */
function defaultsOf({ properties, ...schema }: Schema): unknown {
  if (properties === undefined || schema.default !== undefined) return schema.default
  return Object.fromEntries(
    Object.entries(properties)
      .map(([name, inner]) => [name, defaultsOf(inner)] as const)
      .filter(([, value]) => value !== undefined && JSON.stringify(value) !== undefined)
      .filter(([name]) => name !== 'global'),
  )
}

function valuesText(schema: Schema): string {
  const document = new Document(defaultsOf(schema))
  document.commentBefore = ` ${MADE_BY}`
  visit(document, {
    Pair(_key, pair, path) {
      const names = [...path.filter(node => 'key' in node), pair].map(node => nameOf(node as Pair))
      const described = names.reduce<Schema | undefined>((at, name) => at?.properties?.[name], schema)
      if (described?.description === undefined || !isScalar(pair.key)) return
      pair.key.commentBefore = ` ${described.description}`
      pair.key.spaceBefore = names.length === 1
      if (isMap(pair.value) && pair.value.items.length === 0) pair.value.flow = true
    },
  })
  return document.toString({ lineWidth: 0 })
}

function nameOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : ''
}

function rowsOf(schema: Schema, path: readonly string[] = []): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => {
    const at = [...path, name]
    if (name === 'global') return []
    if (inner.properties !== undefined && inner.default === undefined) return rowsOf(inner, at)
    return `| \`${at.join('.')}\` | ${typeText(inner)} | \`${JSON.stringify(inner.default)}\` | ${inner.description ?? ''} |`
  })
}

function typeText({ type, enum: values, anyOf }: Schema): string {
  if (values !== undefined) return values.map(value => `\`${value}\``).join(', ')
  if (anyOf !== undefined) return anyOf.map(typeText).join(' or ')
  return { object: 'map', string: 'text', boolean: '`true` or `false`', array: 'list', integer: 'number' }[type ?? ''] ?? ''
}

function readmeText(schema: Schema): string {
  const words = readFileSync(join(import.meta.dirname, 'chart', 'README.md'), 'utf8')
  return `<!-- ${MADE_BY} The words stand in bin/chart/README.md. -->\n${words.trimEnd()}\n\n## Values\n\n| value | type | default | meaning |\n| --- | --- | --- | --- |\n${rowsOf(schema).join('\n')}\n`
}

if (import.meta.main) for (const [name, text] of chartFiles()) writeFileSync(join(CHART, name), text)
