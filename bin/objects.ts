import { join, resolve } from 'node:path'
import { createObjectCommands } from '../operator/cli/object-actions.ts'
import type { ObjectCommands } from '../operator/cli/object-commands.ts'
import { serverRecords } from '../operator/cli/server-records.ts'
import { readObjects } from '../operator/effects/object-files.ts'
import { KubeApi } from '../operator/kube/kube-api.ts'
import { withToken } from '../operator/kube/kube-auth.ts'
import { LocalApiServer } from '../operator/kube/local-api-server.ts'
import { resourceTypes } from '../operator/kube/resources.ts'
import type { CliContext } from '../runtime/cli/context.ts'
import type { Environment } from './environment.ts'

/** `millrace get` and its kin in the real world: at the API servers of the `up`s that run here, or in the files of those that have ended. */
export async function withObjectCommands(
  context: CliContext,
  environment: Environment,
  run: (commands: ObjectCommands) => Promise<number>,
): Promise<number> {
  const { clock, random, interrupted } = context
  const directory = resolve(environment.directory)
  const records = serverRecords(join(directory, 'up', 'servers'))
  const print = (text: string) => context.stdout(text)
  const printError = (text: string) => context.stderr(text)
  const apis = records.map(({ url, token }) => new KubeApi({ auth: withToken(url, token), clock, random }))
  try {
    if (apis.length > 0) return await run(createObjectCommands({ apis, isLive: true, print, printError, clock, interrupted }))
    const left = new LocalApiServer({ clock, random })
    for (const type of resourceTypes) left.load(await readObjects(join(directory, 'objects'), type))
    return await run(createObjectCommands({ apis: [left], isLive: false, print, printError, clock, interrupted }))
  } finally {
    for (const api of apis) api.close()
  }
}
