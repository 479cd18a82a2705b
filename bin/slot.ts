import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../runtime/common/assert.ts'
import type { SerializedError } from '../runtime/common/errors.ts'
import { SharedDoorbell } from '../runtime/network/doorbell.ts'
import { PageBudget } from '../runtime/network/page-pool.ts'
import { openArtifact } from '../runtime/planner/artifact.ts'
import { buildProgram, cleanStack, programFolder, userPosition } from '../runtime/planner/program.ts'
import { RingIoHost } from '../runtime/taskmanager/io-host-ring.ts'
import { type SlotWorkerData, startSlotWorker } from '../runtime/taskmanager/slot-worker.ts'

/** The thread of one slot: loads the job's program and runs its tasks. */
const self = new URL(import.meta.url)
const apiUrl = new URL(self.pathname.endsWith('.ts') ? './api.ts' : './api.js', self).href
const data = workerData as SlotWorkerData
let programRoot: string | undefined
assert(parentPort !== null, 'a slot is a worker thread')

// Only a new context gets the function; the flag is the process's, and nothing else looks at it.
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

startSlotWorker({
  port: parentPort,
  data,
  async loadProgram(artifactPath, deployment) {
    const folder = join(dirname(artifactPath), 'unpacked')
    programRoot = programFolder(folder, deployment.artifact.digest)
    // At once: a thread that is ended while an asynchronous open is under way leaves the file open in the process for ever.
    const artifact = openArtifact(readFileSync(artifactPath), deployment.artifact.digest)
    const { streamGraph } = await buildProgram(artifact, {
      apiUrl,
      folder,
      entry: deployment.artifact.entry,
      args: deployment.args,
      settings: { client: deployment.configuration, runtimeMode: deployment.runtimeMode },
    })
    return streamGraph
  },
  describeError(error) {
    if (programRoot === undefined) return error
    const root = programRoot
    // The innermost cause is what the user's code threw.
    const positions: string[] = []
    const clean = (link: SerializedError): SerializedError => {
      const at = userPosition(link.stack, root)
      if (at !== undefined) positions.push(at)
      return { ...link, stack: cleanStack(link.stack, root), cause: link.cause === undefined ? undefined : clean(link.cause) }
    }
    const cleaned = clean(error)
    const at = positions.at(-1)
    return at === undefined || cleaned.message.includes(at)
      ? cleaned
      : { ...cleaned, message: `${cleaned.message} (${at})`, stack: cleaned.stack.replace(cleaned.message, `${cleaned.message} (${at})`) }
  },
  createIoHost(ioPort) {
    const ioBell = data.doorbells.at(-1)
    assert(ioBell !== undefined, "the last doorbell is the I/O worker's")
    return new RingIoHost({
      post: message => ioPort.postMessage(message),
      ioBell: new SharedDoorbell(ioBell),
      pages: new PageBudget(data.pageBudget),
    })
  },
  collectGarbage,
})
