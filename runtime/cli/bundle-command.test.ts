import { expect, test } from 'vitest'
import { millrace } from '../../test/support/cli-harness.ts'
import { FlinkError } from '../common/errors.ts'
import type { ProgramSummary } from './context.ts'

const ready = { kind: 'ready', jobName: 'wc', slotsNeeded: 3, slotsPerTaskManager: 2, parallelisms: {}, configuration: {} } as const

/** What was written, as text. */
async function written(line: string, summarize: () => Promise<ProgramSummary>) {
  const files = new Map<string, string>()
  const answer = await millrace(line, {
    context: {
      summarize,
      writeFile: async (path, bytes) => {
        files.set(path, new TextDecoder().decode(bytes))
      },
    },
  })
  return { ...answer, files }
}

test('bundle writes the bundle, the summary, or both', async () => {
  expect((await millrace('bundle -o out/job.mjs job.ts')).calls).toEqual([['writeFile', 'out/job.mjs', 1]])
  expect((await millrace('bundle --summary s.json --stateOf abc -n -o o.mjs job.ts -x')).calls).toEqual([
    ['writeFile', 'o.mjs', 1],
    ['summarize', 'abc', true],
    ['writeFile', 's.json', ready],
  ])
})

test('bundle uploads, and writes which jar it is', async () => {
  const { calls } = await millrace('bundle --upload u.json -m session:8081 job.ts')
  expect(calls.map(([name]) => name)).toEqual(['rest', 'uploadJar', 'writeFile'])
  expect(calls[0]).toEqual(['rest', 'session:8081'])
  expect(calls[2]).toEqual(['writeFile', 'u.json', { kind: 'uploaded', jarId: 'jar-1' }])
})

test('a program that is refused is said in the summary, cut to what Kubernetes keeps, and the exit code is 1', async () => {
  const message = `job.ts:3:5: ${'ß"'.repeat(4_000)}`
  const { code, err, files } = await written('bundle --summary s.json job.ts', async () => {
    throw new FlinkError('INVALID_PROGRAM', message)
  })
  const text = files.get('s.json') ?? ''
  expect([code, err, Buffer.byteLength(text) <= 4096]).toEqual([1, [expect.stringContaining('job.ts:3:5')], true])
  expect(JSON.parse(text)).toEqual({ kind: 'invalid', message: expect.stringMatching(/^job\.ts:3:5: .*\.\.\.$/) })
})

test('what may go better another time is no answer: nothing is written', async () => {
  const { code, err, files } = await written('bundle --summary s.json job.ts', async () => {
    throw new FlinkError('TIMEOUT', 'the store did not answer within 10 s')
  })
  expect([code, files.size, err.join('\n')]).toEqual([1, 0, expect.stringContaining('the store did not answer within 10 s')])
})

test('of very many operators the parallelisms are left out', async () => {
  const parallelisms = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`vertex-${index}`, 3]))
  const summaryOf = async (some: typeof parallelisms) =>
    JSON.parse((await written('bundle --summary s.json job.ts', async () => ({ ...ready, parallelisms: some }))).files.get('s.json') ?? '')
  expect(await summaryOf(parallelisms)).toEqual({ kind: 'ready', jobName: 'wc', slotsNeeded: 3, slotsPerTaskManager: 2, configuration: {} })
  expect(await summaryOf({ 'vertex-0': 3 })).toMatchObject({ parallelisms: { 'vertex-0': 3 } })
})

test('of a long state plan the worst states are kept', async () => {
  const states = Array.from({ length: 500 }, (_, index) => ({
    operator: `operator ${index}`,
    name: 'sum',
    outcome: index === 0 ? 'incompatible' : 'kept',
  }))
  const { files } = await written('bundle --summary s.json --stateOf abc job.ts', async () => ({
    ...ready,
    statePlan: { restorePoint: 's3://bucket/chk-1', states },
  }))
  const text = files.get('s.json') ?? ''
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096)
  const { statePlan } = JSON.parse(text)
  expect([statePlan.states[0], statePlan.states.length > 10, statePlan.restorePoint]).toEqual([states[0], true, 's3://bucket/chk-1'])
})

test.each([
  ['bundle job.ts', 'There is nothing to write: specify --output, --summary or --upload.'],
  ['bundle -o x -m localhost:1 job.ts', 'The option -m is one of --upload: specify that.'],
  ['bundle -o x --stateOf abc job.ts', 'The option --stateOf says more in the summary: specify --summary.'],
  ['bundle -o x nowhere.ts', 'Job file does not exist: nowhere.ts'],
])('%s: exit 1 and the reason on stdout', async (line, message) => {
  const { code, out } = await millrace(line)
  expect([code, out[0]]).toEqual([1, message])
})
