import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlinkError } from '../common/errors.ts'
import { hex } from '../common/ids.ts'
import type { Random } from '../common/random.ts'

/** Code bundles by content: a digest is put once, never changed, and what is read is what was put. */
export interface ArtifactStore {
  put(digest: string, bytes: Uint8Array): Promise<void>
  get(digest: string): Promise<Uint8Array | undefined>
  /** One that is not there is no error. */
  delete(digest: string): Promise<void>
}

export function createMemoryArtifactStore(): ArtifactStore {
  const artifacts = new Map<string, Uint8Array>()
  return {
    async put(digest, bytes) {
      checkDigest(digest, bytes)
      artifacts.set(digest, bytes.slice())
    },
    async get(digest) {
      return artifacts.get(digest)
    },
    async delete(digest) {
      artifacts.delete(digest)
    },
  }
}

export function createFileArtifactStore(folder: string, random: Random): ArtifactStore {
  return {
    async put(digest, bytes) {
      checkDigest(digest, bytes)
      await mkdir(folder, { recursive: true })
      // Written beside and renamed: a reader sees all of it or nothing.
      const temporary = join(folder, `${digest}.${hex(random.bytes(8))}.tmp`)
      await writeFile(temporary, bytes)
      await rename(temporary, join(folder, digest))
    },
    async get(digest) {
      if (!DIGEST.test(digest)) return undefined
      try {
        return await readFile(join(folder, digest))
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
        throw new FlinkError('EXTERNAL_SYSTEM', `code bundle ${digest} cannot be read`, {}, error)
      }
    },
    async delete(digest) {
      if (DIGEST.test(digest)) await rm(join(folder, digest), { force: true })
    },
  }
}

const DIGEST = /^[0-9a-f]{64}$/

function checkDigest(digest: string, bytes: Uint8Array): void {
  const actual = createHash('sha256').update(bytes).digest('hex')
  if (actual !== digest) throw new FlinkError('INVALID_ARGUMENT', `code bundle has digest ${actual}, not ${digest}`)
}
