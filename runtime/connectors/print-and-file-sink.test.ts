import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectorHarness, operatorOf } from '../../test/support/connector-harness.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import type { ConnectorRegistry } from '../stream/spi/io-host.ts'
import { builtInConnectorsOfEngine } from './built-in.ts'
import { valueFormatter } from './value-text.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-sink-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function printed(
  id: string,
  parallelism: number,
  subtaskIndex: number,
  values: readonly unknown[],
  type: TypeInformation = Types.GENERIC,
): Promise<string> {
  const harness = new ConnectorHarness(operatorOf(builtInConnectorsOfEngine.print({ id, toStderr: false }, type)), { parallelism, subtaskIndex })
  await harness.open()
  await harness.sink(values)
  await harness.close()
  return harness.stdout
}

function fileSink(path: string, options: { overwrite?: boolean; parallelism?: number; subtaskIndex?: number } = {}): ConnectorHarness {
  const { overwrite = false, parallelism = 1, subtaskIndex = 0 } = options
  return new ConnectorHarness(operatorOf(builtInConnectorsOfEngine.writeAsText(path, { overwrite }, Types.GENERIC)), { parallelism, subtaskIndex })
}

describe('print', () => {
  // Seen on Apache Flink 2.3 (seed details XE23).
  test("prefixes are Flink's", async () => {
    expect(await printed('', 1, 0, ['x'])).toBe('x\n')
    expect(await printed('result', 1, 0, ['y'])).toBe('result> y\n')
    expect(await printed('', 2, 1, ['w'])).toBe('2> w\n')
    expect(await printed('r2', 2, 0, ['z'])).toBe('r2:1> z\n')
  })

  test('tuples are shown as (a,1)', async () => {
    const type = Types.tuple(Types.STRING, Types.INT) as TypeInformation
    expect(
      await printed(
        '',
        1,
        0,
        [
          ['hello', 1],
          ['wörld', 2],
        ],
        type,
      ),
    ).toBe('(hello,1)\n(wörld,2)\n')
    expect(await printed('', 1, 0, [['a', 1, [2n, null]]])).toBe('(a,1,(2,null))\n')
  })

  test('a full transport blocks the task, loses nothing and keeps the order', async () => {
    const taken: string[] = []
    let release: () => void = () => {}
    const registry: ConnectorRegistry = {
      fetchers: {},
      sinks: {
        print: () => ({
          write: bytes => {
            taken.push(Buffer.from(bytes).toString())
            return new Promise<void>(resolve => (release = resolve))
          },
          command: (_what, _data, reply) => reply('finished', {}),
          close: async () => {},
        }),
      },
    }
    const harness = new ConnectorHarness(operatorOf(builtInConnectorsOfEngine.print({ id: '', toStderr: false }, Types.STRING)), { registry })
    await harness.open()
    const line = 'l'.repeat(20_000)
    let sent = 0
    for (; harness.blockers === 0 && sent < 1000; sent++) harness.operator.processElement(`${sent} ${line}`, Number.NaN)
    expect(sent).toBeLessThan(30)
    const pumping = harness.until(() => harness.operator.endInput(0))
    let done = false
    void pumping.then(() => (done = true))
    while (!done) {
      release()
      await new Promise(resolve => setImmediate(resolve))
    }
    const numbers = taken
      .join('')
      .split('\n')
      .slice(0, -1)
      .map(text => Number(text.split(' ')[0]))
    expect(numbers).toEqual(Array.from({ length: sent }, (_, i) => i))
    await harness.close()
  })

  test('rows before the one that failed come out whole, though their batch had not left yet; nothing of the failed row does', async () => {
    const fails = {
      toString() {
        throw new Error('no text')
      },
    }
    const harness = new ConnectorHarness(operatorOf(builtInConnectorsOfEngine.print({ id: 'r', toStderr: false }, Types.GENERIC)))
    await harness.open()
    for (let i = 1; i < 50; i++) harness.operator.processElement(i, Number.NaN)
    expect(() => harness.operator.processElement(fails, Number.NaN)).toThrow()
    expect(harness.stdout).toBe('')
    await harness.close()
    expect(harness.stdout).toBe(Array.from({ length: 49 }, (_, i) => `r> ${i + 1}\n`).join(''))
  })

  test('what was printed before a cancel still comes out', async () => {
    const harness = new ConnectorHarness(operatorOf(builtInConnectorsOfEngine.print({ id: '', toStderr: false }, Types.STRING)))
    await harness.open()
    harness.operator.processElement('last words', Number.NaN)
    harness.operator.processTimers?.(Number.POSITIVE_INFINITY)
    await harness.close()
    expect(harness.stdout).toBe('last words\n')
  })
})

describe('text of values', () => {
  test.each([
    [Types.DOUBLE, 65, '65.0'],
    [Types.DOUBLE, 35.8, '35.8'],
    [Types.DOUBLE, -0.5, '-0.5'],
    [Types.DOUBLE, -0, '-0.0'],
    [Types.DOUBLE, 0.001, '0.001'],
    [Types.DOUBLE, 0.00012, '1.2E-4'],
    [Types.DOUBLE, 9_999_999, '9999999.0'],
    [Types.DOUBLE, 1e7, '1.0E7'],
    [Types.DOUBLE, 123456789.5, '1.234567895E8'],
    [Types.DOUBLE, 1.5e300, '1.5E300'],
    [Types.DOUBLE, 5e-324, '5.0E-324'],
    [Types.DOUBLE, Number.NaN, 'NaN'],
    [Types.DOUBLE, Number.NEGATIVE_INFINITY, '-Infinity'],
    [Types.FLOAT, Math.fround(0.1), '0.1'],
    [Types.FLOAT, Math.fround(16777216), '1.6777216E7'],
    [Types.LONG, 12345678901234567890n, '12345678901234567890'],
    [Types.list(Types.STRING), ['a', 'b'], '[a, b]'],
    [Types.map(Types.STRING, Types.DOUBLE), new Map([['k', 1]]), '{k=1.0}'],
    [Types.tuple(Types.STRING, Types.DOUBLE), ['s', 32], '(s,32.0)'],
    [Types.GENERIC, { shop: 'a', amount: 1.5, n: 2n, tags: ['x'] }, '{"shop":"a","amount":1.5,"n":2,"tags":["x"]}'],
    [Types.GENERIC, null, 'null'],
    [Types.GENERIC, true, 'true'],
  ])('%s %s', (type, value, text) => {
    expect(valueFormatter((type as TypeInformation).json)(value)).toBe(text)
  })

  test("an object's own toString is used", () => {
    class Reading {
      readonly id = 's1'
      toString(): string {
        return `Reading(${this.id})`
      }
    }
    expect(valueFormatter({ kind: 'GENERIC' })([new Reading(), 1])).toBe('(Reading(s1),1)')
  })
})

describe('text file sink', () => {
  test('parallelism 1 writes one file, which has its name only when it is whole', async () => {
    const path = join(folder, 'out.txt')
    const sink = await fileSink(path).open()
    sink.operator.processElement(['a', 1], Number.NaN)
    expect((await readdir(folder)).includes('out.txt')).toBe(false)
    await sink.sink([['b', 2]])
    await sink.close()
    expect(await readFile(path, 'utf8')).toBe('(a,1)\n(b,2)\n')
    expect((await readdir(folder)).filter(name => name.startsWith('.'))).toEqual([])
  })

  test('above that it writes a folder with one file a subtask', async () => {
    const path = join(folder, 'parts')
    for (const subtaskIndex of [0, 1]) {
      const sink = await fileSink(path, { parallelism: 2, subtaskIndex }).open()
      await sink.sink([`from ${subtaskIndex}`])
      await sink.close()
    }
    expect((await readdir(path)).sort()).toEqual(['1', '2'])
    expect(await readFile(join(path, '2'), 'utf8')).toBe('from 1\n')
  })

  test('refuses a target that exists, unless told to overwrite', async () => {
    const path = join(folder, 'there.txt')
    await writeFile(path, 'old')
    const refused = await fileSink(path).open()
    await expect(refused.sink(['new'])).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining(path) })
    await refused.close()
    expect(await readFile(path, 'utf8')).toBe('old')
    const sink = await fileSink(path, { overwrite: true }).open()
    await sink.sink(['new'])
    await sink.close()
    expect(await readFile(path, 'utf8')).toBe('new\n')
  })

  test('a sink that is closed before the end never gives the file its name, and keeps what was written', async () => {
    const path = join(folder, 'cancelled.txt')
    const empty = await fileSink(path).open()
    await empty.close()
    expect((await readdir(folder)).filter(name => name.includes('cancelled'))).toEqual([])
    const sink = await fileSink(path).open()
    sink.operator.processElement('row', Number.NaN)
    sink.operator.processTimers?.(Number.POSITIVE_INFINITY)
    await sink.close()
    expect((await readdir(folder)).filter(name => name.includes('cancelled'))).toEqual(['.cancelled.txt.inprogress'])
  })

  test('a record larger than a batch goes alone, in order with its neighbours', async () => {
    const path = join(folder, 'large.txt')
    const sink = await fileSink(path).open()
    const large = 'x'.repeat(100_000)
    await sink.sink(['before', large, 'after'])
    await sink.close()
    expect(await readFile(path, 'utf8')).toBe(`before\n${large}\nafter\n`)
  })

  test('a path that cannot be written is an error that names it', async () => {
    const file = join(folder, 'a-file')
    await writeFile(file, '')
    const sink = await fileSink(join(file, 'below')).open()
    await expect(sink.sink(['x'])).rejects.toMatchObject({ code: 'EXTERNAL_SYSTEM', message: expect.stringContaining(join(file, 'below')) })
    await sink.close()
  })
})
