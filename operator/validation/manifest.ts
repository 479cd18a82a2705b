import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml'
import type { OptionTable } from '../../runtime/common/config.ts'
import { type CheckedFlinkJob, type CheckedObject, checkFlinkJob, checkObject, fieldPath, type Problem } from './problems.ts'

/**
 * A manifest's text -> checked objects, or all problems as `file:line:column: field: message`.
 */
export type ParsedManifest =
  | { readonly kind: 'valid'; readonly job: CheckedFlinkJob; readonly scriptLine: number | undefined }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] }

export interface ParsedManifests {
  /** In the order of the file. */
  readonly objects: readonly ParsedObject[]
  readonly problems: readonly string[]
}

export interface ParsedObject {
  readonly checked: CheckedObject
  /** As its author wrote it. */
  readonly document: unknown
  /** Where an inline program begins in the file; undefined where its lines are not the file's. */
  readonly scriptLine: number | undefined
}

/** A file with one FlinkJob. */
export function parseManifest(text: string, fileName: string, optionTables: readonly OptionTable[]): ParsedManifest {
  const read = documentsOf(text, fileName)
  if (read.problems.length > 0) return { kind: 'invalid', problems: read.problems }
  const [document, second] = read.documents
  if (document === undefined) return { kind: 'invalid', problems: [read.at(0, 'the file is empty, expected a FlinkJob manifest')] }
  if (second !== undefined) {
    return {
      kind: 'invalid',
      problems: [read.at(offsetOf(second.node, []), `the file has ${read.documents.length} documents, expected one FlinkJob`)],
    }
  }
  const checked = checkFlinkJob(document.value, optionTables)
  if (checked.kind === 'invalid') return { kind: 'invalid', problems: placed(document.node, checked.problems, read.at) }
  return { kind: 'valid', job: checked.object, scriptLine: scriptLine(document.node, read.lines) }
}

/** A file with objects of any of our kinds. */
export function parseManifests(text: string, fileName: string, optionTables: readonly OptionTable[]): ParsedManifests {
  const read = documentsOf(text, fileName)
  if (read.problems.length > 0) return { objects: [], problems: read.problems }
  if (read.documents.length === 0)
    return { objects: [], problems: [read.at(0, 'the file is empty, expected manifests of FlinkJobs, FlinkSessions or FlinkSnapshots')] }
  const objects: ParsedObject[] = []
  const problems: string[] = []
  for (const { node, value } of read.documents) {
    const checked = checkObject(value, optionTables)
    if (checked.kind === 'invalid') problems.push(...placed(node, checked.problems, read.at))
    else objects.push({ checked: checked.object, document: value, scriptLine: scriptLine(node, read.lines) })
  }
  return { objects, problems }
}

type At = (offset: number, message: string) => string

function documentsOf(text: string, fileName: string) {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })
  const at: At = (offset, message) => {
    const { line, col } = lines.linePos(offset)
    return `${fileName}:${Math.max(1, line)}:${Math.max(1, col)}: ${message}`
  }
  const all = Array.isArray(parsed) ? parsed : []
  const problems = all.flatMap(node => [...node.errors.map(error => at(error.pos[0], sentence(error.message))), ...aliasProblems(node, at)])
  const documents: { readonly node: Document; readonly value: unknown }[] = []
  for (const node of problems.length > 0 ? [] : all) {
    try {
      const value: unknown = node.toJS()
      // A file that ends in `---` has an empty document at its end, which nobody meant.
      if (value !== null) documents.push({ node, value })
    } catch (error) {
      if (!(error instanceof ReferenceError)) throw error
      problems.push(at(offsetOf(node, []), 'its aliases stand for too many values'))
    }
  }
  return { documents, problems, lines, at }
}

/** Those that stand for nothing, or for what they are a part of. */
function aliasProblems(document: Document, at: At): string[] {
  const problems: string[] = []
  visit(document, {
    Alias(_, alias, around) {
      const { source } = alias
      const meant = alias.resolve(document)
      if (meant === undefined) problems.push(at(startOf(alias) ?? 0, `alias *${source}: expected an anchor &${source} before it`))
      else if (around.includes(meant)) problems.push(at(startOf(alias) ?? 0, `alias *${source}: stands for what it is a part of`))
    },
  })
  return problems
}

function placed(document: Document, problems: readonly Problem[], at: At): string[] {
  return problems
    .map(problem => ({ offset: offsetOf(document, problem.path, problem), problem }))
    .sort((a, b) => a.offset - b.offset)
    .map(({ offset, problem: { path, message } }) => at(offset, path.length === 0 ? message : `${fieldPath(path)}: ${message}`))
}

/** Offset of the field's name or value; of the nearest map around it where the field is not there. */
function offsetOf(document: Document, path: readonly (string | number)[], problem?: Problem): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [index, part] of path.entries()) {
    if (isMap(node)) {
      const pair: unknown = node.items.find(item => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part))
      if (!isPair(pair)) return offset
      const last = index === path.length - 1
      node = pair.value
      offset = (last && problem?.atKey !== true ? startOf(node) : undefined) ?? startOf(pair.key) ?? offset
    } else if (isSeq(node)) {
      node = node.items[Number(part)]
      offset = startOf(node) ?? offset
    } else {
      return offset
    }
  }
  return offset
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined
}

/** The line of the manifest on which a block of inline TypeScript or SQL begins; undefined where its lines are not the manifest's. */
function scriptLine(document: Document, lines: LineCounter): number | undefined {
  const node = document.getIn(['spec', 'job', 'script'], true) ?? document.getIn(['spec', 'job', 'sql'], true)
  if (!isScalar(node) || node.type !== 'BLOCK_LITERAL' || !node.range) return undefined
  return lines.linePos(node.range[0]).line + 1
}

function sentence(message: string): string {
  return message === '' ? message : `${message[0]?.toLowerCase()}${message.slice(1)}`
}
