import type { ByteWriter } from '../common/bytes.ts'

const encoder = new TextEncoder()

/** `text` in UTF-8 and a line feed, without a length in front. */
export function writeLine(text: string, writer: ByteWriter): void {
  writeText(text, writer)
  writer.u8(LF)
}

export function writeText(text: string, writer: ByteWriter): void {
  const start = writer.length
  // UTF-16 code units never take more than three bytes each.
  writer.reserve(text.length * 3)
  const { written } = encoder.encodeInto(text, writer.bytes.subarray(start))
  writer.length = start + written
}

/** Flink's prefixes: `id:subtask> `, `id> `, `subtask> ` or none; subtasks count from 1. */
export function printPrefix(id: string, subtaskIndex: number, parallelism: number): string {
  if (parallelism > 1) return id === '' ? `${subtaskIndex + 1}> ` : `${id}:${subtaskIndex + 1}> `
  return id === '' ? '' : `${id}> `
}

const LF = 10
