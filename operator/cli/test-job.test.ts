import { expect, test } from 'vitest'
import { ManagerWorld } from '../../test/support/manager-world.ts'
import { Terminal } from './terminal.ts'
import { runTestJob } from './test-job.ts'

const MINUTE_MS = 60_000

async function tested(world: ManagerWorld): Promise<{ readonly code: number | undefined; readonly said: string }> {
  let said = ''
  const write = (text: string) => {
    said += text
  }
  const terminal = new Terminal({ write: async text => write(text), writeError: write, isTerminal: false, columns: () => 80 })
  let code: number | undefined
  const request = { name: 'check', labels: { team: 'a' }, timeoutS: 120 }
  void runTestJob(request, { api: world.server, namespace: 'default', clock: world.clock, terminal }).then(answer => {
    code = answer
  })
  await world.clock.runUntil(() => code !== undefined, 10 * MINUTE_MS)
  return { code, said }
}

const ending = () => new ManagerWorld(new Map(), { prepare: cluster => void (cluster.looksUntilFinished = 3) })

test('a job is made, finishes and goes; one that is left of an earlier test is removed first', async () => {
  const world = ending()
  world.start()
  const first = await tested(world)
  expect(first.code).toBe(0)
  expect(first.said).toMatch(/made in namespace default[\s\S]*is RUNNING[\s\S]*is FINISHED[\s\S]*finished, and gone/)
  expect(await world.job('check')).toBeUndefined()
  await world.apply({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name: 'check', namespace: 'default' },
    spec: { job: { script: 'export default () => 1' } },
  })
  const second = await tested(world)
  expect(second.said).toContain('one of an earlier test is there, and removed first')
  expect(second.code).toBe(0)
})

test('one that fails stays, and what the operator says of it is told', async () => {
  const world = new ManagerWorld(new Map(), {
    prepare: cluster => void cluster.invalidPrograms.set("export default env => env.fromElements('it', 'runs').print()\n", 'no such module'),
  })
  world.start()
  const { code, said } = await tested(world)
  expect(code).toBe(1)
  expect(said).toContain('it has not finished')
  expect(said).toContain('no such module')
  expect(await world.job('check')).toMatchObject({ metadata: { labels: { team: 'a' } }, status: { lifecycleState: 'FAILED' } })
})

test('without an operator it ends at its time, and says that nobody has looked', async () => {
  const { code, said } = await tested(new ManagerWorld())
  expect(code).toBe(1)
  expect(said).toContain('it has not finished within 120 s')
  expect(said).toContain('no operator has looked at it')
})
