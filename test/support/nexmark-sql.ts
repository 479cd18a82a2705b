import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nexmarkLines } from '../../bench/generate/nexmark.ts'

/** Scripts of bench/sql over events as JSON lines, with a folder of csv files behind them: what we and a real Flink are given alike. */
export const NEXMARK_EVENTS = 200_000
export const nexmarkScripts = ['nexmark-q0', 'nexmark-q1', 'nexmark-q2', 'nexmark-q22', 'tumble', 'hop'] as const

export function writeNexmarkInput(path: string): Promise<void> {
  return writeFile(path, nexmarkLines(NEXMARK_EVENTS))
}

export function nexmarkScript(name: (typeof nexmarkScripts)[number], input: string, output: string): string {
  return readFileSync(join(import.meta.dirname, '../../bench/sql', `${name}.sql`), 'utf8')
    .replace('${input}', input)
    .replace('${sink}', `'connector' = 'filesystem', 'path' = '${output}', 'format' = 'csv'`)
}
