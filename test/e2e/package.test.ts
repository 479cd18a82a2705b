import { execFileSync, spawnSync } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCluster, TestFolder } from '../support/cluster.ts'

/** What people get: dist/ as the package `millrace`, from a project of their own. */
const root = new URL('../..', import.meta.url).pathname

test('a project that depends on millrace compiles its job against the types and runs it by the bin', { timeout: 120_000 }, async () => {
  await using project = await TestFolder.create()
  await mkdir(join(project.path, 'node_modules/.bin'), { recursive: true })
  await symlink(root, join(project.path, 'node_modules/millrace'))
  await symlink('../millrace/bin/millrace', join(project.path, 'node_modules/.bin/millrace'))
  await project.write('package.json', JSON.stringify({ name: 'user', type: 'module', dependencies: { millrace: '*' } }))
  await project.write(
    'tsconfig.json',
    JSON.stringify({ compilerOptions: { strict: true, module: 'nodenext', target: 'es2024', noEmit: true, types: [] }, include: ['*.ts'] }),
  )
  await copyFile(join(root, 'examples/word-count.ts'), join(project.path, 'job.ts'))
  const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', project.path]
  expect(spawnSync(process.execPath, tsc, { encoding: 'utf8' }).stdout).toBe('')
  // A wrong field is an error in the editor.
  await project.write(
    'wrong.ts',
    "import type { StreamExecutionEnvironment } from 'millrace'\nexport default (env: StreamExecutionEnvironment) => {\n  env.fromElements({ shop: 'a', amount: 1 }).keyBy('shop').sum('amuont').print()\n}\n",
  )
  expect(() => execFileSync(process.execPath, tsc, { encoding: 'utf8', stdio: 'pipe' })).toThrow(/Command failed/)
  const out = execFileSync(join(project.path, 'node_modules/.bin/millrace'), ['run', '-t', 'local', 'job.ts'], {
    cwd: project.path,
    encoding: 'utf8',
  })
  expect(out).toContain('(hello,3)')
})

test('a project tests a state backend of its own by millrace/testing, and its job keeps its state there', { timeout: 120_000 }, async () => {
  await using project = await TestFolder.create()
  await mkdir(join(project.path, 'node_modules'), { recursive: true })
  await symlink(root, join(project.path, 'node_modules/millrace'))
  await project.write('package.json', JSON.stringify({ name: 'user', type: 'module', dependencies: { millrace: '*' } }))
  await project.write(
    'tsconfig.json',
    JSON.stringify({ compilerOptions: { strict: true, module: 'nodenext', target: 'es2024', noEmit: true, types: [] }, include: ['*.ts'] }),
  )
  await project.write(
    'backend.ts',
    `import type { OwnStateBackend } from 'millrace'
export const backend: OwnStateBackend = {
  name: 'maps',
  can: { snapshots: true, incremental: true },
  createStore: () => {
    const rows = new Map<string, Uint8Array>()
    const nameOf = (state: number, key: Uint8Array) => state + ' ' + key.join(' ')
    return {
      get: (state, key) => rows.get(nameOf(state, key)),
      put: (state, key, row) => void rows.set(nameOf(state, key), row),
      remove: (state, key) => void rows.delete(nameOf(state, key)),
      *rows(state) {
        for (const [name, row] of rows) if (name.startsWith(state + ' ')) yield row
      },
      close: () => rows.clear(),
    }
  },
}
`,
  )
  await project.write(
    'backend-test.ts',
    `import { stateBackendContract } from 'millrace/testing'
import { backend } from './backend.js'
declare const console: { log(text: string): void }
for (const { title, run } of stateBackendContract(backend)) {
  run()
  console.log(title)
}
`,
  )
  await project.write(
    'job.ts',
    `import type { StreamExecutionEnvironment } from 'millrace'
import { backend } from './backend.js'
export default (env: StreamExecutionEnvironment) => {
  env.setStateBackend(backend).fromElements('a', 'b', 'a').map(word => ({ word, count: 1 })).keyBy(row => row.word)
    .reduce((a, b) => ({ word: a.word, count: a.count + b.count })).map(row => row.word + ' ' + row.count).print()
}
`,
  )
  const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', project.path]
  expect(spawnSync(process.execPath, tsc, { encoding: 'utf8' }).stdout).toBe('')
  const outOfTs = (text: string) => text.replace("'./backend.js'", "'./backend.ts'")
  await project.write('backend-test.ts', outOfTs(await readFile(join(project.path, 'backend-test.ts'), 'utf8')))
  const tested = execFileSync(process.execPath, ['backend-test.ts'], { cwd: project.path, encoding: 'utf8' })
  expect(tested.trimEnd().split('\n')).toHaveLength(9)
  const run = execFileSync(join(root, 'bin/millrace'), ['run', '-t', 'local', '-p', '1', 'job.ts'], { cwd: project.path, encoding: 'utf8' })
  expect(run.split('\n')).toEqual(expect.arrayContaining(['a 1', 'b 1', 'a 2']))
})

test('processes run on the Node 24 of the package, whatever the PATH says', async () => {
  await using folder = await TestFolder.create()
  await folder.write('node', '#!/bin/sh\necho "the wrong node" >&2\nexit 1\n')
  execFileSync('chmod', ['+x', join(folder.path, 'node')])
  const job = await folder.write('job.ts', 'export default env => { env.fromElements(process.version).print() }\n')
  const out = execFileSync(join(root, 'bin/millrace'), ['run', '-t', 'local', '-p', '1', job], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder.path}:${process.env['PATH'] ?? ''}` },
  })
  expect(out).toMatch(/v24\./)
})

test('run -t local into a pipe that its reader leaves ends in order: no stack, no folder left behind', async () => {
  await using folder = await TestFolder.create()
  const job = await folder.write('job.ts', 'export default env => { env.fromSequence(1, 1e12).print() }\n')
  await mkdir(join(folder.path, 'tmp'))
  const script = `"${join(root, 'bin/millrace')}" run -t local "${job}" 2>"${folder.path}/stderr" | head -n 2; echo "\${PIPESTATUS[0]}"`
  const out = execFileSync('bash', ['-c', script], { encoding: 'utf8', env: { ...process.env, TMPDIR: join(folder.path, 'tmp') } })
  expect(out.trimEnd().split('\n').at(-1)).toBe('130')
  expect(await readFile(join(folder.path, 'stderr'), 'utf8')).toBe('')
  expect(await readdir(join(folder.path, 'tmp'))).toEqual([])
})

test('a file that the program registers travels from the client to every worker, and its digest is checked', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 1 })
  await writeFile(join(cluster.folder.path, 'words.txt'), 'from the client')
  const job = await cluster.folder.write(
    'job.ts',
    `import { readFileSync } from 'node:fs'
import type { StreamExecutionEnvironment } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.registerCachedFile('${join(cluster.folder.path, 'words.txt')}', 'words')
  const path = env.getCachedFile('words')
  env.fromSequence(1, 10).map(n => \`\${readFileSync(path, 'utf8')}|\${path.includes('unpacked')}\`).setParallelism(2).print()
}
`,
  )
  const result = await cluster.run(['run', '-p', '2', job])
  expect(result.code, result.stderr).toBe(0)
  const lines = await cluster.printed()
  expect(lines.length).toBe(10)
  for (const line of lines) expect(line).toMatch(/^[12]> from the client\|true$/)
})
