import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

/**
 * House rules that a machine can hold: who may import whom, who may touch time and chance, no import cycles, no forbidden syntax.
 * The table is STYLE.md's ("Who may import whom"); a change of it needs a decision note.
 */
const root = resolve(import.meta.dirname, '..')
const R = (...names: string[]) => names.map(name => `runtime/${name}`)
const apiRooms = R('common', 'serde', 'graph', 'time', 'state', 'stream')
const columnFiles = ['columns', 'columns-builder', 'columns-hash', 'columns-rows', 'columns-scatter', 'columns-text', 'columns-validity'].map(
  name => `runtime/network/${name}.ts`,
)
const streamRooms = R('common', 'serde', 'graph', 'time', 'state', 'checkpoint', 'network', 'metrics', 'codegen')

const allowed: Record<string, readonly string[]> = {
  'runtime/common': [],
  'runtime/metrics': R('common'),
  'runtime/serde': R('common'),
  'runtime/rpc': R('common', 'serde'),
  'runtime/graph': R('common', 'serde'),
  'runtime/time': R('common', 'serde'),
  'runtime/network': R('common', 'serde', 'metrics'),
  'runtime/state': R('common', 'serde', 'metrics'),
  'runtime/checkpoint': R('common', 'serde', 'state', 'graph'),
  'runtime/stream': streamRooms,
  'runtime/taskmanager': R('common', 'serde', 'rpc', 'graph', 'stream', 'network', 'state', 'checkpoint', 'metrics'),
  'runtime/jobmanager': [...R('common', 'serde', 'rpc', 'graph', 'checkpoint', 'metrics'), 'runtime/stream/spi'],
  'runtime/rest': R('common', 'rpc', 'metrics'),
  'runtime/cli': [...R('common', 'api', 'table'), 'runtime/rest/types.ts', 'runtime/rest/client.ts'],
  'runtime/api': apiRooms,
  'runtime/connectors': [...apiRooms, ...R('api', 'checkpoint'), ...columnFiles],
  'runtime/planner': R('common', 'graph', 'api', 'table'),
  'runtime/testing': [...apiRooms, ...R('api', 'table')],
  'runtime/codegen': R('common'),
  'runtime/formats': [...R('common', 'serde', 'codegen', 'table/types'), ...columnFiles],
  'runtime/table': [...apiRooms, ...R('api', 'connectors', 'codegen', 'formats'), ...columnFiles],
  operator: [...R('common'), 'runtime/rest/types.ts', 'runtime/rest/client.ts', 'runtime/checkpoint/catalogue.ts'],
}

/** Type-only imports that the contracts need across the table; each with its reason. */
const typeOnlyExceptions: readonly { readonly from: string; readonly to: string; readonly why: string }[] = [
  { from: 'runtime/api', to: 'runtime/network/frame.ts', why: 'MIN and MAX watermark are named once' },
]

interface Import {
  readonly target: string
  readonly typeOnly: boolean
}

const sources = walk(root).map(path => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }))

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    if (['node_modules', 'dist', '.git', '.millrace', 'test-results'].includes(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path) : entry.name.endsWith('.ts') ? [path] : []
  })
}

function importsOf(path: string, text: string): Import[] {
  const found: Import[] = []
  for (const match of text.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)) {
    const specifier = match[2] ?? ''
    const names = match[0].slice(0, match[0].indexOf("'"))
    const allTypes =
      /\{([^}]*)\}/
        .exec(names)?.[1]
        ?.split(',')
        .every(name => name.trim() === '' || name.trim().startsWith('type ')) === true
    const typeOnly = match[1] !== undefined || (allTypes && !/import\s+\w/.test(names))
    if (specifier.startsWith('.')) found.push({ target: relative(root, resolve(root, dirname(path), specifier)), typeOnly })
    else if (specifier.startsWith('#')) found.push({ target: specifier.slice(1), typeOnly })
  }
  for (const match of text.matchAll(/\bimport\('(\.[^']+)'\)/g))
    found.push({ target: relative(root, resolve(root, dirname(path), match[1] ?? '')), typeOnly: true })
  return found
}

const isTest = (path: string) => path.endsWith('.test.ts')
const roomOf = (path: string) => (path.startsWith('runtime/') ? path.split('/').slice(0, 2).join('/') : (path.split('/')[0] ?? ''))

test('rooms import only what the table allows', () => {
  const violations: string[] = []
  for (const { path, text } of sources) {
    const room = roomOf(path)
    const may = allowed[room]
    if (may === undefined || isTest(path)) continue
    for (const { target, typeOnly } of importsOf(path, text)) {
      if (roomOf(target) === room || may.some(prefix => target === prefix || target.startsWith(`${prefix}/`))) continue
      if (typeOnly && typeOnlyExceptions.some(exception => exception.from === room && target === exception.to)) continue
      violations.push(`${path} imports ${target}`)
    }
  }
  expect(violations).toEqual([])
})

test('every room of the runtime stands in the import table', () => {
  const rooms = new Set(sources.filter(({ path }) => path.startsWith('runtime/')).map(({ path }) => roomOf(path)))
  expect([...rooms].filter(room => allowed[room] === undefined)).toEqual([])
})

test('only common/clock.ts and common/random.ts touch time and chance', () => {
  const forbidden =
    /\b(?:Date\.now|new Date\(\)|setTimeout|setInterval|performance\.now|process\.hrtime|Math\.random|randomBytes|randomUUID|getRandomValues)\b/
  const violations: string[] = []
  for (const { path, text } of sources) {
    if (!/^(runtime|operator)\//.test(path) || isTest(path) || path === 'runtime/common/clock.ts' || path === 'runtime/common/random.ts') continue
    for (const [index, line] of text.split('\n').entries()) {
      const code = line.replace(/^\s*(\*|\/\/|\/\*).*$/, '').replace(/'(?:[^'\\]|\\.)*'|`[^`]*`/g, "''")
      if (forbidden.test(code)) violations.push(`${path}:${index + 1}: ${line.trim()}`)
    }
  }
  expect(violations).toEqual([])
})

test('pure cores import no node module, clock, random or client', () => {
  const violations: string[] = []
  for (const { path, text } of sources) {
    const pure =
      path.endsWith('-core.ts') ||
      path.startsWith('operator/api/') ||
      path.startsWith('operator/validation/') ||
      /^operator\/\w+\/(decide|deletion|diff|health|input|objects|restarts|rollback|snapshots|state-plan|status|transitions|upgrade)\.ts$/.test(
        path,
      ) ||
      path === 'operator/kube/server-side-apply.ts' ||
      /^operator\/effects\/kubernetes\/(objects|planner-answer|pod-specs|pod-template|pods)\.ts$/.test(path)
    if (!pure || isTest(path)) continue
    for (const match of text.matchAll(/from '(node:[^']+)'/g)) violations.push(`${path} imports ${match[1]}`)
    for (const { target, typeOnly } of importsOf(path, text)) {
      if (!typeOnly && /common\/(clock|random)\.ts$/.test(target)) violations.push(`${path} imports ${target}`)
    }
  }
  expect(violations).toEqual([])
})

test('no import cycles between files', () => {
  const graph = new Map(
    sources.map(({ path, text }) => [
      path,
      importsOf(path, text)
        .filter(({ typeOnly }) => !typeOnly)
        .map(({ target }) => target),
    ]),
  )
  const state = new Map<string, 'open' | 'closed'>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]) => {
    if (state.get(path) === 'closed') return
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
      return
    }
    state.set(path, 'open')
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path])
    state.set(path, 'closed')
  }
  for (const path of graph.keys()) visit(path, [])
  expect(cycles).toEqual([])
})

test('no unfinished marks, switched-off tests or sleeping tests', () => {
  const violations: string[] = []
  for (const { path, text } of sources) {
    if (path === 'test/tidy.test.ts') continue
    for (const [index, line] of text.split('\n').entries()) {
      if (/\b(TODO|FIXME|XXX)\b/.test(line)) violations.push(`${path}:${index + 1}: ${line.trim()}`)
      if (isTest(path) && /\.(skip|only|todo)\(/.test(line)) violations.push(`${path}:${index + 1}: ${line.trim()}`)
    }
  }
  expect(violations).toEqual([])
})
