import { fileURLToPath } from 'node:url'
import { FlinkError } from '../common/errors.ts'

/** A path, or a `file:` URL as Flink's users write them. */
export function localPath(path: string): string {
  if (path.startsWith('file://')) return fileURLToPath(path)
  if (path.startsWith('file:')) return path.slice('file:'.length)
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(path)?.[1]
  if (scheme !== undefined) throw new FlinkError('UNSUPPORTED', `file system ${scheme} is not supported yet: ${path}`)
  return path
}
