import { assert } from '../../runtime/common/assert.ts'
import type { JsonObject } from '../../runtime/common/json.ts'
import { enumeratorRegistry } from '../../runtime/connectors/registry.ts'
import type { OperatorDefinition } from '../../runtime/graph/stream-graph.ts'
import type { OperatorSnapshot } from '../../runtime/state/snapshot.ts'
import type { SourceDescription, SourceSplit, SplitEnumeratorFactory } from '../../runtime/stream/spi/source.ts'
import { type ConnectorHarness, type ConnectorHarnessOptions, operatorOf, RecordingEnumeratorContext } from './connector-harness.ts'
import { startAll } from './source-and-sink-cases.ts'

export interface RestoredSourceOptions extends ConnectorHarnessOptions {
  /** Default: the one of the registry. */
  readonly enumerator?: SplitEnumeratorFactory
  readonly textsOf: (harness: ConnectorHarness) => readonly string[]
}

/**
 * A bounded source with its enumerator: after each row (of readers that give frames: after each frame) both are snapshot as they travel, closed and
 * restored, at the next of the parallelisms. The rows of all, sorted.
 */
export async function readRestoring(
  definition: OperatorDefinition,
  parallelisms: readonly number[],
  options: RestoredSourceOptions,
): Promise<string[]> {
  const description = travelled(definition.source as SourceDescription)
  const createEnumerator = options.enumerator ?? enumeratorRegistry[description.enumerator]
  assert(createEnumerator !== undefined, `enumerator ${description.enumerator} is in the registry`)
  const rows: string[] = []
  let enumeratorState: JsonObject | undefined
  let snapshots: readonly OperatorSnapshot[] | undefined
  for (let step = 0; ; step++) {
    const parallelism = parallelisms[step % parallelisms.length] ?? 1
    const subtasks = await startAll(parallelism, snapshots, () => operatorOf({ ...definition, options: travelled(definition.options) }), options)
    const context = Object.assign(new RecordingEnumeratorContext(parallelism), {
      assignSplits: (subtaskIndex: number, splits: readonly SourceSplit[]) => subtasks[subtaskIndex]?.source.addSplits(splits),
      signalNoMoreSplits: (subtaskIndex: number) => subtasks[subtaskIndex]?.source.noMoreSplits(),
    })
    const enumerator = createEnumerator(description.options, context, enumeratorState)
    for (const subtaskIndex of subtasks.keys()) enumerator.addReader(subtaskIndex)
    await enumerator.start()
    assert(context.failure === undefined, `the enumerator works: ${String(context.failure)}`)
    // Another subtask each time gives the row, as long as any has one.
    let giver: ConnectorHarness | undefined
    for (let i = 0; i < parallelism && giver === undefined; i++) {
      const subtask = subtasks[(step + i) % parallelism]
      assert(subtask !== undefined, 'there is one for each index')
      subtask.rowsPerPoll = 1
      await subtask.run(() => subtask.rowCount > 0)
      if (subtask.rowCount > 0) giver = subtask
    }
    if (giver !== undefined) rows.push(...options.textsOf(giver))
    enumeratorState = travelled(enumerator.snapshot())
    snapshots = subtasks.map(subtask => subtask.snapshot(step + 1))
    await enumerator.close()
    for (const subtask of subtasks) await subtask.close()
    if (giver === undefined) return rows.sort()
  }
}

/** What lies between processes is JSON. */
function travelled<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}
