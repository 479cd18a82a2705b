import { stateText } from '../graph/declared-state.ts'
import { typeText } from '../graph/type-text.ts'
import type { ExternalSnapshot } from './savepoint.ts'
import { isRestorable, type OperatorPlan, type SavedOperator, type StatePlan, type StatePlanEntry, savedOperators } from './state-plan.ts'

/** What `millrace state show` and `millrace state plan` print, as text and as JSON. */
export interface StateReport {
  readonly text: string
  readonly json: string
}

export function showState({ location, isSavepoint, head, body }: ExternalSnapshot): StateReport {
  const operators = savedOperators(body)
  const objectBytes = head.objects.reduce((sum, { size }) => sum + size, 0)
  const lines = [
    `${isSavepoint ? 'Savepoint' : 'Checkpoint'} ${location}`,
    `  job:        ${head.jobId}`,
    `  checkpoint: ${head.checkpointId}, taken ${new Date(head.timestampMs).toISOString()}`,
    `  objects:    ${head.objects.length}, ${objectBytes} bytes`,
    ...operators.flatMap(operator => ['', ...savedLines(operator)]),
  ]
  const json = {
    location,
    kind: isSavepoint ? 'savepoint' : 'checkpoint',
    jobId: head.jobId,
    checkpointId: head.checkpointId,
    timestampMs: head.timestampMs,
    objects: head.objects,
    operators: operators.map(({ entry, keyType, states, bytes }) => ({
      operatorId: entry.operatorId,
      uid: entry.uid,
      name: entry.name,
      type: entry.type,
      parallelism: entry.parallelism,
      maxParallelism: entry.maxParallelism,
      keyType: keyType === null ? null : typeText(keyType),
      windows: entry.windows ?? null,
      bytes,
      states: states.map(state => ({ name: state.name, kind: state.kind, type: stateText(state) })),
    })),
  }
  return { text: lines.join('\n'), json: JSON.stringify(json, null, 2) }
}

function savedLines({ entry, keyType, states, bytes }: SavedOperator): readonly string[] {
  const key = keyType === null ? '' : `, keyed by ${typeText(keyType)}`
  const windows = entry.windows === undefined ? '' : `, windows ${entry.windows}`
  return [
    `${nameOf(entry)}: ${entry.type}, parallelism ${entry.parallelism} of ${entry.maxParallelism}${key}${windows}, ${bytes} bytes`,
    ...(states.length === 0 ? ['  no state'] : states.map(state => `  ${state.name}: ${stateText(state)}`)),
  ]
}

export function statePlanReport(plan: StatePlan, location: string, jobName: string, ignoresUnclaimedState: boolean): StateReport {
  const restorable = isRestorable(plan, ignoresUnclaimedState)
  const lines = [
    `State of ${location} in job '${jobName}'`,
    ...plan.operators.flatMap(operator => ['', ...planLines(operator)]),
    '',
    ...(plan.withoutUid.length === 0 ? [] : [`Operators with state and without uid: ${plan.withoutUid.map(name => `'${name}'`).join(', ')}`]),
    resultOf(plan, restorable, ignoresUnclaimedState),
  ]
  const json = { location, job: jobName, restorable, ...plan }
  // What is not there is null: JSON has no undefined.
  return { text: lines.join('\n'), json: JSON.stringify(json, (_, value: unknown) => value ?? null, 2) }
}

function resultOf({ operators }: StatePlan, restorable: boolean, ignoresUnclaimedState: boolean): string {
  const has = (verdict: OperatorPlan['verdict']) => operators.some(operator => operator.verdict === verdict)
  if (has('incompatible')) return 'The job cannot be started with it.'
  if (restorable) return has('dropped') ? 'The job can be started with it; what is dropped is lost.' : 'The job can be started with it.'
  return ignoresUnclaimedState ? 'The job cannot be started with it.' : 'The job cannot be started with it, but with -n, without what is dropped.'
}

function planLines(operator: OperatorPlan): readonly string[] {
  const { verdict, states, reason, suggestion } = operator
  return [
    `${nameOf(operator)}: ${verdict}`,
    ...(reason === undefined ? [] : [`  ${reason}`]),
    ...(suggestion === undefined ? [] : [`  ${suggestion}`]),
    ...states.map(state => `  ${state.verdict.padEnd('incompatible'.length)}  ${entryText(state)}`),
  ]
}

function entryText({ name, verdict, saved, declared, reason, suggestion }: StatePlanEntry): string {
  const what = verdict === 'incompatible' ? reason : verdict === 'dropped' ? saved : declared
  return `${name}: ${what}${suggestion === undefined ? '' : ` (${suggestion})`}`
}

function nameOf({ name, uid, operatorId }: { readonly name: string; readonly uid: string | null; readonly operatorId: string }): string {
  return `'${name}' (${uid === null ? 'no uid' : `uid '${uid}'`}, id ${operatorId})`
}
