import { readdirSync, readFileSync } from 'node:fs'

/**
 * Item tables: `docs/items/<issue>.md`, one Markdown table row per entry of a list in an issue:
 * `| id | what | done, open or missed | test file | test title |`. A done item names a test that exists and passed. A figure may be missed: then the test
 * holds what was measured instead, its profile and what was tried.
 */
export interface Item {
  readonly table: string
  readonly id: string
  readonly what: string
  readonly state: 'open' | 'done' | 'missed'
  readonly file: string
  readonly title: string
}

export interface TestOutcome {
  readonly file: string
  readonly title: string
  readonly status: string
}

export function readItemTables(folder: string): Item[] {
  return readdirSync(folder)
    .filter(name => name.endsWith('.md'))
    .sort()
    .flatMap(name => parseItemTable(name, readFileSync(`${folder}/${name}`, 'utf8')))
}

export function parseItemTable(table: string, text: string): Item[] {
  const items: Item[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (!line.startsWith('|') || /^\|\s*(id|-+)\s*\|/.test(line)) continue
    const cells = line
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim())
    const [id, what, state, file, title] = cells
    if (cells.length !== 5 || id === undefined || what === undefined || !isState(state)) {
      throw new Error(`${table}:${index + 1}: expected | id | what | done, open or missed | test file | test title |`)
    }
    if (state === 'missed' && !id.startsWith('figure-')) throw new Error(`${table}:${index + 1}: only a figure can be missed, ${id} is none`)
    items.push({ table, id, what, state, file: file ?? '', title: title ?? '' })
  }
  return items
}

function isState(state: string | undefined): state is Item['state'] {
  return state === 'open' || state === 'done' || state === 'missed'
}

/** Problems of done items; `files` limits the check to tests of these files (a partial run). */
export function checkItems(items: readonly Item[], outcomes: readonly TestOutcome[], files: ReadonlySet<string> | undefined): string[] {
  const problems: string[] = []
  const byKey = new Map(outcomes.map(outcome => [`${outcome.file}\n${outcome.title}`, outcome.status]))
  const seen = new Set<string>()
  for (const item of items) {
    const name = `${item.table} ${item.id}`
    if (seen.has(name)) problems.push(`${name} stands twice`)
    seen.add(name)
    if (item.state === 'open' || (files !== undefined && !files.has(item.file))) continue
    const status = byKey.get(`${item.file}\n${item.title}`)
    if (status === undefined) problems.push(`${name} is ${item.state}, but ${item.file} has no test "${item.title}"`)
    else if (status !== 'passed') problems.push(`${name} is ${item.state}, but its test ${status}: ${item.file}: ${item.title}`)
  }
  return problems
}
