import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { notedProcess, writeNote } from '../effects/child-processes.ts'

/** Where the API servers of the running `up`s are, for who runs them: a file each, beside a note by which one that has died is told. */
export interface ServerRecord {
  readonly pid: number
  readonly url: string
  readonly token: string
}

/** Answers what takes it back. */
export function writeServerRecord(folder: string, record: ServerRecord): () => void {
  mkdirSync(folder, { recursive: true })
  const [notePath, path] = [join(folder, `${record.pid}.pid`), join(folder, `${record.pid}.json`)]
  writeNote(notePath, record.pid)
  writeFileSync(path, JSON.stringify(record), { mode: 0o600 })
  return () => {
    rmSync(path, { force: true })
    rmSync(notePath, { force: true })
  }
}

/** Of those that live. */
export function serverRecords(folder: string): readonly ServerRecord[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  return names
    .filter(name => name.endsWith('.json'))
    .flatMap(name => {
      if (notedProcess(join(folder, name.replace(/json$/, 'pid'))) === undefined) return []
      try {
        // Written by `writeServerRecord` only.
        return [JSON.parse(readFileSync(join(folder, name), 'utf8')) as ServerRecord]
      } catch {
        // It has just ended.
        return []
      }
    })
}
