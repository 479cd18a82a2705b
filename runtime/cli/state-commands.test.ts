import { expect, test } from 'vitest'
import { millrace } from '../../test/support/cli-harness.ts'

test('state show prints what a savepoint holds, as text or as JSON', async () => {
  const { code, out, calls } = await millrace('state show /s/savepoint-1')
  expect([code, out, calls]).toEqual([0, ['the state'], [['showState', '/s/savepoint-1']]])
  expect((await millrace('state show --json /s/savepoint-1')).out).toEqual(['{"state":1}'])
})

test('state plan exits with 1 when the job cannot be started with the savepoint; what follows the program is its own', async () => {
  const refused = await millrace('state plan /s/savepoint-1 job.ts -n')
  expect([refused.code, refused.out, refused.calls]).toEqual([1, ['the state plan'], [['planState', '/s/savepoint-1', ['-n'], false]]])
  const allowed = await millrace('state plan -n --json /s/savepoint-1 job.ts')
  expect([allowed.code, allowed.out]).toEqual([0, ['{"plan":1}']])
})

test.each([
  ['state plan /s/savepoint-1', 'The job module should be specified, for example: millrace state plan <path> job.ts'],
  ['state plan /s/savepoint-1 nowhere.ts', 'Job file does not exist: nowhere.ts'],
  ['state show', "missing required argument 'path'"],
])('%s: exit 1 and the reason on stdout', async (line, message) => {
  const { code, out } = await millrace(line)
  expect([code, out[0]]).toEqual([1, message])
})
