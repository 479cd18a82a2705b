import type { FlinkJobSpec } from '../../operator/api/flink-job.ts'
import type { PlannedState } from '../../operator/effects/actions.ts'
import type { FakeFlinkCluster } from '../support/fake-flink-cluster.ts'

/**
 * The programs of scenarios: small real ones. `fake` says what stands for each where nothing is really run; the runs on real processes show that it is what they do.
 */
export type ProgramName = keyof typeof programs

interface FakeProgram {
  /** It ends by itself, or fails. */
  readonly ends?: 'FINISHED' | 'FAILED'
  /** It cannot be planned: a part of what is said of it. */
  readonly invalid?: string
  /** What becomes of the state of `counting` in it. */
  readonly states?: readonly PlannedState[]
}

interface Program extends FakeProgram {
  readonly sql?: string
  readonly script?: string
}

/** Counts numbers that come twenty a second; the version makes another text of the same program. */
const counting = (version: string, type = 'INT', state = 'count') => `
// ${version}
import { DataGeneratorSource, Types, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class Count {
  count = new ValueStateDescriptor('${state}', Types.${type})
  open(context) { this.state = context.getState(this.count) }
  processElement(n, _context, out) {
    const count = Number(this.state.value() ?? 0) + 1
    this.state.update(${type === 'STRING' ? 'String(count)' : 'count'})
    out.collect('${version} ' + n + ' ' + count)
  }
}
export default env => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 20, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers')
    .keyBy(() => 1).process(new Count()).uid('count').print()
}`

const elements = (version: string) => `export default env => { env.fromElements('${version}').print() }`

const count = { operator: 'KeyedProcess', uid: 'count', name: 'count' } as const

export const programs = {
  counting: { script: counting('first') },
  changed: { script: counting('second') },
  changedAgain: { script: counting('third') },
  /** The same state as another type. */
  retyped: { script: counting('retyped', 'STRING'), states: [{ ...count, outcome: 'incompatible', why: 'was INT, is STRING' }] },
  /** No place for the state. */
  renamed: {
    script: counting('renamed', 'INT', 'other'),
    states: [
      { ...count, outcome: 'dropped' },
      { ...count, name: 'other', outcome: 'new' },
    ],
  },
  broken: { script: `${counting('broken')}\n}`, invalid: 'job.ts:19:1: unexpected "}"' },
  finite: { script: elements('a'), ends: 'FINISHED' },
  finiteChanged: { script: elements('b'), ends: 'FINISHED' },
  failing: {
    script: "export default env => { env.fromElements('a').map(() => { throw new Error('no price') }).print() }",
    ends: 'FAILED',
  },
  sql: {
    sql: `CREATE TABLE numbers (n INT) WITH ('connector' = 'datagen', 'rows-per-second' = '20');
CREATE TABLE nowhere (n INT) WITH ('connector' = 'blackhole');
INSERT INTO nowhere SELECT n FROM numbers`,
  },
} as const satisfies Readonly<Record<string, Program>>

/** Where nothing lies. */
export const EMPTY_PATH = 'file:///nowhere/savepoint-1'

export function programFields(name: ProgramName): Readonly<Record<string, string>> {
  const { script, sql }: Program = programs[name]
  return script === undefined ? { sql: sql ?? '' } : { script }
}

export function programOf({ job }: Pick<FlinkJobSpec, 'job'>): Program {
  const found = Object.values<Program>(programs).find(({ script, sql }) => (script ?? sql) === (job.script ?? job.sql))
  if (found === undefined) throw new Error(`no program of scenarios: ${job.script ?? job.sql}`)
  return found
}

/** A fake cluster does what the programs are said to do. */
export function teachPrograms(cluster: FakeFlinkCluster): void {
  cluster.program = { kind: 'ready', jobName: 'fake', slotsNeeded: 1, slotsPerTaskManager: 1, parallelisms: { source: 1, sink: 1 } }
  for (const { script = '', invalid, states } of Object.values<Program>(programs)) {
    if (invalid !== undefined) cluster.invalidPrograms.set(script, invalid)
    if (states !== undefined) cluster.statePlans.set(script, { kind: 'ready', restorePoint: 'a checkpoint', ignoresUnclaimedState: false, states })
  }
  cluster.emptyPaths.add(EMPTY_PATH)
  cluster.onSubmit = spec => {
    const { ends } = programOf(spec)
    cluster.looksUntilFinished = ends === undefined ? undefined : 3
    // One that does not end completes checkpoints.
    cluster.progress.checkpointMs = ends === undefined ? 3_000 : undefined
    cluster.failure = ends === 'FAILED' ? 'Error: no price' : undefined
  }
}
