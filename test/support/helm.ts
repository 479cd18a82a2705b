import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { CHART } from '../../bin/chart.ts'
import type { KubeObject } from '../../operator/kube/object-api.ts'
import { helmBinary } from './kube-binaries.ts'

/** Answers what it prints; rejects with what it complains of. */
export async function runHelm(args: readonly string[], home: string): Promise<string> {
  const run = promisify(execFile)(helmBinary(), args, { env: { HOME: home }, maxBuffer: 64 * 2 ** 20 })
  run.child.stdin?.end()
  return (await run).stdout
}

/** The objects of the chart with these values. */
export async function rendered(values: object, home: string, ...args: readonly string[]): Promise<readonly KubeObject[]> {
  const text = await runHelm(['template', 'millrace', CHART, '--namespace', 'system', ...valuesArgs(values), ...args], home)
  return parseAllDocuments(text).flatMap(document => {
    if (document.errors.length > 0) throw document.errors[0]
    const object = document.toJS() as KubeObject | null
    return object === null ? [] : [object]
  })
}

export function valuesArgs(values: object): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`])
}
