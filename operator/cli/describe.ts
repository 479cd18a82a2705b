import type { KubeObject, ObjectApi } from '../kube/object-api.ts'
import { events } from '../kube/resources.ts'
import { age, aligned } from './printing.ts'

/** One object in full, in the shape of `kubectl describe`: every field with its name in words, then what happened to it. */
export async function describeObject(api: ObjectApi, object: KubeObject, nowMs: number): Promise<string> {
  const { items } = await api.list(events, { namespace: object.metadata.namespace })
  const own = items.map(item => item as KubeObject & KubeEvent).filter(({ regarding }) => regarding?.uid === object.metadata.uid)
  return describedWith(object, own, nowMs)
}

/** Of events.k8s.io/v1: the fields that are shown. */
interface KubeEvent {
  readonly type?: string
  readonly reason?: string
  readonly note?: string
  readonly reportingController?: string
  readonly eventTime?: string | null
  readonly series?: { readonly count: number; readonly lastObservedTime: string }
  readonly regarding?: { readonly uid?: string }
}

export function describedWith(object: KubeObject, own: readonly KubeEvent[], nowMs: number): string {
  const { metadata, apiVersion, kind, ...rest } = object
  const { name, namespace, labels, annotations, ...otherMetadata } = metadata
  const head: (readonly [string, string])[] = [
    ['Name:', name],
    ['Namespace:', namespace],
    ['Labels:', listed(labels)],
    ['Annotations:', listed(annotations)],
    ['API Version:', apiVersion],
    ['Kind:', kind],
  ]
  const lines = head.map(([key, value]) => `${key.padEnd(14)}${value}`)
  const body = Object.entries({ metadata: otherMetadata, ...rest }).flatMap(([key, value]) => fieldLines(key, value, 0))
  return [...lines, ...body, ...eventLines(own, nowMs)].join('\n')
}

function listed(map: Readonly<Record<string, string>> | undefined): string {
  const entries = Object.entries(map ?? {}).sort()
  return entries.length === 0 ? '<none>' : entries.map(([key, value]) => `${key}=${value}`).join(`\n${' '.repeat(14)}`)
}

function fieldLines(key: string, value: unknown, depth: number): string[] {
  const indent = '  '.repeat(depth)
  const label = `${indent}${inWords(key)}:`
  if (Array.isArray(value)) return [label, ...value.flatMap(item => itemLines(item, depth + 1))]
  if (typeof value === 'object' && value !== null) return [label, ...mapLines(value, depth + 1)]
  const text = String(value)
  if (!text.includes('\n')) return [`${label}  ${text}`]
  return [
    label,
    ...text
      .trimEnd()
      .split('\n')
      .map(line => `${indent}  ${line}`),
  ]
}

function mapLines(map: object, depth: number): string[] {
  return Object.entries(map).flatMap(([key, value]) => (value === undefined ? [] : fieldLines(key, value, depth)))
}

function itemLines(item: unknown, depth: number): string[] {
  if (typeof item === 'object' && item !== null) return mapLines(item, depth)
  return [`${'  '.repeat(depth)}${String(item)}`]
}

/** `lifecycleState` -> `Lifecycle State`; keys of options and paths stay as they are. */
function inWords(key: string): string {
  if (!/^[a-zA-Z]+$/.test(key)) return key
  const words = key.replace(/([a-z0-9])([A-Z])/g, '$1 $2')
  return `${words[0]?.toUpperCase()}${words.slice(1)}`
}

function eventLines(own: readonly KubeEvent[], nowMs: number): string[] {
  if (own.length === 0) return ['Events:  <none>']
  const time = (event: KubeEvent) => Date.parse(event.series?.lastObservedTime ?? event.eventTime ?? '')
  const rows = [...own]
    .sort((a, b) => time(a) - time(b))
    .map(event => {
      const { type = '', reason = '', reportingController = '', note = '', series } = event
      const times = series === undefined ? '' : ` (x${series.count})`
      return [`  ${type}`, reason, `${age(time(event), nowMs)}${times}`, reportingController, note.split('\n', 1)[0] ?? '']
    })
  const head = ['  Type', 'Reason', 'Age', 'From', 'Message']
  return ['Events:', ...aligned([head, head.map(word => (word.startsWith('  ') ? '  ----' : '-'.repeat(word.length))), ...rows]).split('\n')]
}
