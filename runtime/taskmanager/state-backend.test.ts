import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TestFolder } from '../../test/support/cluster.ts'
import { finishInProcess, runInProcess } from '../../test/support/in-process-job.ts'
import { countWords } from '../../test/support/keyed-words.ts'
import { mapStateBackend } from '../../test/support/map-state-backend.ts'
import type { OwnStateBackend } from '../api/index.ts'
import { Configuration } from '../common/config.ts'
import { checkpointSettings } from '../jobmanager/checkpoint-settings.ts'
import { stateBackendOf } from './state-backend.ts'

const type = 'state.backend.type'

/** A backend that says in a file that it was used. */
const moduleText = (log: string) => `import { appendFileSync } from 'node:fs'
export const backend = {
  name: 'logging',
  can: { snapshots: true, incremental: true },
  createStore() {
    const rows = new Map()
    const nameOf = (state, key) => state + ' ' + Buffer.from(key).toString('hex')
    return {
      get: (state, key) => rows.get(nameOf(state, key)),
      put(state, key, row) {
        appendFileSync(${JSON.stringify(log)}, 'put\\n')
        rows.set(nameOf(state, key), row)
      },
      remove: (state, key) => rows.delete(nameOf(state, key)),
      rows: state => [...rows].flatMap(([name, row]) => (name.startsWith(state + ' ') ? [row] : [])),
      close() {},
    }
  },
}
export const nothing = {}
`

test('a backend that the configuration names is loaded from its module, and REST says so', async () => {
  await using folder = await TestFolder.create()
  const log = join(folder.path, 'rows')
  const backend = `${await folder.write('backend.mjs', moduleText(log))}#backend`
  const { stdout } = await finishInProcess(countWords, { batch: false, configuration: { [type]: backend } })
  expect(stdout.trim().split('\n').sort()).toEqual(['a 1', 'a 2', 'b 1'])
  expect(readFileSync(log, 'utf8')).toMatch(/^(put\n)+$/)
  expect(checkpointSettings(Configuration.fromObject({ [type]: backend })).view.stateBackend).toBe(backend)
})

test('where a task cannot be built, the stores of those that were built before it are closed', async () => {
  let opened = 0
  let closed = 0
  const stores = mapStateBackend(() => ({ close: () => void closed++ }))
  const backend: OwnStateBackend = {
    ...stores,
    createStore: options => {
      if (opened === 2) throw new Error('no more stores')
      opened++
      return stores.createStore(options)
    },
  }
  const { state, error } = await runInProcess(
    env => {
      env.setStateBackend(backend)
      let words = env.fromElements('a', 'b', 'a')
      for (let i = 0; i < 3; i++) words = words.keyBy(word => word).reduce(word => word)
      words.print()
    },
    { parallelism: 1 },
  )
  expect([state, error?.message]).toEqual(['FAILED', expect.stringContaining('no more stores')])
  expect([opened, closed]).toEqual([2, 2])
})

test('what is no backend is refused with the option, and what was expected', async () => {
  await using folder = await TestFolder.create()
  const module = await folder.write('backend.mjs', moduleText(join(folder.path, 'rows')))
  const refusals = {
    [`${module}#nothing`]: `expected a state backend (name, can: { snapshots, incremental }, createStore) as nothing of module ${module}, which exports something else by that name`,
    [`${module}#other`]: `expected a state backend (name, can: { snapshots, incremental }, createStore) as other of module ${module}, which has no such export`,
    [`${folder.path}/missing.mjs#backend`]: `module ${folder.path}/missing.mjs cannot be loaded: `,
    './backend.mjs#backend': 'module ./backend.mjs is relative, to what is not known: expected an absolute path, or the name of a package',
    own: 'own is what a program sets by env.setStateBackend, and this one does not',
  }
  const graph = {
    nodes: [],
    jobName: '',
    runtimeMode: 'STREAMING',
    chainingEnabled: true,
    parallelism: 1,
    maxParallelism: 1,
    configuration: {},
  } as const
  for (const [value, message] of Object.entries(refusals))
    await expect(stateBackendOf(Configuration.fromObject({ [type]: value }), graph)).rejects.toThrow(`option ${type}: ${message}`)
})
