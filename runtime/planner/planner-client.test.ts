import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { buildArtifact } from './artifact.ts'
import { PlannerClient, type PlannerClientOptions } from './planner-client.ts'
import type { PlanRequest } from './planner-protocol.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-planner-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const client = (options: Partial<PlannerClientOptions> = {}) =>
  new PlannerClient({
    entry: new URL('../../bin/planner.ts', import.meta.url),
    clock: systemClock,
    execPath: process.execPath,
    timeoutMs: 10_000,
    heapMb: 256,
    keepSpare: false,
    ...options,
  })

let count = 0
async function request(text: string, more: Partial<PlanRequest> = {}): Promise<Omit<PlanRequest, 'timeoutMs'>> {
  const folder = join(root, `job-${count++}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{}')
  const { bytes, digest } = await buildArtifact({ kind: 'script', text, name: 'job.ts', folder }, { entry: more.entry ?? 'default' })
  const artifactPath = join(folder, 'artifact')
  writeFileSync(artifactPath, bytes)
  return {
    artifactPath,
    digest,
    workFolder: join(root, 'work'),
    entry: 'default',
    args: [],
    clientConfiguration: {},
    clusterConfiguration: {},
    ...more,
  }
}

async function plan(text: string, more: Partial<PlanRequest> = {}, options: Partial<PlannerClientOptions> = {}) {
  await using planner = client(options)
  return await planner.plan(await request(text, more))
}

const words = `import { Types, type StreamExecutionEnvironment } from 'millrace'
enum Names { Job = 'counts' }
export default async (env: StreamExecutionEnvironment, args: string[]) => {
  console.log('building', args.join(' '))
  env.fromCollection(args, Types.STRING).map(word => [word, 1]).returns(Types.tuple(Types.STRING, Types.INT)).keyBy(0).sum(1).print()
  await env.execute(Names.Job)
}
`

describe('a program', () => {
  test('becomes a JobGraph in another process, with its arguments and the layers of options', async () => {
    const { jobGraph, planText, output } = await plan(words, {
      args: ['a', 'b'],
      clusterConfiguration: { 'parallelism.default': '2' },
      clientConfiguration: { 'parallelism.default': '3' },
    })
    expect(jobGraph.jobName).toBe('counts')
    expect(jobGraph.parallelism).toBe(3)
    expect(jobGraph.vertices.map(vertex => vertex.name)).toEqual(['Source: Collection Source', 'Map', 'Keyed Aggregation -> Sink: Print to Std. Out'])
    expect(planText).toContain("Job 'counts'")
    expect(output).toBe('building a b\n')
  })

  test('may be another export, and use the environment of getExecutionEnvironment', async () => {
    const text = `import { StreamExecutionEnvironment } from 'millrace'
      export function main() { StreamExecutionEnvironment.getExecutionEnvironment().fromElements(1).print() }`
    const { jobGraph } = await plan(text, { entry: 'main', defaultJobName: 'job.ts' })
    expect(jobGraph.jobName).toBe('job.ts')
  })

  test('names the files it registers', async () => {
    const { cachedFiles } = await plan(`export default env => { env.registerCachedFile('./shops.csv', 'shops'); env.fromElements(1).print() }`)
    expect(cachedFiles).toEqual({ shops: './shops.csv' })
  })

  test('is proved not to read some fields: its graph and its plan say so', async () => {
    const text = `import { Types } from 'millrace'
      class Lengths { map({ word }: { word: string }) { return word.length } }
      export default env => {
        const type = Types.row({ id: Types.INT, word: Types.STRING })
        const rows = env.fromCollection([{ id: 1, word: 'a' }], type)
        rows.keyBy('id').map(new Lengths()).print()
      }`
    const { jobGraph, planText } = await plan(text)
    expect(jobGraph.edges.map(edge => edge.fields)).toEqual([[1]])
    expect(planText).toContain('ROW<id INT, word STRING>, of which only word is read')
  })

  test('planned twice gives the same graph', async () => {
    await using planner = client({ keepSpare: true })
    const given = await request(words, { args: ['a'] })
    const [first, second] = [await planner.plan(given), await planner.plan(given)]
    expect(second.jobGraph).toEqual(first.jobGraph)
  })
})

describe('a program that fails', () => {
  test('with its own error: the message, its file and line', async () => {
    const text = `interface Shop { name: string }\n\nexport default (env: unknown) => {\n  const shops: Shop[] = []\n  return shops[0]!.name\n}`
    await expect(plan(text)).rejects.toMatchObject({
      code: 'INVALID_PROGRAM',
      message: "job module job.ts throws while building its graph: Cannot read properties of undefined (reading 'name') (at job.ts:5:20)",
    })
  })

  test("with an engine's refusal: the line of the program that it is about", async () => {
    const text = `import { Types } from 'millrace'\n\nexport default env => {\n  env.fromCollection([['a', 1]], Types.tuple(Types.STRING, Types.INT))\n    .keyBy(2)\n}`
    await expect(plan(text)).rejects.toMatchObject({
      code: 'INVALID_PROGRAM',
      message: expect.stringMatching(/position 2 is outside TUPLE<STRING, INT>.* \(at job\.ts:5:6\)$/),
    })
  })

  test('while it is loaded', async () => {
    await expect(plan(`throw new Error('no licence')\nexport default () => {}`)).rejects.toThrow(
      'job module job.ts throws while it is loaded: no licence (at job.ts:1:7)',
    )
  })

  test('because its entry is no function, or it builds nothing', async () => {
    await expect(plan('export default 42')).rejects.toThrow("its export 'default' is not a function of the environment and the arguments, but number")
    await expect(plan('export default () => {}')).rejects.toThrow('No operators defined in streaming topology')
  })

  test('by setting an option that nobody knows', async () => {
    const text = `export default env => { env.configure('pipeline.nam', 'x'); env.fromElements(1).print() }`
    await expect(plan(text)).rejects.toMatchObject({
      code: 'INVALID_CONFIGURATION',
      message: 'unknown option pipeline.nam, did you mean pipeline.name? (env.configure)',
    })
  })

  test('by ending the process', async () => {
    await expect(plan('export default () => process.exit(0)')).rejects.toThrow(/process\.exit/)
  })

  test('by a promise that nobody awaits', async () => {
    await expect(plan(`export default () => { Promise.reject(new Error('lost')); return new Promise(() => {}) }`)).rejects.toThrow(/lost/)
  })

  test('by looping for ever: answered after the deadline', async () => {
    await expect(plan('export default () => { for (;;); }', { defaultJobName: 'endless' }, { timeoutMs: 400 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      message:
        "the program endless did not finish building its graph within 400 ms (planner.timeout): its export 'default' still runs, or waits for something that does not come",
    })
  })

  test('by using too much memory', async () => {
    await expect(
      plan('export default () => { const all = []; for (;;) all.push(new Array(10000).fill(all.length)) }', {}, { heapMb: 48 }),
    ).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' })
  })
})

describe('the child', () => {
  test('ends when the request is aborted', async () => {
    await using planner = client()
    const abort = new AbortController()
    const planned = planner.plan(await request('export default () => { for (;;); }'), abort.signal)
    setImmediate(() => abort.abort(new Error('enough')))
    await expect(planned).rejects.toThrow('enough')
  })

  test('refuses an artefact that is not the one asked for', async () => {
    await using planner = client()
    const given = await request(words)
    await expect(planner.plan({ ...given, digest: '0'.repeat(64) })).rejects.toThrow(/damaged/)
  })

  test('ends with its parent, however that ends and whatever the program does', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    // The program holds a connection and then never gives way: the connection closes when its process is gone.
    const given = await request(`import { connect } from 'node:net'
      import { once } from 'node:events'
      export default async (env, args) => { await once(connect(Number(args[0]), '127.0.0.1'), 'connect'); for (;;); }`)
    const script = `
      import { PlannerClient } from ${JSON.stringify(new URL('./planner-client.ts', import.meta.url).href)}
      import { systemClock } from ${JSON.stringify(new URL('../common/clock.ts', import.meta.url).href)}
      const entry = new URL(${JSON.stringify(new URL('../../bin/planner.ts', import.meta.url).href)})
      const planner = new PlannerClient({ entry, clock: systemClock, execPath: process.execPath, timeoutMs: 60_000, heapMb: 256, keepSpare: true })
      planner.plan(${JSON.stringify({ ...given, args: [String((server.address() as AddressInfo).port)] })}).catch(() => {})`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })
    const [socket] = (await once(server, 'connection')) as [Socket]
    socket.resume()
    const closed = once(
      socket.on('error', () => {}),
      'close',
    )
    parent.kill('SIGKILL')
    await closed
    server.close()
  })
})
