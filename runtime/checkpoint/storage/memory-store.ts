import { beyondEnd, checkPath, checkRange, type ObjectStore } from './object-store.ts'

export interface MemoryStore extends ObjectStore {
  /** All of them, at once: for who may look at the memory. */
  paths(): readonly string[]
}

/** `execution.checkpointing.storage: jobmanager`: lost with the process, and no other process can take over from it. */
export function createMemoryStore(uri = 'jobmanager'): MemoryStore {
  const objects = new Map<string, Uint8Array>()
  return {
    uri,
    paths: () => [...objects.keys()],
    async create(path, bytes) {
      if (objects.has(checkPath(path))) return 'exists'
      objects.set(path, bytes.slice())
      return 'created'
    },
    async read(path, range) {
      checkRange(path, range)
      const bytes = objects.get(checkPath(path))
      if (bytes === undefined || range === undefined) return bytes?.slice()
      const end = range.offset + range.length
      if (end > bytes.length) throw beyondEnd(uri, path, range, bytes.length)
      return bytes.slice(range.offset, end)
    },
    async size(path) {
      return objects.get(checkPath(path))?.length
    },
    async list(folder) {
      const prefix = `${checkPath(folder)}/`
      return [...objects.keys()].filter(path => path.startsWith(prefix)).sort()
    },
    async remove(path) {
      objects.delete(checkPath(path))
    },
  }
}
