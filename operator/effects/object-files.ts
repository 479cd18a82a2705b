import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { KubeObject, ResourceType } from '../kube/object-api.ts'
import { flinkJobs, typeOf } from '../kube/resources.ts'

/**
 * Objects of an API server in memory as files, `<folder>/<plural>/<namespace>/<name>.json`, each whole or not at all. A FlinkJob that is removed leaves its last state: after
 * an `up` has ended its file says how that went.
 */
export async function persistObject(
  folder: string,
  { object, isRemoved }: { readonly object: KubeObject; readonly isRemoved: boolean },
): Promise<void> {
  const type = typeOf(object)
  const path = join(folder, type.plural, object.metadata.namespace, `${object.metadata.name}${SUFFIX}`)
  try {
    if (isRemoved && type !== flinkJobs) await rm(path, { force: true })
    else {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(`${path}.part`, `${JSON.stringify(object, undefined, 2)}\n`)
      await rename(`${path}.part`, path)
    }
  } catch (error) {
    throw asFlinkError(path, error)
  }
}

const SUFFIX = '.json'

/** All of a kind. */
export async function readObjects(folder: string, { plural }: ResourceType): Promise<readonly KubeObject[]> {
  const root = join(folder, plural)
  try {
    const names = await readdir(root, { recursive: true })
    return await Promise.all(names.filter(name => name.endsWith(SUFFIX)).map(name => readObject(join(root, name))))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw asFlinkError(root, error)
  }
}

async function readObject(path: string): Promise<KubeObject> {
  try {
    // Written by `persistObject` only.
    return JSON.parse(await readFile(path, 'utf8')) as KubeObject
  } catch (error) {
    throw asFlinkError(path, error)
  }
}

function asFlinkError(path: string, error: unknown): FlinkError {
  if (error instanceof FlinkError) return error
  return new FlinkError('EXTERNAL_SYSTEM', `objects at ${path}: ${error instanceof Error ? error.message : String(error)}`, {}, error)
}
