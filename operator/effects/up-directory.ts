import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { endNotedProcesses, notedProcess, writeNote } from './child-processes.ts'

/**
 * The directory of one FlinkJob or FlinkSession under `.millrace/`, held by one `up` at a time:
 *
 *   owner.pid       who holds it
 *   cluster/run/    processes           cluster/log/    their logs and what the job printed, kept until the next start
 *   cluster/state/  checkpoints, kept until the next start, and savepoints, kept for good
 *
 * An `up` that was killed leaves its note behind. The next one sees that nobody lives there, ends processes of it that are still on their
 * way out, and starts with a cluster directory that has nothing but savepoints: people were told where they lie, and begin with them.
 */
export interface UpDirectory {
  readonly clusterDirectory: string
  /** Removes everything but the logs. */
  release(): void
}

const RECOVERY_TIMEOUT_MS = 10_000

export async function holdDirectory(
  path: string,
  /** Its kind and name. */
  displayName: string,
  clock: Clock,
  ownPid: number,
  note: (text: string) => void,
  /** This process has held it before: what the one before has printed is still being read. */
  isHeldAgain = false,
): Promise<UpDirectory> {
  mkdirSync(path, { recursive: true })
  const ownerPath = join(path, 'owner.pid')
  const cluster = join(path, 'cluster')
  claim(ownerPath, displayName)
  writeNote(ownerPath, ownPid)
  const ended = await endNotedProcesses(join(cluster, 'run'), clock, RECOVERY_TIMEOUT_MS)
  if (ended > 0) note(`ended ${ended} ${ended === 1 ? 'process' : 'processes'} of an earlier run`)
  if (!isHeldAgain)
    for (const path of [...allBut('state', cluster), ...allBut('savepoints', join(cluster, 'state'))]) rmSync(path, { recursive: true, force: true })
  return {
    clusterDirectory: cluster,
    release() {
      for (const name of ['run', 'artifacts', 'uploads', 'planner', 'cluster-token']) rmSync(join(cluster, name), { recursive: true, force: true })
      rmSync(ownerPath, { force: true })
    },
  }
}

function allBut(kept: string, folder: string): readonly string[] {
  const names = existsSync(folder) ? readdirSync(folder) : []
  return names.filter(name => name !== kept).map(name => join(folder, name))
}

function claim(ownerPath: string, displayName: string): void {
  for (;;) {
    try {
      closeSync(openSync(ownerPath, 'wx'))
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = notedProcess(ownerPath)
    if (owner !== undefined) {
      throw new FlinkError('CONFLICT', `${displayName} is up already, run by process ${owner}: end that one first, or give this one another name`)
    }
    rmSync(ownerPath, { force: true })
  }
}
