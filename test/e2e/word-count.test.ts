import { readdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { encodeFrame } from '../../runtime/rpc/frame-codec.ts'
import { CertificateFolders, testAuthority } from '../support/certificates.ts'
import { type Cluster, oracle, startCluster } from '../support/cluster.ts'

/** Word count over real text on real processes, held to coreutils. */
const licences = '/usr/share/common-licenses'
const job = new URL('../../examples/word-count.ts', import.meta.url).pathname
let expected: string[]

beforeAll(async () => {
  let text = ''
  for (const name of (await readdir(licences)).sort()) text += await readFile(join(licences, name), 'utf8')
  const counted = await oracle("LC_ALL=C tr -s '[:space:]' '\\n' | grep -v '^$' | LC_ALL=C sort | LC_ALL=C uniq -c", text)
  expected = counted
    .trimEnd()
    .split('\n')
    .map(line => line.trim())
    .sort()
  expect(expected.length).toBeGreaterThan(3000)
})

/** `n word`, the last count of each word, from lines `2> (word,n)`. */
function lastCounts(lines: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const line of lines) {
    const match = /^(?:\d+> )?\((.*),(\d+)\)$/.exec(line)
    if (match === null) throw new Error(`not a count: ${line}`)
    const [word, count] = [match[1] ?? '', Number(match[2])]
    counts.set(word, Math.max(counts.get(word) ?? 0, count))
  }
  return [...counts].map(([word, count]) => `${count} ${word}`).sort()
}

interface JobAnswer {
  readonly vertices: readonly { readonly id: string; readonly name: string; readonly metrics: Record<string, number> }[]
}

async function runWordCount(cluster: Cluster, args: readonly string[]): Promise<string> {
  const result = await cluster.run(['run', ...args, job, '--input', licences])
  expect(result.stderr).toBe('')
  expect(result.code).toBe(0)
  const id = /JobID ([0-9a-f]{32})/.exec(result.stdout)?.[1]
  if (id === undefined) throw new Error(result.stdout)
  return id
}

describe.each([1, 2])('with %i TaskManager processes', taskManagers => {
  test(`word count from files equals coreutils at parallelism 1, 2 and 4, chaining on and off, with ${taskManagers} TaskManagers`, async () => {
    await using cluster = await startCluster({ taskManagers, slots: 4 / taskManagers })
    for (const parallelism of [1, 2, 4]) {
      for (const chaining of [true, false]) {
        const id = await runWordCount(cluster, ['-p', String(parallelism), '-D', `pipeline.operator-chaining.enabled=${chaining}`])
        expect(lastCounts(await newLines(cluster))).toEqual(expected)
        const answer = await cluster.get<JobAnswer>(`/jobs/${id}`)
        for (const vertex of answer.vertices) {
          const detail = await cluster.get<{ subtasks: { metrics: Record<string, number>; 'taskmanager-id': string }[] }>(
            `/jobs/${id}/vertices/${vertex.id}`,
          )
          for (const { metrics } of detail.subtasks)
            expect((metrics['read-records'] ?? 0) + (metrics['write-records'] ?? 0), vertex.name).toBeGreaterThan(0)
          if (parallelism === 4) expect(new Set(detail.subtasks.map(subtask => subtask['taskmanager-id'])).size).toBe(taskManagers)
        }
      }
    }
  })
})

test('TaskManagers and JobManager that show each other certificates count the same; who has none, or one of another cluster, is refused on every port', async () => {
  using folders = new CertificateFolders()
  const [own, other] = [testAuthority(), testAuthority()]
  const certificates = folders.create(own, ['jobmanager', 'taskmanager'])
  const configuration = { 'security.ssl.internal.enabled': 'true', 'security.ssl.internal.certificates': certificates }
  await using cluster = await startCluster({ taskManagers: 2, slots: 2, configuration })
  await runWordCount(cluster, ['-p', '4'])
  expect(lastCounts(await newLines(cluster))).toEqual(expected)

  // It has the token, as the folder is the same, and would trust this cluster; its certificate is of another one.
  const strange = folders.create(other, ['taskmanager'], { trusted: [own, other] })
  cluster.startTaskManager('stranger', 1, ['-D', `security.ssl.internal.certificates=${strange}`])
  await expect.poll(() => cluster.log('jobmanager-0'), { timeout: 30_000 }).toContain('a connection without a certificate of this cluster is refused')
  const { taskmanagers } = await cluster.get<{ taskmanagers: readonly { id: string; dataPort: number }[] }>('/taskmanagers')
  expect(taskmanagers.map(({ id }) => id).filter(id => id === 'stranger')).toEqual([])
  expect(taskmanagers.length).toBe(2)
  const { rpcPort } = JSON.parse(await readFile(join(cluster.folder.path, 'cluster/run/jobmanager-0.json'), 'utf8')) as { rpcPort: number }
  for (const port of [rpcPort, ...taskmanagers.map(({ dataPort }) => dataPort)]) expect(await saysOverPlainTcp(port)).toBe('')
}, 120_000)

const TLS_ALERT = 21

/** What a port says to a frame without TLS, until it closes the connection: an alert of TLS is no word. */
function saysOverPlainTcp(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(encodeFrame({ kind: 'hello', protocolVersion: 1, token: '', role: 'taskmanager', id: 'x' })),
    )
    const said: Uint8Array[] = []
    socket.on('data', (bytes: Uint8Array) => said.push(bytes))
    socket.on('error', reject)
    socket.on('close', () => {
      const bytes = Buffer.concat(said)
      resolve(bytes[0] === TLS_ALERT ? '' : new TextDecoder().decode(bytes))
    })
  })
}

/** Jobs run one after the other, so what a job printed is each TaskManager's file from where the last look ended. */
const readSoFar = new WeakMap<Cluster, Map<string, number>>()
async function newLines(cluster: Cluster): Promise<string[]> {
  const offsets = readSoFar.get(cluster) ?? new Map<string, number>()
  readSoFar.set(cluster, offsets)
  const lines: string[] = []
  for (const [name, text] of await cluster.stdout()) {
    const fresh = text.slice(offsets.get(name) ?? 0)
    offsets.set(name, text.length)
    if (fresh !== '') lines.push(...fresh.trimEnd().split('\n'))
  }
  return lines
}

test('word count in batch mode prints each word once with its final count', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 1 })
  await runWordCount(cluster, ['-p', '2', '-D', 'execution.runtime-mode=BATCH'])
  const lines = await cluster.printed()
  expect(lines.length).toBe(expected.length)
  expect(lastCounts(lines)).toEqual(expected)
})
