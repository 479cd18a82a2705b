import { expect, test } from 'vitest'
import { FlinkError, serializeError } from './errors.ts'
import { formatLogEntry } from './log-format.ts'

test('pretty: one line with quoted fields; the stack of a bug below it, none for what a user did wrong', () => {
  const line = formatLogEntry('pretty', { level: 'info', message: 'job is RUNNING', fields: { jobId: 'ab', name: 'word count', slots: 2 } }, 1_512)
  expect(line).toMatch(/^\d\d:\d\d:\d\d,512 INFO {2}job is RUNNING {2}jobId=ab name="word count" slots=2$/)
  const ours = { ...serializeError(new FlinkError('INTERNAL', 'oops')), stack: 'FlinkError: oops\n    at x.ts:1' }
  expect(
    formatLogEntry('pretty', { level: 'error', message: 'failed', fields: { error: ours } }, 0)
      .split('\n')
      .slice(1),
  ).toEqual(['    FlinkError: oops', '        at x.ts:1'])
  const theirs = serializeError(new FlinkError('INVALID_PROGRAM', 'no default export'))
  expect(formatLogEntry('pretty', { level: 'error', message: 'failed', fields: { error: theirs } }, 0)).toMatch(
    /failed {2}error="no default export"$/,
  )
})

test('json: parses, and a field cannot hide the message', () => {
  const line = formatLogEntry('json', { level: 'warn', message: 'real', fields: { message: 'fake', big: 5n, cause: new Error('x') } }, 7)
  expect(JSON.parse(line)).toMatchObject({ time: 7, level: 'warn', message: 'real', big: '5', cause: { message: 'x' } })
})
