import type { Clock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import { connectorRegistry, enumeratorRegistry } from '../../runtime/connectors/registry.ts'
import type { SlotDeployment } from '../../runtime/graph/deployment.ts'
import type { StreamGraph } from '../../runtime/graph/stream-graph.ts'
import type { ConnectorRegistry } from '../../runtime/stream/spi/io-host.ts'
import { InProcessNetwork, InProcessSlotHosts } from '../../runtime/taskmanager/in-process-slot-hosts.ts'
import { LocalIoHost } from '../../runtime/taskmanager/io-host-local.ts'
import { IoRuntime } from '../../runtime/taskmanager/io-runtime.ts'
import '../../bin/api.ts'
import type { SnapshotLimits } from '../../runtime/state/keyed-snapshots.ts'
import type { MemoryResultFiles } from './memory-result-files.ts'
import { SimCluster, type SimClusterOptions } from './sim-cluster.ts'

/**
 * The whole engine from one seed: a real program over real slots, tasks, channels and connectors, deployed by the real control plane, on simulated time and
 * a network that delays, drops and doubles control messages. Turns of different slots interleave differently with each seed.
 */
export interface EngineClusterOptions extends Omit<SimClusterOptions, 'hosts' | 'enumerators'> {
  /** Of the job that is deployed; most clusters have one. */
  build(deployment: SlotDeployment): StreamGraph
  /** Every row and every unit of a cursor may be the last of its slice. */
  readonly suspendEverywhere: boolean
  /** Async halves in place of those that the engine comes with, by name. */
  readonly sinks?: ConnectorRegistry['sinks']
  readonly snapshotLimits?: SnapshotLimits | undefined
  /** Where a TaskManager's blocking results lie; absent = in memory. */
  results?(clock: Clock, random: Random): { readonly memoryLimit: number; readonly files: MemoryResultFiles }
}

export class EngineCluster extends SimCluster {
  readonly printed: { text: string }
  /** Of all TaskManagers there have been, in the order of their start. */
  readonly resultFiles: MemoryResultFiles[]

  constructor({ build, suspendEverywhere, sinks, snapshotLimits, results, ...options }: EngineClusterOptions) {
    const network = new InProcessNetwork()
    const printed = { text: '' }
    const resultFiles: MemoryResultFiles[] = []
    super({
      ...options,
      enumerators: enumeratorRegistry,
      hosts: (id, { clock, random }) => {
        const io = new IoRuntime({
          registry: { ...connectorRegistry, sinks: { ...connectorRegistry.sinks, ...sinks } },
          clock,
          log: noLog,
          taskManager: {
            id,
            stdout: bytes => {
              printed.text += Buffer.from(bytes).toString('utf8')
            },
            stderr: () => {},
          },
        })
        const resultStorage = results?.(clock, random)
        if (resultStorage !== undefined) resultFiles.push(resultStorage.files)
        return new InProcessSlotHosts({
          clock,
          random,
          network,
          post: callback => void clock.schedule(random.next() * 5, callback),
          loadProgram: deployment => Promise.resolve(build(deployment)),
          createIoHost: wake => new LocalIoHost(io, wake),
          suspendEverywhere,
          snapshotLimits,
          ...(resultStorage === undefined ? {} : { results: resultStorage }),
        })
      },
    })
    this.printed = printed
    this.resultFiles = resultFiles
  }
}
