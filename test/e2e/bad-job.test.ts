import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, type CommandResult, runMillrace, startCluster } from '../support/cluster.ts'
import { ended, exceptions, goesOn, jobIdOf, running, slotsFree, submit, ticksJob } from '../support/jobs.ts'

/** Programs that are wrong, on one cluster that outlives all of them: what is said, the exit code, and that nothing stays behind. */
let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster({
    taskManagers: 2,
    slots: 2,
    configuration: { 'task.cancellation.interval': '500 ms', 'task.cancellation.timeout': '20 s', 'taskmanager.network.record-size-max': '1m' },
  })
})

afterAll(() => cluster[Symbol.asyncDispose]())

const job = (body: string, before = '') =>
  `import { ParameterTool, type StreamExecutionEnvironment, Types } from 'millrace'
${before}
export default (env: StreamExecutionEnvironment, args: string[]) => {
${body}
}
`

/** Line of `text` in the module that `job` makes. */
const lineOf = (module: string, text: string) => module.split('\n').findIndex(line => line.includes(text)) + 1

const header = `
------------------------------------------------------------
 The program finished with the following exception:

`

/** Refused before it became a job. */
async function refused(name: string, module: string, args: readonly string[] = []): Promise<string> {
  const path = await cluster.folder.write(name, module)
  const before = await cluster.get<{ jobs: unknown[] }>('/jobs/overview')
  const result = await cluster.run(['run', ...args, path])
  expect(result).toMatchObject({ code: 1, stdout: '' })
  expect(result.stderr.startsWith(header)).toBe(true)
  expect((await cluster.get<{ jobs: unknown[] }>('/jobs/overview')).jobs.length).toBe(before.jobs.length)
  expect((await cluster.get<{ files: unknown[] }>('/jars')).files).toEqual([])
  return result.stderr.slice(header.length).trimEnd()
}

/** A job that fails; `cause` is what the command line says first about why. */
async function fails(name: string, module: string, args: readonly string[] = [], programArgs: readonly string[] = []) {
  const path = await cluster.folder.write(name, module)
  const result = await cluster.run(['run', ...args, path, ...programArgs])
  return { ...failure(result, name), jobId: jobIdOf(result) }
}

function failure(result: CommandResult, name: string) {
  expect(result.code).toBe(1)
  expect(result.stdout).not.toContain('has finished')
  const lines = result.stderr.slice(header.length).split('\n')
  expect(lines[0]).toMatch(new RegExp(`^Job '${name.replace('.ts', '')}' failed \\(JobID: [0-9a-f]{32}\\)$`))
  const [, cause] = /^Caused by: \w+: (.*)$/.exec(lines[1] ?? '') ?? []
  return { cause, stderr: result.stderr }
}

describe('a program that gives no graph', () => {
  test('bad-syntax: file, line, column, the line itself, exit 1, and no job', async () => {
    const text = await refused('syntax.ts', job('  env.fromElements(1).map(x => x + ).print()'))
    expect(text).toBe(
      `job module syntax.ts does not compile: syntax.ts:4:36: Unexpected ")"
    4 |   env.fromElements(1).map(x => x + ).print()
      |                                    ^`,
    )
  })

  test('bad-export: no default export, what it exports instead, and how to write or name it', async () => {
    const module =
      "import type { StreamExecutionEnvironment } from 'millrace'\nexport const main = (env: StreamExecutionEnvironment) => { env.fromElements(1).print() }\n"
    expect(await refused('named.ts', module)).toBe(
      "job module named.ts has no default export: it exports 'main'; write 'export default (env, args) => { … }' or name one of them with -c",
    )
    expect(await refused('named.ts', module, ['-c', 'mian'])).toBe(
      "job module named.ts has no export 'mian': it exports 'main'; name one of them with -c",
    )
    const result = await cluster.run(['run', '-c', 'main', join(cluster.folder.path, 'named.ts')])
    expect(result).toMatchObject({ code: 0, stderr: '' })
  })

  test('bad-throw-build: the message and the place in the file as it was written', async () => {
    const module = job('  env.fromElements(limit()).print()', "function limit(): number {\n  throw new Error('no limit is set')\n}")
    const text = await refused('throws.ts', module)
    const [first, cause, at] = text.split('\n')
    expect(first).toBe(`job module throws.ts throws while building its graph: no limit is set (at throws.ts:${lineOf(module, 'throw new')}:9)`)
    expect(cause).toBe('Caused by: Error: no limit is set')
    expect(at?.trim()).toBe(`at limit (throws.ts:${lineOf(module, 'throw new')}:9)`)
  })

  test('bad-promise: an async function is refused while the graph is built, with its place', async () => {
    const text = await refused('later.ts', job('  env.fromElements(1).map(async n => n + 1).print()'))
    expect(text).toMatch(/^map takes a synchronous function, got an async one: .*AsyncDataStream.* \(at later\.ts:4:23\)$/)
  })

  test('the same programs under -t local answer the same, and leave no process', async () => {
    const path = await cluster.folder.write('syntax.ts', job('  env.fromElements(1).map(x => x + ).print()'))
    const before = cluster.processes().length
    const result = await cluster.run(['run', '-t', 'local', path])
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toContain('job module syntax.ts does not compile: syntax.ts:4:36: Unexpected ")"')
    expect(cluster.processes().length).toBe(before)
  })
})

describe('a function that fails', () => {
  const checked = job(
    `  env.fromSequence(1, 100).map(n => ({ value: n })).map(reading => {
    if (reading.value === 42) throw new RangeError(\`value \${reading.value} is out of range\`)
    return reading
  }).name('check').print()`,
  )

  test("bad-lambda: operator, the user's file and line, the record's position; on the command line, in REST and in the log", async () => {
    const { cause, stderr, jobId } = await fails('lambda.ts', checked, ['-p', '2'])
    const place = `lambda.ts:${lineOf(checked, 'throw')}:37`
    expect(cause).toBe(`operator check: value 42 is out of range (at number 42 of the sequence) (${place})`)
    expect(stderr).toMatch(new RegExp(`\nCaused by: RangeError: value 42 is out of range\n {4}at .*${place}`))
    const [entry] = await exceptions(cluster, jobId)
    expect(entry).toMatchObject({
      exceptionName: 'FlinkError[USER_FUNCTION]',
      taskName: expect.stringMatching(/^Source: Sequence Source -> Map -> check -> Sink: Print to Std\. Out \([12]\/2\) - execution #0$/),
      taskManagerId: expect.stringMatching(/^taskmanager-[01]$/),
      endpoint: expect.stringMatching(/:\d+$/),
    })
    expect(entry?.stacktrace.split('\n')[0]).toBe(`FlinkError: ${cause}`)
    expect(entry?.stacktrace).toMatch(/\nCaused by: RangeError: value 42 is out of range\n/)
  })

  test("bad-lambda behind a keyBy: the record's position is its place in the channel it came by", async () => {
    const module = job(
      `  env.fromSequence(1, 300).map(n => \`k\${n % 3}\`).returns(Types.STRING).keyBy(key => key).map(key => {
    if (key === 'k2') throw new Error('k2 is bad')
    return key
  }).name('check').print()`,
    )
    const { cause } = await fails('keyed.ts', module, ['-p', '2'])
    expect(cause).toMatch(
      new RegExp(
        `^operator check: k2 is bad \\(at record \\d+ of frame 1 from subtask [12] of Map\\) \\(keyed\\.ts:${lineOf(module, 'throw')}:29\\)$`,
      ),
    )
  })

  test('bad-lambda over a text file: the position is the file and the line', async () => {
    const input = await cluster.folder.write('lines.json', '{"value":1}\n{"value":2}\n{"val\n{"value":4}\n')
    const module = job(
      "  env.readTextFile(ParameterTool.fromArgs(args).getRequired('input')).map(line => Number(JSON.parse(line).value)).name('parse').print()",
    )
    const { cause } = await fails('parse.ts', module, [], ['--input', input])
    expect(cause).toMatch(/^operator parse: Unterminated string in JSON .* \(at file .*\/lines\.json, line 3\) \(parse\.ts:4:\d+\)$/)
  })

  test("seed-B13: every task's transitions stand in the JobManager's log in Flink's words, a failure with its chain of causes", async () => {
    const { jobId, cause } = await fails('logged.ts', checked)
    const log = (await cluster.log('jobmanager-0')).split('\n').filter(line => line.includes(jobId))
    const task = String.raw`Source: Sequence Source -> Map -> check -> Sink: Print to Std\. Out \(1\/1\) \([0-9a-f]{32}\)`
    const where = String.raw` on taskmanager-[01] @ localhost \(dataPort=\d+\)\.`
    const expected = [
      ['INITIALIZING', 'CREATED'],
      ['CREATED', 'RUNNING'],
    ].map(([from, to]) => new RegExp(`INFO  Job logged \\(${jobId}\\) switched from state ${from} to ${to}\\.`))
    expected.push(new RegExp(`INFO  ${task} switched from CREATED to SCHEDULED\\.`))
    for (const [from, to] of [
      ['SCHEDULED', 'DEPLOYING'],
      ['DEPLOYING', 'INITIALIZING'],
      ['INITIALIZING', 'RUNNING'],
      ['RUNNING', 'FAILED'],
    ]) {
      expected.push(new RegExp(`${task} switched from ${from} to ${to}${where}`))
    }
    expected.push(new RegExp(`INFO  Job logged \\(${jobId}\\) switched from state RUNNING to FAILING\\.`))
    expected.push(new RegExp(`ERROR Job logged \\(${jobId}\\) switched from state FAILING to FAILED\\.`))
    const transitions = log.filter(line => line.includes(' switched from '))
    expect(transitions.length).toBe(expected.length)
    for (const [index, pattern] of expected.entries()) expect(transitions[index]).toMatch(pattern)
    const failed = transitions.find(line => line.includes('to FAILED on'))
    expect(failed).toContain(cause)
    expect(failed).toContain('Caused by: RangeError: value 42 is out of range')
  })

  test('bad-promise: a promise that map returns fails the job on the first record', async () => {
    const { cause } = await fails('promise.ts', job("  env.fromSequence(1, 100).map(n => Promise.resolve(n)).name('later').print()"))
    expect(cause).toMatch(/^operator later: map returned a promise, but functions between source and sink are synchronous; .*AsyncDataStream/)
  })

  test("a program that ends its thread, or leaves behind what fails later: the job's failure, not the TaskManager's", async () => {
    const exits = job('  env.fromSequence(1, 10).map(n => { if (n === 5) process.exit(3); return n }).print()')
    expect((await fails('exits.ts', exits)).cause).toBe('the program called process.exit (code 3), which ends the thread of its slot')
    const later = ticksJob.replace('.map(n => n)', ".map(n => { if (n === 0) setTimeout(() => { throw new Error('later') }, 1); return n })")
    expect((await fails('later.ts', later)).cause).toMatch(/^an error that nobody caught ended the slot: later \(later\.ts:13:\d+\)$/)
    expect((await cluster.get<{ taskmanagers: number }>('/overview')).taskmanagers).toBe(2)
  })

  test('bad-loop: while(true) in a function: cancel ends the job, frees its slots, and its neighbours go on', async () => {
    const spin = `  env.fromSequence(1, 100).map(n => {
    if (n > 3) { writeFileSync(${JSON.stringify(join(cluster.folder.path, 'spinning-'))} + n, ''); for (;;) {} }
    return n
  }).name('spin').print()`
    const path = await cluster.folder.write('spin.ts', job(spin, "import { writeFileSync } from 'node:fs'"))
    const taskManagers = ['taskmanager-0', 'taskmanager-1']
    const pids = taskManagers.map(id => cluster.pidOf(`run/${id}.json`))
    const neighbour = await submit(cluster, await cluster.folder.write('ticks.ts', ticksJob))
    const spinning = await submit(cluster, path, ['-p', '2'])
    await running(cluster, neighbour)
    await running(cluster, spinning)
    // A task runs before its first row has come.
    const spinningNow = () => readdirSync(cluster.folder.path).filter(name => name.startsWith('spinning-')).length
    await expect.poll(spinningNow, { timeout: 20_000, interval: 20 }).toBe(2)
    const answer = await cluster.run(['cancel', spinning])
    expect(answer).toMatchObject({ code: 0, stderr: '', stdout: `Cancelling job ${spinning}.\nCancelled job ${spinning}.\n` })
    await ended(cluster, spinning, 'CANCELED')
    await goesOn(cluster, neighbour)
    expect((await cluster.run(['cancel', neighbour])).code).toBe(0)
    await ended(cluster, neighbour, 'CANCELED')
    await slotsFree(cluster, 4)
    // By taking threads down, wherever they ran, not processes.
    const logs = await Promise.all(taskManagers.map(id => cluster.log(id)))
    expect(logs.join('').match(/their slot is terminated/g)).toHaveLength(2)
    expect(taskManagers.map(id => cluster.pidOf(`run/${id}.json`))).toEqual(pids)
  })
})

describe('data that cannot be worked on', () => {
  test('bad-file: a file that does not exist is named, and so is one that vanishes before it is read', async () => {
    const read = job("  env.readTextFile(ParameterTool.fromArgs(args).getRequired('input')).map(line => line).print()")
    const missing = join(cluster.folder.path, 'nothing.txt')
    expect((await fails('missing.ts', read, [], ['--input', missing])).cause).toBe(`file ${missing} does not exist`)

    await cluster.folder.write('input/a.txt', `first\n${'some text in the file\n'.repeat(300_000)}`)
    const vanishing = await cluster.folder.write('input/b.txt', 'b\n')
    const module = job(
      `  const folder = ParameterTool.fromArgs(args).getRequired('input')
  env.readTextFile(folder).map(line => {
    if (line === 'first') rmSync(folder + '/b.txt')
    return line
  }).filter(() => false).print()`,
      "import { rmSync } from 'node:fs'",
    )
    expect((await fails('vanishes.ts', module, [], ['--input', join(cluster.folder.path, 'input')])).cause).toBe(`file ${vanishing} does not exist`)
  })

  // What stays in its slot is never encoded, and a round begins anywhere: with four rows for each producer one of them sends to every channel.
  const big = job(
    `  const size = ParameterTool.fromArgs(args).getInt('size')
  env.fromSequence(1, 16).map(n => ({ n, text: String(n % 10).repeat(size) })).name('big').rebalance().map(row => \`\${row.text.length} \${row.text === String(row.n % 10).repeat(size)}\`).print()`,
  )

  test('bad-record: records larger than a page cross threads and TaskManagers whole', async () => {
    const path = await cluster.folder.write('big.ts', big)
    // A page has 32 KiB.
    for (const size of [40_000, 900_000]) {
      expect(await cluster.run(['run', '-p', '4', path, '--size', String(size)])).toMatchObject({ code: 0, stderr: '' })
      expect((await cluster.printed()).filter(line => line.endsWith(`> ${size} true`)).length).toBe(16)
    }
  })

  test('bad-record: one above the limit fails the job with operator, size and option', async () => {
    const limit = 'exceeds taskmanager.network.record-size-max of 1048576 bytes'
    const above = await fails('big.ts', big, ['-p', '4'], ['--size', '1100000'])
    expect(above.cause).toMatch(new RegExp(`^output of operator big: a record of 11000\\d\\d bytes on channel 0/\\d/\\d ${limit}$`))
    const farAbove = await fails('big.ts', big, ['-p', '4'], ['--size', '5000000'])
    expect(farAbove.cause).toMatch(new RegExp(`^output of operator big: a record of at least 50000\\d\\d bytes on channel 0/\\d/\\d ${limit}$`))
  })

  test('a value that no type can carry fails the job with the path to it and the operator that emitted it', async () => {
    const module = job("  env.fromSequence(1, 9).map(n => ({ n, parts: [() => n] })).name('make').rebalance().map(row => row.n).print()")
    expect((await fails('carry.ts', module, ['-p', '2'])).cause).toBe(
      'output of operator make: value.parts[0] cannot be written as GENERIC: it is a function',
    )
  })

  test('bad-graph: a module that builds another graph on a worker: operator, what differs, and the reason', async () => {
    const marker = join(cluster.folder.path, 'planned')
    const module = job(
      `  const marker = ParameterTool.fromArgs(args).getRequired('marker')
  const planning = !existsSync(marker)
  writeFileSync(marker, '')
  const numbers = env.fromElements(1, 2, 3)
  ;(planning ? numbers.filter(n => n > 1) : numbers.map(n => n + 1)).name('choose').print()`,
      "import { existsSync, writeFileSync } from 'node:fs'",
    )
    const { cause } = await fails('differs.ts', module, [], ['--marker', marker])
    expect(existsSync(marker)).toBe(true)
    expect(cause).toBe(
      "the job module of differs built another graph on a worker than in the planner: operator 'choose': type is map, expected filter; a job module must not depend on time, chance, environment or host",
    )
    const byProcess = job('  env.fromElements(1).map(n => n).uid(`map-${process.pid}`).print()')
    expect((await fails('pid.ts', byProcess)).cause).toMatch(/operator 'Map': uid is 'map-\d+', expected 'map-\d+'; a job module must not depend/)
  })
})

test('seed-A10: after all of them the same cluster has all its slots and runs several jobs at once, each to its end', async () => {
  await slotsFree(cluster, 4)
  const path = await cluster.folder.write('good.ts', job('  env.fromSequence(1, 1000).map(n => n * 2).filter(() => false).print()'))
  const ids = await Promise.all([1, 2, 1].map(parallelism => submit(cluster, path, ['-p', String(parallelism)])))
  for (const id of ids) await ended(cluster, id, 'FINISHED')
  await slotsFree(cluster, 4)
})

test('rows that a task gave to its print sink before it failed are printed', async () => {
  const module = job("  env.fromSequence(1, 1000).map(n => { if (n === 50) throw new Error('fifty'); return n }).print()")
  const path = await cluster.folder.write('fifty.ts', module)
  const result = await runMillrace(['run', '-t', 'local', '-p', '1', path], { MILLRACE_DIR: join(cluster.folder.path, 'local') })
  expect(result.code).toBe(1)
  expect(result.stderr).toContain('fifty')
  expect(result.stdout.split('\n').filter(line => /^\d+$/.test(line))).toEqual(Array.from({ length: 49 }, (_, i) => String(i + 1)))
})
