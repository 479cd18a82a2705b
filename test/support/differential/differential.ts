import { isDeepStrictEqual } from 'node:util'

/**
 * Differential tests: a case is run in several ways that must not differ. What a case is (a plan of SQL, a chain of the DataStream API) is the
 * business of its kind; this is what all kinds share: running, comparing, making a case that fails smaller, and showing it.
 */
export interface DifferentialCase {
  readonly seed: number
  readonly ways: readonly Way[]
  /** Of an evaluation that shares no code with the ways; undefined where there is none. */
  expected(): Outcome | undefined
  /** Each of the rows alone: where several may fail, which one fails first is free. */
  apart(): Iterable<DifferentialCase>
  /** Simpler cases, the most promising first. */
  smaller(): Iterable<DifferentialCase>
  /** For people: schema, plan, data. */
  describe(): string
}

export interface Way {
  readonly name: string
  run(): Promise<Outcome>
}

/** Rows as a sorted list of texts; or how the job failed, by the beginning of its message (of several that are possible, any). */
export type Outcome = { readonly rows: readonly string[] } | { readonly errors: readonly string[] }

/** Throws what differs, on the smallest case found. */
export async function checkCase(given: DifferentialCase): Promise<{ readonly modelled: boolean; readonly failed: boolean }> {
  const found = await differenceOf(given)
  if (found.difference === undefined) return found
  let smallest = given
  let { difference } = found
  for (let tries = 0, shrunk = true; shrunk && tries < SHRINK_TRIES_MAX; ) {
    shrunk = false
    for (const smaller of smallest.smaller()) {
      if (++tries > SHRINK_TRIES_MAX) break
      const next = (await differenceOf(smaller)).difference
      if (next === undefined) continue
      smallest = smaller
      difference = next
      shrunk = true
      break
    }
  }
  throw new Error(`seed ${given.seed} (repeat with SEED=${given.seed}): ${difference}\n${smallest.describe()}`)
}

const SHRINK_TRIES_MAX = 400

interface Found {
  readonly difference: string | undefined
  readonly modelled: boolean
  readonly failed: boolean
}

async function differenceOf(each: DifferentialCase): Promise<Found> {
  const expected = each.expected()
  const outcomes: { readonly name: string; readonly outcome: Outcome }[] = expected === undefined ? [] : [{ name: 'the model', outcome: expected }]
  for (const way of each.ways) outcomes.push({ name: way.name, outcome: await way.run() })
  const [first, ...others] = outcomes
  const failed = first !== undefined && 'errors' in first.outcome
  for (const { name, outcome } of others) {
    if (isAlike(first!.outcome, outcome)) continue
    // Two failures of different rows: each row alone decides.
    if (failed && 'errors' in outcome) {
      let apart: string | undefined
      let count = 0
      for (const part of each.apart()) {
        count++
        apart ??= (await differenceOf(part)).difference
      }
      if (apart === undefined && count > 0) continue
    }
    return {
      difference: `${first!.name} and ${name} differ\n${shown(first!.name, first!.outcome)}\n${shown(name, outcome)}`,
      modelled: expected !== undefined,
      failed,
    }
  }
  return { difference: undefined, modelled: expected !== undefined, failed }
}

function isAlike(a: Outcome, b: Outcome): boolean {
  if ('errors' in a && 'errors' in b) return a.errors.some(error => b.errors.includes(error))
  return isDeepStrictEqual(a, b)
}

function shown(name: string, outcome: Outcome): string {
  return `${name}: ${'errors' in outcome ? `fails: ${outcome.errors.join(' | ')}` : `${outcome.rows.length} rows\n  ${outcome.rows.join('\n  ')}`}`
}
