import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { FlinkJob, FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'

/** One FlinkJob object with Kubernetes' rules: a write names the version that it has read, the spec's changes count generations. */
export interface FlinkJobStore {
  read(): Promise<FlinkJob>
  /** CONFLICT when somebody has written since `job` was read. */
  writeStatus(job: FlinkJob, status: FlinkJobStatus): Promise<FlinkJob>
  /** In an annotation. */
  noteJobId(job: FlinkJob, jobId: string): Promise<FlinkJob>
  writeSpec(job: FlinkJob, spec: FlinkJobSpec): Promise<FlinkJob>
  /** Sets `deletionTimestamp`, once. */
  markDeleted(job: FlinkJob, nowMs: number): Promise<FlinkJob>
}

/** The object as a file under `.millrace/`: whole or not at all, by renaming. Has one writer, the `up` that holds the directory's lock. */
export function createFileStore(path: string): FlinkJobStore & { create(job: FlinkJob): Promise<FlinkJob> } {
  const read = async (): Promise<FlinkJob> => {
    try {
      // Written by this store only.
      return JSON.parse(await readFile(path, 'utf8')) as FlinkJob
    } catch (error) {
      throw new FlinkError('NOT_FOUND', `FlinkJob ${path} cannot be read`, {}, error)
    }
  }
  const put = async (job: FlinkJob): Promise<FlinkJob> => {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.part`, `${JSON.stringify(job, undefined, 2)}\n`)
    await rename(`${path}.part`, path)
    return job
  }
  const update = async (job: FlinkJob, change: (current: FlinkJob) => FlinkJob): Promise<FlinkJob> => {
    const current = await read()
    if (current.metadata.resourceVersion !== job.metadata.resourceVersion) {
      throw new FlinkError('CONFLICT', `FlinkJob ${job.metadata.name} was changed by somebody else: read it again`)
    }
    const next = change(current)
    return put({ ...next, metadata: { ...next.metadata, resourceVersion: String(Number(current.metadata.resourceVersion) + 1) } })
  }
  return {
    read,
    create: put,
    writeStatus: (job, status) => update(job, current => ({ ...current, status })),
    noteJobId: (job, jobId) =>
      update(job, current => ({
        ...current,
        metadata: { ...current.metadata, annotations: { ...current.metadata.annotations, 'millrace.dev/job-id': jobId } },
      })),
    writeSpec: (job, spec) =>
      update(job, current => ({ ...current, spec, metadata: { ...current.metadata, generation: current.metadata.generation + 1 } })),
    markDeleted: (job, nowMs) =>
      update(job, current =>
        current.metadata.deletionTimestamp !== undefined
          ? current
          : { ...current, metadata: { ...current.metadata, deletionTimestamp: new Date(nowMs).toISOString() } },
      ),
  }
}
