import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import { oracle } from '../support/cluster.ts'

/** The SQL example as `make run` runs it: the shell command, real processes, held to coreutils. */
const root = resolve(import.meta.dirname, '../..')
const example = 'examples/word-count-sql.yaml'

test('make run runs the SQL example: millrace up prints the counts that coreutils count, and ends', async () => {
  expect(execFileSync('make', ['-n', '-o', 'dist/.built', 'run'], { cwd: root, encoding: 'utf8' })).toContain(`bin/millrace up ${example}`)
  const directory = mkdtempSync(join(tmpdir(), 'millrace-up-'))
  try {
    const child = spawn(join(root, 'bin/millrace'), ['up', '--once', example], {
      cwd: root,
      env: { ...process.env, MILLRACE_DIR: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const [code] = (await once(child, 'close')) as [number | null]
    expect(code, stderr).toBe(0)
    const printed = stdout
      .trimEnd()
      .split('\n')
      .map(line => /^[12]> \+I\[(.*), (\d+)\]$/.exec(line)?.slice(1))
      .map(match => `${match?.[1]} ${match?.[0]}`)
    const counted = await oracle(
      "cat /usr/share/common-licenses/* | LC_ALL=C tr -s '[:space:]' '\\n' | grep -v '^$' | LC_ALL=C sort | LC_ALL=C uniq -c | sed 's/^ *//'",
      '',
    )
    const expected = counted.trimEnd().split('\n')
    expect(expected.length).toBeGreaterThan(1000)
    expect(printed.sort()).toEqual(expected.sort())
    const { status } = JSON.parse(readFileSync(join(directory, 'objects/flinkjobs/default/word-count-sql.json'), 'utf8')) as FlinkJob
    expect(status).toMatchObject({ lifecycleState: 'STABLE', jobStatus: { state: 'FINISHED' } })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
