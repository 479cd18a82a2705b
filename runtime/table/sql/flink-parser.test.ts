import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { corpusStatements, recordedMutations } from '../../../test/support/sql-corpus.ts'
import { FlinkError } from '../../common/errors.ts'
import { parseStatement } from './parse.ts'

/** Answers of Flink 2.3's own parser, recorded by test/oracle/sql-parser/record.ts, and the committed list of where we differ and why. */
const folder = new URL('../../../test/sql/', import.meta.url)
const json = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
const recorded: { readonly corpus: string; readonly mutations: string } = json('flink-parser.json')
const deviations: {
  readonly refusedByName: readonly string[]
  readonly others: readonly { readonly statement: string; readonly ours: 'accepted' | 'refused'; readonly reason: string }[]
} = json('deviations.json')

interface Difference {
  readonly statement: string
  readonly ours: 'accepted' | 'refused'
}

function differences(statements: readonly string[], answers: string): { others: Difference[]; features: Set<string> } {
  const others: Difference[] = []
  const features = new Set<string>()
  statements.forEach((statement, i) => {
    const error = errorOf(statement)
    const flink = answers[i] === 'y'
    if ((error === undefined) === flink) return
    if (error?.code === 'UNSUPPORTED') features.add(String(error.detail['feature']))
    else others.push({ statement, ours: error === undefined ? 'accepted' : 'refused' })
  })
  return { others, features }
}

function errorOf(statement: string): FlinkError | undefined {
  try {
    parseStatement(statement)
    return undefined
  } catch (error) {
    if (error instanceof FlinkError) return error
    throw error
  }
}

const corpus = corpusStatements().map(({ text }) => text)
const mutated = recordedMutations()

test('there is an answer of Flink for every statement of the corpus and every recorded mutation', () => {
  expect([corpus.length >= 200, recorded.corpus.length]).toEqual([true, corpus.length])
  expect([mutated.length >= 1_000, recorded.mutations.length]).toEqual([true, mutated.length])
})

test('statements are accepted and refused as by Flink, but for the listed deviations', () => {
  const found = [differences(corpus, recorded.corpus), differences(mutated, recorded.mutations)]
  const expected = deviations.others.map(({ statement, ours }) => ({ statement, ours }))
  expect(found.flatMap(({ others }) => others)).toEqual(expected)
  expect([...new Set(found.flatMap(({ features }) => [...features]))].sort()).toEqual([...deviations.refusedByName].sort())
  expect(deviations.others.filter(({ reason }) => reason.length < 10)).toEqual([])
})
