import { FlinkError } from '../common/errors.ts'
import { hex } from '../common/ids.ts'
import type { Random } from '../common/random.ts'
import { type CheckpointBody, decodeBody, encodeBody } from './checkpoint-body.ts'
import { objectName } from './storage/epoch-log.ts'
import { decodeManifest, encodeManifest, type ManifestHead, stateBytes } from './storage/manifest.ts'
import { createOwn, isPath, type ObjectStore } from './storage/object-store.ts'

/**
 * A savepoint: all of a job's state in one folder, which is nobody's but the user's.
 *
 *   <target>/savepoint-<6 hex of the job's id>-<12 hex>/_metadata   the manifest: the savepoint is there when this is there
 *   <target>/savepoint-<..>-<..>/<name>                            what is too large for the manifest, named relative to it
 *
 * Written by TaskManagers (objects) and then by the JobManager (manifest). No name of another folder is in it, so it can be moved and copied as a whole.
 * It is found by the path of its folder, or of its `_metadata`. A checkpoint that a job has left is found the same way, `<dir>/<job-id>/chk-<n>`: its
 * objects are in `<dir>/<job-id>/shared`, so it cannot be moved.
 */
export interface SavepointTarget {
  /** Where somebody has asked for it. */
  readonly store: ObjectStore
  readonly folder: string
}

const METADATA = '_metadata'

export function newSavepointFolder(jobId: string, random: Random): string {
  return `savepoint-${jobId.slice(0, 6)}-${hex(random.bytes(6))}`
}

export function locationOf({ store, folder }: SavepointTarget): string {
  return `${store.uri.replace(/\/+$/, '')}/${folder}`
}

/** The target and the folder of a location that `locationOf` has made. */
export function splitLocation(location: string): { readonly target: string; readonly folder: string } {
  const at = location.lastIndexOf('/')
  return { target: location.slice(0, at), folder: location.slice(at + 1) }
}

/** Its objects are written; afterwards it exists. */
export async function writeSavepoint(
  { store, folder }: SavepointTarget,
  head: Omit<ManifestHead, 'objectsFolder'>,
  body: CheckpointBody,
): Promise<void> {
  await checkObjects(store, `${folder}/`, head.objects)
  const bytes = encodeManifest({ head: { ...head, objectsFolder: '' }, body: encodeBody(body) })
  await createOwn(store, `${folder}/${METADATA}`, bytes)
}

/** What was written of one that did not come about; another try may be writing beside it. What a slow TaskManager still writes stays. */
export async function removeUnfinished({ store, folder }: SavepointTarget, checkpointId: number): Promise<void> {
  for (const path of await store.list(folder)) if (path.startsWith(`${folder}/${objectName(checkpointId, '')}`)) await store.remove(path)
}

/** Opens the folder at a URI for reading: nothing is made there, and nothing tried out. */
export type FolderOpener = (uri: string) => Promise<ObjectStore>

/** A savepoint, or a checkpoint that a job has left. */
export interface ExternalSnapshot {
  /** Of the folder with its manifest. */
  readonly location: string
  /** URI of the folder that its objects lie in. */
  readonly objectsLocation: string
  readonly isSavepoint: boolean
  readonly head: ManifestHead
  readonly body: CheckpointBody
  /** Of the state: what the manifest holds of it, and its objects. */
  readonly sizeBytes: number
}

/** All that has to be there is looked at: the manifest is read whole, of objects the length. CORRUPT_CHECKPOINT and INVALID_ARGUMENT name the path. */
export async function readSnapshot(path: string, open: FolderOpener): Promise<ExternalSnapshot> {
  const { snapshot, objects, prefix } = await findSnapshot(path, open)
  await checkObjects(objects, prefix, snapshot.head.objects)
  return snapshot
}

/** Only a savepoint: what a job has left may hold objects that other checkpoints of it need. */
export async function disposeSavepoint(path: string, open: FolderOpener): Promise<void> {
  const { snapshot } = await findSnapshot(path, open)
  if (!snapshot.isSavepoint)
    throw new FlinkError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(path)} is no savepoint, but checkpoint ${snapshot.head.checkpointId} of job ${snapshot.head.jobId}`,
    )
  await disposeSnapshot(path, open)
}

/** Its manifest only: whether all of its objects are there is found out by whoever restores it. */
export async function readSnapshotHead(path: string, open: FolderOpener): Promise<ExternalSnapshot> {
  return (await findSnapshot(path, open)).snapshot
}

/** As `newSavepointFolder` names them. So does Flink, whose savepoints are told apart by their manifests. */
const OWN_FOLDER = /^savepoint-[0-9a-f]{6}-[0-9a-f]{12}$/
/** As TaskManagers name what they write there: by checkpoint and execution. */
const OWN_OBJECT = /^\d+-[0-9a-f]{32}$/

/**
 * Removes a savepoint straight at the store, in the folder that it was taken in, and what an earlier try has left of it: that it is gone is no error. Anything
 * else is refused and left alone, what lies beside a savepoint's own files too.
 */
export async function removeSavepoint(path: string, open: FolderOpener): Promise<void> {
  const refuse = (why: string) => new FlinkError('INVALID_ARGUMENT', `${JSON.stringify(path)} cannot be disposed of: ${why}`)
  const { target, folder } = splitLocation(folderOf(path))
  if (!OWN_FOLDER.test(folder)) throw refuse('expected the folder of a savepoint, savepoint-<6 hexadecimal digits>-<12 hexadecimal digits>')
  const store = await open(target)
  const bytes = await store.read(`${folder}/${METADATA}`)
  const head = bytes === undefined ? undefined : decodeManifest(bytes, `${folder}/${METADATA} of ${store.uri}`).head
  if (head !== undefined && head.objectsFolder !== '') throw refuse(`it is checkpoint ${head.checkpointId} of job ${head.jobId}, and no savepoint`)
  const own = new Set(head?.objects.map(({ name }) => name))
  // The manifest first: what is left behind when this is cut short is no savepoint.
  await store.remove(`${folder}/${METADATA}`)
  for (const object of await store.list(folder)) {
    const name = object.slice(folder.length + 1)
    if (own.has(name) || OWN_OBJECT.test(name)) await store.remove(object)
  }
}

/** The manifest first: what is left behind when it is cut short is no savepoint. */
export async function disposeSnapshot(path: string, open: FolderOpener): Promise<void> {
  const { manifest, snapshot, objects, prefix } = await findSnapshot(path, open)
  const { target, folder } = splitLocation(snapshot.location)
  if (snapshot.isSavepoint && isPath(folder)) {
    // From outside, so that the folder goes as well.
    const outside = await open(target)
    for (const name of [METADATA, ...snapshot.head.objects.map(object => object.name)]) await outside.remove(`${folder}/${name}`)
    return
  }
  await manifest.remove(METADATA)
  for (const { name } of snapshot.head.objects) await objects.remove(`${prefix}${name}`)
}

async function findSnapshot(path: string, open: FolderOpener) {
  const location = folderOf(path)
  const manifest = await open(location)
  const bytes = await manifest.read(METADATA)
  if (bytes === undefined)
    throw new FlinkError(
      'INVALID_ARGUMENT',
      `there is no savepoint at ${JSON.stringify(path)}: cannot find the file "${METADATA}" in it; expected the folder of a savepoint, or of a checkpoint that a job has left (chk-<n>)`,
    )
  const { head, body } = decodeManifest(bytes, `${METADATA} of ${location}`)
  const isSavepoint = head.objectsFolder === ''
  const jobFolder = splitLocation(location).target
  const objects = isSavepoint ? manifest : await open(jobFolder)
  const prefix = isSavepoint ? '' : 'shared/'
  const objectsLocation = isSavepoint ? location : `${jobFolder}/shared`
  const snapshot: ExternalSnapshot = { location, objectsLocation, isSavepoint, head, body: decodeBody(body), sizeBytes: stateBytes({ head, body }) }
  return { manifest, snapshot, objects, prefix }
}

/** Of the folder, or of the manifest in it. */
function folderOf(path: string): string {
  const folder = path.replace(/\/+$/, '').replace(/\/+_metadata$/, '')
  return folder.replace(/\/+$/, '')
}

async function checkObjects(store: ObjectStore, prefix: string, objects: ManifestHead['objects']): Promise<void> {
  for (const { name, size } of objects) {
    const found = await store.size(`${prefix}${name}`)
    if (found === size) continue
    throw new FlinkError(
      'CORRUPT_CHECKPOINT',
      found === undefined
        ? `object ${prefix}${name} of ${store.uri} is missing`
        : `object ${prefix}${name} of ${store.uri} has ${found} bytes, ${size} were written`,
    )
  }
}
