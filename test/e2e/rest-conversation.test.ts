import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { converse } from '../support/rest-conversation.ts'
import { realRestSubject } from '../support/rest-subject.ts'

test('a real JobManager answers all that the operator asks as it is recorded', async () => {
  await using subject = await realRestSubject()
  const recorded: unknown = JSON.parse(readFileSync(new URL('../oracle/rest-conversation.json', import.meta.url), 'utf8'))
  expect(await converse(subject)).toEqual(recorded)
})
