import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { cases } from '../bench/cases.ts'
import { EXCHANGE_CYCLE, exchangeRow } from '../bench/generate/exchange-rows.ts'
import { IndexedRandom, mix } from '../bench/generate/hash.ts'
import { EVENTS_PER_SECOND, NexmarkGenerator, nexmarkLines, START_MS } from '../bench/generate/nexmark.ts'
import { vocabulary, WORDS_PER_LINE, wordLines } from '../bench/generate/words.ts'
import { type CpuGroup, cpuStatSeconds, createCpuGroup, pssBytes } from '../bench/harness/cgroup.ts'
import { expectedTotals } from '../bench/harness/exchange.ts'
import { figureOf, interleaved } from '../bench/harness/measure.ts'
import { pathProblem } from '../bench/harness/paths.ts'
import { ratioTo, type StoredReport, sideBySideLines, withTables } from '../bench/harness/report.ts'
import { differenceOf, readResult, resultOf } from '../bench/harness/results.ts'
import { type EngineFigures, type SideBySide, scriptOf } from '../bench/harness/side-by-side.ts'

const text = (chunks: Iterable<Uint8Array>) => Buffer.concat([...chunks]).toString()
const root = new URL('..', import.meta.url).pathname

describe('inputs', () => {
  // From Java: Hash.mix of bench/flink/Hash.java, printed by a Java program.
  test.each([
    [0, 0],
    [1, 1364076727],
    [-1, -2114883783],
    [123456789, -1168058214],
    [2147483647, -104067416],
  ])('mix(%i) is what Java computes', (value, expected) => {
    expect(mix(value)).toBe(expected)
  })

  test('a number of an index does not depend on the indices before it', () => {
    const [first, second] = [new IndexedRandom(5), new IndexedRandom(5)]
    const all = Array.from({ length: 50 }, (_, index) => {
      first.at(index)
      return [first.below(1000), first.fraction()]
    })
    second.at(37)
    expect([second.below(1000), second.fraction()]).toEqual(all[37])
  })

  test('words: every line has ten, and the frequencies fall as 1 / rank', () => {
    const lines = text(wordLines(20_000, 100)).trimEnd().split('\n')
    const counts = new Map<string, number>()
    for (const line of lines) {
      const words = line.split(' ')
      if (words.length !== WORDS_PER_LINE) expect.fail(`a line has ${words.length} words: ${line}`)
      for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
    }
    expect(lines).toHaveLength(20_000)
    const harmonic = Array.from({ length: 100 }, (_, i) => 1 / (i + 1)).reduce((sum, one) => sum + one, 0)
    for (const [rank, word] of vocabulary(100).entries()) {
      const expected = 200_000 / (rank + 1) / harmonic
      expect(Math.abs((counts.get(word) ?? 0) - expected)).toBeLessThan(6 * Math.sqrt(expected))
    }
  })

  test('words are letters only and differ', () => {
    const words = vocabulary(5_000)
    expect(new Set(words).size).toBe(5_000)
    expect(words.every(word => /^[a-z]{3,12}$/.test(word))).toBe(true)
  })

  test('the same arguments make the same bytes', () => {
    expect(text(nexmarkLines(2_000))).toBe(text(nexmarkLines(2_000)))
    expect(text(wordLines(500, 50))).toBe(text(wordLines(500, 50)))
  })
})

describe('auction events', () => {
  const generator = new NexmarkGenerator()
  const events = Array.from({ length: 50_000 }, (_, number) => generator.event(number))

  test('an event is a function of its number alone', () => {
    const other = new NexmarkGenerator()
    for (const number of [49_999, 7, 12_345, 51]) expect(other.event(number)).toEqual(events[number])
  })

  test('of 50 events one is a person, three are auctions, the rest bids; the two other branches are null', () => {
    const kinds = events.slice(0, 50).map(event => event.event_type)
    expect(kinds).toEqual([0, 1, 1, 1, ...Array<number>(46).fill(2)])
    const branches = (event: (typeof events)[number]) => [event.person, event.auction, event.bid].map(branch => branch !== null)
    expect(events.filter(event => branches(event).indexOf(true) !== event.event_type || branches(event).filter(Boolean).length !== 1)).toEqual([])
  })

  test('ids of persons and auctions go up by one from 1000', () => {
    const persons = events.flatMap(event => event.person?.id ?? [])
    const auctions = events.flatMap(event => event.auction?.id ?? [])
    expect(persons).toEqual(persons.map((_, i) => 1000 + i))
    expect(auctions).toEqual(auctions.map((_, i) => 1000 + i))
  })

  test('half of the bids and more are on the hot auction, three quarters and more by the hot bidder, half over four channels', () => {
    const bids = events.flatMap(event => event.bid ?? [])
    const share = (holds: (bid: (typeof bids)[number]) => boolean) => bids.filter(holds).length / bids.length
    expect(share(bid => bid.auction % 100 === 0)).toBeCloseTo(0.505, 1)
    expect(share(bid => bid.bidder % 100 === 1)).toBeCloseTo(0.7525, 1)
    expect(share(bid => !bid.channel.startsWith('channel-'))).toBeCloseTo(0.5, 1)
  })

  test('prices spread evenly over six orders of magnitude', () => {
    const prices = events.flatMap(event => event.bid?.price ?? [])
    for (const limit of [3, 4, 5, 6, 7]) expect(prices.filter(price => price < 10 ** limit).length / prices.length).toBeCloseTo((limit - 2) / 6, 1)
    expect(prices.every(price => price >= 100 && price <= 1e8)).toBe(true)
  })

  test('event times start at the beginning, never go back, and pass a second in so many events', () => {
    const times = events.map(event => (event.person ?? event.auction ?? event.bid)?.dateTime ?? '')
    expect(times[0]).toBe('2026-01-01 00:00:00.000')
    expect(times).toEqual([...times].sort())
    expect(Date.parse(`${times[EVENTS_PER_SECOND]?.replace(' ', 'T')}Z`) - START_MS).toBe(1000)
  })

  test('a bid names open auctions and addresses with three folders', () => {
    const address = /^https:\/\/www\.nexmark\.com\/[a-z]{3,5}\/[a-z]{3,5}\/[a-z]{3,5}\/item\.htm\?query=1(&channel_id=\d+)?$/
    const wrong = events.filter(
      ({ bid }, number) => bid !== null && (bid.auction > 1000 + (Math.floor(number / 50) + 1) * 3 + 10 || !address.test(bid.url)),
    )
    expect(wrong).toEqual([])
  })

  test('lines are one event each', () => {
    const lines = text(nexmarkLines(1_000)).trimEnd().split('\n')
    expect(lines.map(line => JSON.parse(line))).toEqual(events.slice(0, 1_000))
  })
})

describe('results', () => {
  test('neither order nor file matters, a row more or another count does', () => {
    const result = resultOf(['#rows\t3\na\t1\nb\t2\n', '#rows\t4\nc\t3\n'])
    expect(result).toMatchObject({ totals: { rows: 7 }, lines: 3 })
    expect(differenceOf(result, resultOf(['#rows\t7\nc\t3\nb\t2\na\t1\n']))).toBeUndefined()
    expect(differenceOf(result, resultOf(['#rows\t7\nc\t3\nb\t2\na\t2\n']))).toContain('hash')
    expect(differenceOf(result, resultOf(['#rows\t7\nc\t3\nb\t2\n']))).toBe('result rows: 3 and 2')
    expect(differenceOf(result, resultOf(['c\t3\nb\t2\na\t1\n']))).toBe('rows: 7 and none')
  })

  test('a doubled row is a difference although the set is the same', () => {
    expect(differenceOf(resultOf(['a\nb\n']), resultOf(['a\na\n']))).toContain('hash')
  })

  test('a total that is no number is refused', () => {
    expect(() => resultOf(['#rows\tmany\n'])).toThrow('#rows')
  })

  test('files in progress are no result, nested folders are', () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
    try {
      writeFileSync(join(folder, 'part-0'), 'a\n')
      writeFileSync(join(folder, '.part-1.inprogress'), 'b\n')
      expect(readResult(folder).lines).toBe(1)
      expect(readResult(join(folder, 'none')).lines).toBe(0)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('figures', () => {
  test('median, ends and spread', () => {
    expect(figureOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, spread: 1 })
    expect(figureOf([4, 1, 2, 3]).median).toBe(2.5)
    expect(() => figureOf([])).toThrow()
  })

  test('engines take turns', () => {
    expect([...interleaved(['a', 'b'], 2)].map(({ engine }) => engine)).toEqual(['a', 'b', 'a', 'b'])
  })

  test('cpu.stat of cgroup v2 is read in seconds', () => {
    expect(cpuStatSeconds('usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n')).toBe(2.5)
  })

  test('what the receiver of an exchange must have read, counted the long way', () => {
    for (const records of [1, EXCHANGE_CYCLE, 2 * EXCHANGE_CYCLE + 17]) {
      const totals = { rows: 0, keys: 0, values: 0, characters: 0 }
      for (let i = 0; i < records; i++) {
        const row = exchangeRow(i % EXCHANGE_CYCLE)
        expect(row[2]).toHaveLength(52)
        totals.rows++
        totals.keys += row[0]
        totals.values += row[1]
        totals.characters += row[2].charCodeAt(51)
      }
      expect(expectedTotals(records)).toEqual(totals)
    }
  })
})

describe('CPU of a process tree', () => {
  // Works 0.1 s of user time in itself and as much in a child that has ended before it says so, then waits for its input to end.
  const program = `
    const work = () => { while (process.cpuUsage().user < 100_000); }
    if (process.argv[1] === 'child') work()
    else {
      require('node:child_process').spawnSync(process.execPath, ['-e', process.env.PROGRAM, 'child'], { env: process.env })
      work()
      console.log('worked')
      process.stdin.resume()
    }`

  test.each(['cgroup v1', 'cgroup v2', '/proc'] satisfies CpuGroup['kind'][])('%s, where there is one, counts a child that has ended', async kind => {
    const group = createCpuGroup('test', [kind])
    try {
      if (group.kind !== kind) return
      const [executable = '', ...args] = group.wrap([process.execPath, '-e', program])
      const child = spawn(executable, args, { env: { ...process.env, PROGRAM: program }, stdio: ['pipe', 'pipe', 'inherit'] })
      group.adopt(child.pid ?? -1)
      await once(child.stdout, 'data')
      expect(group.cpuSeconds()).toBeGreaterThan(0.18)
      expect(group.cpuSeconds()).toBeLessThan(3)
      expect(group.pids()).toEqual([child.pid])
      expect(pssBytes(group.pids())).toBeGreaterThan(5 * 2 ** 20)
      child.stdin.end()
      await once(child, 'exit')
      expect(group.pids()).toEqual([])
    } finally {
      group.close()
    }
  })
})

describe('paths', () => {
  const counts = new Map([['words', { interpreted: 5, generated: 995, columnar: 0 }]])

  test('an operator may leave its path for one row of a hundred, not for more', () => {
    expect(pathProblem(counts, { words: 'generated' })).toBeUndefined()
    expect(pathProblem(counts, { words: 'columnar' })).toBe('operator words ran interpreted 5, generated 995, not columnar')
    expect(pathProblem(new Map([['words', { interpreted: 20, generated: 980, columnar: 0 }]]), { words: 'generated' })).toContain('not generated')
  })

  test('an operator that is not counted, or counted nothing, is a problem', () => {
    expect(pathProblem(counts, { sums: 'interpreted' })).toBe('operator sums has no path counters; counted are: words')
    expect(pathProblem(new Map([['sums', { interpreted: 0, generated: 0, columnar: 0 }]]), { sums: 'interpreted' })).toBe(
      'operator sums counted no row',
    )
  })
})

describe('cases and reports', () => {
  const engine = (name: string, recordsPerCpuSecond: number): EngineFigures => ({
    name,
    cpuSeconds: figureOf([2]),
    wallSeconds: figureOf([3]),
    recordsPerCpuSecond,
    cold: { cpuSeconds: 5, wallSeconds: 6 },
    cpuCounter: 'cgroup v1',
  })
  const result: SideBySide = {
    records: 10,
    engines: [engine('millrace', 30), engine('flink tuned', 10)],
    paths: { words: { interpreted: 10, generated: 0, columnar: 0 } },
    problems: [],
    othersShare: 0,
  }
  const wordCount = cases.find(one => one.name === 'word-count')

  test('names are unique, and programs and scripts exist on both sides', () => {
    expect(new Set(cases.map(one => one.name)).size).toBe(cases.length)
    const files = ['jobs', 'flink', 'sql'].flatMap(folder => readdirSync(join(root, 'bench', folder)))
    for (const one of cases) {
      if (one.kind === 'program') expect(files).toEqual(expect.arrayContaining([`${one.job}.ts`, `${one.program}.java`]))
      if (one.kind === 'sql') expect(files).toContain(`${one.script}.sql`)
    }
  })

  test('scripts get exactly the values that their cases have', () => {
    for (const one of cases) {
      if (one.kind !== 'sql') continue
      const script = readFileSync(join(root, 'bench/sql', `${one.script}.sql`), 'utf8')
      expect(scriptOf(script, { input: '/in', last: '9', events: '10', sink: "'connector' = 'blackhole'" })).not.toContain('${')
      expect(script).toContain('${sink}')
    }
    expect(() => scriptOf('${nobody}', {})).toThrow('nobody')
  })

  test('differing results leave no ratio', () => {
    expect(ratioTo(result, 'flink tuned')).toBe(3)
    expect(ratioTo({ ...result, problems: ['hash'] }, 'flink tuned')).toBeUndefined()
    if (wordCount?.kind !== 'program') throw new Error('word-count is a program')
    expect(sideBySideLines(wordCount, result).at(-1)).toBe('millrace / flink tuned: 3.00x per CPU-second, reached 2x (aim 5x)')
    expect(sideBySideLines(wordCount, { ...result, problems: ['hash'] }).at(-1)).toBe('VOID: hash')
  })

  test('the page has a row for every case, measured or not, and keeps the text around', () => {
    const page = 'before\n<!-- made by bench/run.ts --write -->\nold\n<!-- end -->\nafter\n'
    const report: StoredReport = {
      kind: 'program',
      name: 'word-count',
      parallelism: 2,
      scale: 1,
      loadBefore: 0,
      othersShare: 0,
      result,
      date: '2026-01-02',
      machine: { cpu: 'Some CPU', cores: 2, memoryGb: 24, kernel: '6' },
      versions: { commit: 'abc', node: '24', java: '17', flink: '2.3.0' },
    }
    const made = withTables(page, [report], cases)
    expect(made).toMatch(/^before\n[\s\S]*after\n$/)
    expect(made).not.toContain('old')
    for (const { name, kind } of cases) expect(made).toContain(kind === 'startup' ? '| startup |' : `| ${name} |`)
    expect(made).toContain('| word-count | 2 | 30.0 ± 0 % |  | 10.0 ± 0 % | 3.00x | 2x (aim 5x) | 3.00 s | 3.00 s | interpreted | 2026-01-02')
    expect(made).toContain('| word-count | 1 | | | | | 2x (aim 5x) | | | | not measured |')
    expect(withTables(made, [report], cases)).toBe(made)
  })
})
