import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../runtime/common/assert.ts'
import { serializeError } from '../runtime/common/errors.ts'
import { connectorRegistry } from '../runtime/connectors/registry.ts'
import { type IoReply, type IoThreadData, startIoThread } from '../runtime/taskmanager/io-thread.ts'

/** The I/O worker of a TaskManager. */
const port = parentPort
assert(port !== null, 'the I/O worker is a worker thread')
startIoThread(port, workerData as IoThreadData, connectorRegistry).catch(error =>
  port.postMessage({ kind: 'failed', error: serializeError(error) } satisfies IoReply),
)
