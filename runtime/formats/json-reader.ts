import { FlinkError } from '../common/errors.ts'
import { utf8Text } from '../common/utf8.ts'
import type { FormatField } from './column-type.ts'
import { CLOSE_BRACE, COMMA, FAILED, type JsonScanner, MISSING, NULL, OBJECT, OPEN_BRACE, QUOTE, STRING, unescaped } from './json-scan.ts'
import { malformedValue, putJsonValue, type Slot, type TimestampStandard } from './json-values.ts'
import type { RowSink } from './row-sink.ts'

/**
 * The general reader of JSON records: any order of keys, any blanks, anything between. It scans a record, noting where the value of each wanted
 * key stands (the last one of a key counts), and converts afterwards. It says what a record is; generated readers only say it faster.
 */
export interface JsonReadOptions {
  readonly failOnMissingField: boolean
  readonly ignoreParseErrors: boolean
  readonly timestampStandard: TimestampStandard
}

/** The wanted keys of one object. */
export interface KeyNode {
  readonly children: Map<string, KeyNode>
  /** Columns that hold the value itself, and all columns of it and below. */
  readonly columns: number[]
  readonly below: number[]
}

/** The value above these columns is no object. */
const NO_OBJECT = 9

export function keyTree(fields: readonly FormatField[]): KeyNode {
  const root: KeyNode = { children: new Map(), columns: [], below: [] }
  for (const [i, field] of fields.entries()) {
    let node = root
    for (const key of field.path) {
      let child = node.children.get(key)
      if (child === undefined) {
        child = { children: new Map(), columns: [], below: [] }
        node.children.set(key, child)
      }
      child.below.push(i)
      node = child
    }
    node.columns.push(i)
  }
  return root
}

export class JsonReader {
  readonly fields: readonly FormatField[]
  readonly options: JsonReadOptions
  readonly tree: KeyNode
  readonly scanner: JsonScanner
  private readonly slots: readonly Slot[]

  constructor(fields: readonly FormatField[], options: JsonReadOptions, scanner: JsonScanner) {
    this.fields = fields
    this.options = options
    this.tree = keyTree(fields)
    this.scanner = scanner
    this.slots = fields.map(() => ({ kind: MISSING, from: 0, to: 0, escaped: false }))
  }

  /** Reads the record `[from, to)` into the sink's row; undefined when it is one row more, else why not. */
  read(data: Uint8Array, from: number, to: number, sink: RowSink): FlinkError | undefined {
    const { scanner } = this
    const end = scanner.to
    scanner.data = data
    scanner.to = to
    const error = this.scan(from) ? this.put(data, from, sink) : this.malformed()
    scanner.to = end
    if (error === undefined) sink.count++
    return error
  }

  /** One value, for the generated readers: answers its end. */
  readValue(column: number, from: number, sink: RowSink): number {
    const { scanner } = this
    const end = scanner.value(from, 1)
    if (end < 0 || scanner.kind >= OBJECT) return FAILED
    const slot = this.slots[column]!
    this.note(slot, from, end)
    const target = sink.columns[column]!
    if (slot.kind === NULL) target.setNull(sink.count)
    else if (!putJsonValue(this.fields[column]!, target, sink.count, scanner.data, slot, this.options.timestampStandard)) return FAILED
    return end
  }

  private scan(from: number): boolean {
    const { scanner, slots } = this
    for (let i = 0; i < slots.length; i++) slots[i]!.kind = MISSING
    let at = scanner.space(from + markLength(scanner.data, from, scanner.to))
    if (at >= scanner.to) return scanner.fail(at, '') >= 0
    if (scanner.data[at] !== OPEN_BRACE) return scanner.fail(at, 'an object is expected') >= 0
    at = this.object(at + 1, this.tree, 1)
    if (at < 0) return false
    at = scanner.space(at)
    return at === scanner.to || scanner.fail(at, 'something stands behind the object') >= 0
  }

  /** From behind the opening brace to behind the closing one. */
  private object(from: number, node: KeyNode, depth: number): number {
    const { scanner } = this
    const { data, to } = scanner
    let at = scanner.space(from)
    if (at < to && data[at] === CLOSE_BRACE) return at + 1
    for (;;) {
      if (at >= to || data[at] !== QUOTE) return scanner.fail(at, 'a key is expected')
      const end = scanner.string(at + 1)
      if (end < 0) return FAILED
      const child = node.children.size === 0 ? undefined : node.children.get(keyText(data, at + 1, end, scanner.escaped))
      at = scanner.colon(end + 1)
      if (at < 0) return FAILED
      at = child === undefined ? scanner.value(at, depth) : this.wanted(at, child, depth)
      if (at < 0) return FAILED
      at = scanner.space(at)
      if (at < to && data[at] === CLOSE_BRACE) return at + 1
      if (at >= to || data[at] !== COMMA) return scanner.fail(at, 'a comma is expected')
      at = scanner.space(at + 1)
    }
  }

  private wanted(from: number, node: KeyNode, depth: number): number {
    const { scanner, slots } = this
    const nested = node.children.size > 0
    // What an earlier value of the same key said no longer counts.
    if (nested) for (const column of node.below) slots[column]!.kind = MISSING
    const opens = nested && from < scanner.to && scanner.data[from] === OPEN_BRACE
    const end = opens ? this.object(from + 1, node, depth + 1) : scanner.value(from, depth)
    if (end < 0) return FAILED
    if (opens) scanner.kind = OBJECT
    else if (nested) for (const column of node.below) slots[column]!.kind = scanner.kind === NULL ? NULL : NO_OBJECT
    for (const column of node.columns) this.note(slots[column]!, from, end)
    return end
  }

  private note(slot: Slot, from: number, end: number): void {
    const { scanner } = this
    const string = scanner.kind === STRING
    slot.kind = scanner.kind
    slot.from = string ? from + 1 : from
    slot.to = string ? end - 1 : end
    slot.escaped = string && scanner.escaped
  }

  private put(data: Uint8Array, from: number, sink: RowSink): FlinkError | undefined {
    const { fields, slots, options } = this
    const row = sink.count
    sink.resetRow()
    for (let i = 0; i < fields.length; i++) {
      const slot = slots[i]!
      const field = fields[i]!
      const column = sink.columns[i]!
      if (slot.kind === NULL) {
        column.setNull(row)
      } else if (slot.kind === MISSING) {
        if (options.failOnMissingField && !options.ignoreParseErrors)
          return new FlinkError('MALFORMED_RECORD', `json record: column ${field.name} is missing`, {
            column: field.name,
            offset: from,
            kind: 'missing',
          })
        column.setNull(row)
      } else if (slot.kind === NO_OBJECT || !putJsonValue(field, column, row, data, slot, options.timestampStandard)) {
        if (!options.ignoreParseErrors) return malformedValue('json', field, data, slot, from)
        column.setNull(row)
      }
    }
    return undefined
  }

  private malformed(): FlinkError {
    const { problem, problemAt } = this.scanner
    return new FlinkError('MALFORMED_RECORD', `json record does not parse: ${problem}`, { offset: problemAt, kind: 'syntax' })
  }
}

function keyText(data: Uint8Array, from: number, to: number, escaped: boolean): string {
  if (!escaped) return utf8Text(data, from, to)
  const bytes = unescaped(data, from, to)
  return utf8Text(bytes, 0, bytes.length)
}

/** A byte order mark in front of a record is no part of it. */
export function markLength(data: Uint8Array, from: number, to: number): number {
  return from + 3 <= to && data[from] === 0xef && data[from + 1] === 0xbb && data[from + 2] === 0xbf ? 3 : 0
}
