import { expect, test } from 'vitest'
import { Terminal } from './terminal.ts'

function terminal(isTerminal: boolean, columns = 80) {
  let shown = ''
  const term = new Terminal({
    write: async text => {
      shown += text
    },
    writeError: text => {
      shown += text
    },
    isTerminal,
    columns: () => columns,
  })
  return { term, shown: () => shown }
}

test('a new page takes the place of the one before it', async () => {
  const { term, shown } = terminal(true)
  await term.print('tm', '\fone\na\n')
  await term.print('tm', 'b\n')
  await term.print('tm', '\ftwo\n')
  expect(shown()).toBe('one\na\nb\n\x1b[3A\r\x1b[Jtwo\n')
})

test('rows that wrap are counted as they stand on the screen', async () => {
  const { term, shown } = terminal(true, 10)
  await term.print('tm', `\f${'x'.repeat(25)}\n\n`)
  await term.print('tm', '\f.\n')
  expect(shown().split('\n').at(-2)).toBe('\x1b[4A\r\x1b[J.')
})

test("the job's own stderr in between is never erased", async () => {
  const { term, shown } = terminal(true)
  await term.print('tm', '\fone\n')
  term.printError('aside\n')
  await term.print('tm', '\ftwo\n')
  expect(shown()).toBe('one\naside\ntwo\n')
})

test('what was said in between is never erased', async () => {
  const { term, shown } = terminal(true)
  await term.print('tm', '\fone\n')
  term.say('job is RUNNING')
  await term.print('tm', '\ftwo\n')
  expect(shown()).toBe('one\njob is RUNNING\ntwo\n')
})

test("another TaskManager's lines are never erased", async () => {
  const { term, shown } = terminal(true)
  await term.print('a', '\fone\n')
  await term.print('b', 'line\n')
  await term.print('a', '\ftwo\n')
  expect(shown()).toBe('one\nline\ntwo\n')
})

test('into a pipe pages follow each other, without the form feed', async () => {
  const { term, shown } = terminal(false)
  await term.print('tm', '\fone\n\ftwo\nlast\n')
  expect(shown()).toBe('one\ntwo\nlast\n')
})
