import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { assert } from '../common/assert.ts'
import { type ObjectFile, objectFile } from '../state/state-files.ts'

/** Where local copies of state lie; paths are `<job>/<object>`. */
export interface CopyFiles {
  write(path: string, bytes: Uint8Array): Promise<void>
  read(path: string): Promise<Uint8Array>
  /** The same as a file, with its checksum; absent = they are in memory. */
  file?(path: string): Promise<ObjectFile>
  /** The last one of a job takes the job's folder with it. */
  remove(path: string): Promise<void>
}

/** On disks of this machine, in turn. Nothing is synced: whoever loses what is in the page cache has lost the TaskManager as well. */
export function copyFilesIn(directories: readonly string[]): CopyFiles {
  let next = 0
  const places = new Map<string, string>()
  const placeOf = (path: string) => {
    const place = places.get(path)
    assert(place !== undefined, 'a copy is read and removed after it was written')
    return place
  }
  return {
    async write(path, bytes) {
      const place = join(directories[next++ % directories.length] ?? '', path)
      places.set(path, place)
      await mkdir(dirname(place), { recursive: true })
      await writeFile(place, bytes)
    },
    read: path => readFile(placeOf(path)),
    file: path => objectFile(placeOf(path)),
    async remove(path) {
      const place = placeOf(path)
      places.delete(path)
      await rm(place, { force: true })
      // Fails while it has others.
      await rmdir(dirname(place)).catch(() => {})
    },
  }
}
