import { stringify } from 'yaml'
import type { Column, Definition } from '../api/crd.ts'
import type { KubeObject } from '../kube/object-api.ts'
import { valueAtJsonPath } from './json-path.ts'
import { resourceName } from './kinds.ts'

/** Objects as kubectl shows them: the CRD's own columns as a table, YAML, JSON or names. Pure. */
export type OutputFormat = 'table' | 'wide' | 'yaml' | 'json' | 'name'

export function asTable(
  definition: Definition,
  objects: readonly KubeObject[],
  nowMs: number,
  options: { wide: boolean; namespaces: boolean },
): string {
  const columns = definition.columns.filter(({ priority = 0 }) => options.wide || priority === 0)
  const head = [...(options.namespaces ? ['NAMESPACE'] : []), 'NAME', ...columns.map(({ name }) => name.toUpperCase())]
  const rows = objects.map(object => [
    ...(options.namespaces ? [object.metadata.namespace] : []),
    object.metadata.name,
    ...columns.map(column => cell(column, object, nowMs)),
  ])
  return aligned([head, ...rows])
}

/** Three spaces between columns, none at the end of a line. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) for (const [index, text] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, text.length)
  return rows
    .map(row =>
      row
        .map((text, index) => (index === row.length - 1 ? text : text.padEnd((widths[index] ?? 0) + 3)))
        .join('')
        .trimEnd(),
    )
    .join('\n')
}

function cell({ type, jsonPath }: Column, object: KubeObject, nowMs: number): string {
  const value = valueAtJsonPath(object, jsonPath)
  if (value === undefined || value === null) return ''
  if (type === 'date') return age(Date.parse(String(value)), nowMs)
  // A message may have lines; a row has one.
  return String(value).split('\n', 1)[0] ?? ''
}

/** As kubectl shortens it: two units where the larger one is small. */
export function age(fromMs: number, nowMs: number): string {
  if (Number.isNaN(fromMs)) return '<unknown>'
  const seconds = Math.max(0, Math.floor((nowMs - fromMs) / 1_000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return withRest(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return withRest(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  const days = Math.floor(hours / 24)
  return days < 8 ? withRest(days, 'd', hours % 24, 'h') : `${days}d`
}

function withRest(whole: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${whole}${unit}` : `${whole}${unit}${rest}${restUnit}`
}

/** One object as a document, several as a List, as kubectl does. */
export function asDocument(format: 'yaml' | 'json', objects: readonly KubeObject[], single: boolean): string {
  const document = single ? objects[0] : { apiVersion: 'v1', items: objects, kind: 'List', metadata: { resourceVersion: '' } }
  return format === 'json' ? JSON.stringify(document, undefined, 4) : stringify(document, { lineWidth: 0, sortMapEntries: true }).trimEnd()
}

export function asNames(definition: Definition, objects: readonly KubeObject[]): string {
  return objects.map(({ metadata }) => resourceName(definition, metadata.name)).join('\n')
}
