import { join } from 'node:path'
import type { JsonObject } from '../common/json.ts'
import type { IoContext, SinkTransport } from '../stream/spi/io-host.ts'
import { fileTransport } from './file-transport.ts'

/** Async half of a filesystem table: a folder with one file a subtask, named after the job, so that what is there stays. */
export function partFileTransport(options: JsonObject, context: IoContext): SinkTransport {
  const name = `part-${String(options['jobId'])}-${Number(options['subtaskIndex'])}-0`
  return fileTransport({ path: join(String(options['path']), name), parallelism: 1, subtaskIndex: 0, overwrite: true }, context)
}
