import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { KubeObject } from '../kube/object-api.ts'

/** Objects of one kind and namespace as files in a folder, each whole or not at all, for an API server in memory that is to be followed by another one. */
export interface ObjectFiles {
  readonly objects: readonly KubeObject[]
  persist(change: { readonly object: KubeObject; readonly isRemoved: boolean }): Promise<void>
}

const SUFFIX = '.json'

export async function openObjectFiles(folder: string): Promise<ObjectFiles> {
  try {
    await mkdir(folder, { recursive: true })
    const names = (await readdir(folder)).filter(name => name.endsWith(SUFFIX)).sort()
    const objects = await Promise.all(names.map(name => readObject(join(folder, name))))
    return { objects, persist: change => persist(folder, change) }
  } catch (error) {
    throw asFlinkError(folder, error)
  }
}

async function readObject(path: string): Promise<KubeObject> {
  try {
    // Written by `persist` only.
    return JSON.parse(await readFile(path, 'utf8')) as KubeObject
  } catch (error) {
    throw asFlinkError(path, error)
  }
}

async function persist(folder: string, { object, isRemoved }: { readonly object: KubeObject; readonly isRemoved: boolean }): Promise<void> {
  const path = join(folder, `${object.metadata.name}${SUFFIX}`)
  try {
    if (isRemoved) await rm(path, { force: true })
    else {
      await writeFile(`${path}.part`, `${JSON.stringify(object, undefined, 2)}\n`)
      await rename(`${path}.part`, path)
    }
  } catch (error) {
    throw asFlinkError(path, error)
  }
}

function asFlinkError(path: string, error: unknown): FlinkError {
  if (error instanceof FlinkError) return error
  return new FlinkError('EXTERNAL_SYSTEM', `objects at ${path}: ${error instanceof Error ? error.message : String(error)}`, {}, error)
}
