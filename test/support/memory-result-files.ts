import type { ResultFile, ResultFiles } from '../../runtime/network/result-files.ts'

/** A disk for blocking results that is memory: how full it is, and what each call meets, are the test's to say. */
export class MemoryResultFiles implements ResultFiles {
  readonly files = new Map<string, Uint8Array>()
  /** Most bytes of all files together; the append that goes beyond is refused. */
  limit = Number.MAX_SAFE_INTEGER
  /** Awaited by each call. */
  before: () => Promise<void> = () => Promise.resolve()

  get bytes(): number {
    let sum = 0
    for (const { length } of this.files.values()) sum += length
    return sum
  }

  file(name: string): ResultFile {
    const path = `memory:/${name}`
    return {
      path,
      append: async parts => {
        await this.before()
        const added = Buffer.concat(parts)
        if (this.bytes + added.length > this.limit) throw new Error('ENOSPC: no space left on device, write')
        this.files.set(path, Buffer.concat([this.files.get(path) ?? new Uint8Array(0), added]))
      },
      read: async (position, length) => {
        await this.before()
        const bytes = this.files.get(path)
        if (bytes === undefined || position + length > bytes.length) throw new Error(`${path} has no bytes ${position} to ${position + length}`)
        return bytes.slice(position, position + length)
      },
      remove: async () => {
        await this.before()
        this.files.delete(path)
      },
    }
  }
}
