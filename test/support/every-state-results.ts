import { expect } from 'vitest'
import { isKept, KEYS, MS_PER_ROW, WINDOW_MS } from './every-state-job.ts'

/** What every-state-job.ts has to write. */

/** All lines, wherever and however often it was restored: each once. */
export function expectResults(lines: readonly string[], count: number): void {
  const results = lines.filter(line => !line.startsWith('restored ')).map(line => line.replace(/ in attempt \d+$/, ''))
  expect(results.length).toBe(new Set(results).size)
  expect(results.toSorted()).toEqual(model(count).toSorted())
}

interface Restore {
  readonly attempt: number
  readonly parallelism: number
  /** The parallelism that the state was taken at. */
  readonly takenAt: number
  /** What lists and rules held then. */
  readonly before: readonly number[]
}

/** What the subtasks of an attempt have found. */
export function expectRedistributed(lines: readonly string[], { attempt, parallelism, takenAt, before }: Restore): void {
  const found = (kind: string) =>
    Array.from({ length: parallelism }, (_, subtask) =>
      lines
        .map(line => new RegExp(`^restored ${kind} (\\d+) by ${subtask}/${parallelism} of attempt ${attempt}$`).exec(line)?.[1])
        .filter(text => text !== undefined)
        .map(Number)
        .toSorted((a, b) => a - b),
    )
  const subtasks = Array.from({ length: parallelism }, () => before.toSorted((a, b) => a - b))
  expect(before.length, 'or nothing is shown').toBeGreaterThan(parallelism)
  const shares = found('split')
  expect(
    shares.flat().toSorted((a, b) => a - b),
    'a list is dealt out',
  ).toEqual(subtasks[0])
  const sizes = shares.map(({ length }) => length)
  // At the same parallelism each subtask gets its own back.
  if (parallelism !== takenAt) expect(Math.max(...sizes) - Math.min(...sizes), 'in even shares').toBeLessThanOrEqual(1)
  expect(found('union'), 'a union list goes to all').toEqual(subtasks)
  expect(found('broadcast'), 'a broadcast state is copied').toEqual(subtasks)
}

/** What lists and rules have got by the end of an attempt, and of all before it. */
export function keptUntil(lines: readonly string[], attempt: number): readonly number[] {
  return lines.flatMap(line => {
    const [, n, by] = /^seen (\d+) in attempt (\d+)$/.exec(line) ?? []
    return n !== undefined && Number(by) <= attempt ? [Number(n)] : []
  })
}

function model(count: number): string[] {
  const lines: string[] = []
  const ofKey = Array.from({ length: KEYS }, () => [] as number[])
  const ofWindow = new Map<string, number[]>()
  for (let n = 0; n < count; n++) {
    const key = n % KEYS
    const all = ofKey[key] as number[]
    all.push(n)
    lines.push(`total ${key} ${all.length} ${all.slice(-3).join(',')} ${all.reduce((a, b) => a + b)}`)
    if (isKept(n)) lines.push(`seen ${n}`)
    const start = n * MS_PER_ROW - ((n * MS_PER_ROW) % WINDOW_MS)
    ofWindow.set(`${key} ${start}`, [...(ofWindow.get(`${key} ${start}`) ?? []), n])
  }
  for (const [window, all] of ofWindow) {
    const [key, start] = window.split(' ').map(Number) as [number, number]
    lines.push(`window ${window} ${all.length} ${all.at(-1)}`, `timer ${key} ${start + WINDOW_MS - 1} ${all.length}`)
  }
  return lines
}
