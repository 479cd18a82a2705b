import { type Clock, sleep } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { Definition } from '../api/crd.ts'
import { isReason, type KubeObject, type ObjectApi, type ResourceType } from '../kube/object-api.ts'
import { describeObject } from './describe.ts'
import { resourceName, type Selected, selectionOf } from './kinds.ts'
import type { GetRequest, ObjectCommands, ObjectScope } from './object-commands.ts'
import { asDocument, asNames, asTable } from './printing.ts'

/**
 * `get`, `describe`, `annotate` and `delete` over whatever API servers there are: one for each `millrace up` that runs here. An object is in one of them only, so
 * lists are put together, and a name is looked for in all.
 */
export interface ObjectCommandParts {
  /** The first one that has an object is asked to change it. */
  readonly apis: readonly ObjectApi[]
  /** Whether they are alive: what an ended `up` has left can be read only. */
  readonly isLive: boolean
  readonly print: (text: string) => void
  readonly printError: (text: string) => void
  readonly clock: Clock
  readonly interrupted: AbortSignal
}

const GONE_LOOK_MS = 100

interface Found {
  readonly api: ObjectApi
  readonly definition: Definition
  readonly type: ResourceType
  readonly object: KubeObject
}

export function createObjectCommands(parts: ObjectCommandParts): ObjectCommands {
  const { print, printError, clock } = parts

  const find = async (selected: Selected, scope: ObjectScope): Promise<{ found: readonly Found[]; missing: readonly string[] }> => {
    const { definition, type, names } = selected
    const found: Found[] = []
    for (const api of parts.apis) {
      const { items } = await api.list(type, { namespace: scope.namespace, labels: scope.labels })
      for (const object of items) if (names.length === 0 || names.includes(object.metadata.name)) found.push({ api, definition, type, object })
    }
    const order = ({ object: { metadata } }: Found) => `${metadata.namespace}/${metadata.name}`
    found.sort((a, b) => (order(a) < order(b) ? -1 : 1))
    return { found, missing: names.filter(name => !found.some(({ object }) => object.metadata.name === name)) }
  }

  /** Says which are missing, as kubectl does, after it has shown the others. */
  const sayMissing = (definition: Definition, missing: readonly string[]): boolean => {
    for (const name of missing) printError(`Error from server (NotFound): ${resourceName(definition, name).replace('/', ' "')}" not found`)
    return missing.length > 0
  }

  const requireLive = () => {
    if (!parts.isLive) throw new FlinkError('CONFLICT', 'no millrace up runs here: what it left can be read, and not be changed')
  }

  const show = async (request: GetRequest): Promise<{ failed: boolean; any: boolean }> => {
    const { scope, output } = request
    const selection = selectionOf(request.args)
    const all: Found[] = []
    let failed = false
    for (const selected of selection) {
      const { found, missing } = await find(selected, scope)
      if (output === 'table' || output === 'wide') {
        const options = { wide: output === 'wide', namespaces: scope.namespace === undefined }
        const objects = found.map(({ object }) => object)
        if (objects.length > 0) print(`${all.length > 0 ? '\n' : ''}${asTable(selected.definition, objects, clock.nowMs(), options)}`)
      }
      if (output === 'name' && found.length > 0)
        print(
          asNames(
            selected.definition,
            found.map(({ object }) => object),
          ),
        )
      all.push(...found)
      failed = sayMissing(selected.definition, missing) || failed
    }
    if (output === 'yaml' || output === 'json') {
      const single = selection.length === 1 && selection[0]?.names.length === 1
      if (!single || all.length > 0)
        print(
          asDocument(
            output,
            all.map(({ object }) => object),
            single && all.length === 1,
          ),
        )
    } else if (all.length === 0 && !failed) {
      printError(scope.namespace === undefined ? 'No resources found' : `No resources found in ${scope.namespace} namespace.`)
    }
    return { failed, any: all.length > 0 }
  }

  /** Each change is one more row, or one more document. */
  const watch = async (request: GetRequest): Promise<void> => {
    const { scope, output } = request
    const showOne = (definition: Definition, object: KubeObject) => {
      if (output === 'yaml') return print(`---\n${asDocument('yaml', [object], true)}`)
      if (output === 'json') return print(asDocument('json', [object], true))
      if (output === 'name') return print(asNames(definition, [object]))
      const options = { wide: output === 'wide', namespaces: scope.namespace === undefined }
      print(asTable(definition, [object], clock.nowMs(), options).split('\n')[1] ?? '')
    }
    const follow = async (api: ObjectApi, { definition, type, names }: Selected) => {
      let { resourceVersion } = await api.list(type, { namespace: scope.namespace, labels: scope.labels })
      while (!parts.interrupted.aborted) {
        for await (const event of api.watch(type, { namespace: scope.namespace, labels: scope.labels, resourceVersion }, parts.interrupted)) {
          if (event.type === 'BOOKMARK') {
            resourceVersion = event.resourceVersion
            continue
          }
          resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion
          if (names.length === 0 || names.includes(event.object.metadata.name)) showOne(definition, event.object)
        }
      }
    }
    const selection = selectionOf(request.args)
    await Promise.all(parts.apis.flatMap(api => selection.map(selected => follow(api, selected))))
  }

  return {
    async get(request) {
      const { failed } = await show(request)
      if (failed) return 1
      if (request.watch) {
        requireLive()
        await watch(request)
      }
      return 0
    },

    async describe({ args, scope }) {
      let failed = false
      let shown = 0
      for (const selected of selectionOf(args)) {
        const { found, missing } = await find(selected, scope)
        for (const { api, object } of found) print(`${shown++ > 0 ? '\n\n' : ''}${await describeObject(api, object, clock.nowMs())}`)
        failed = sayMissing(selected.definition, missing) || failed
      }
      if (shown === 0 && !failed)
        printError(scope.namespace === undefined ? 'No resources found' : `No resources found in ${scope.namespace} namespace.`)
      return failed ? 1 : 0
    },

    async annotate({ args, annotations, overwrite, scope }) {
      requireLive()
      let failed = false
      for (const selected of selectionOf(args)) {
        if (selected.names.length === 0) throw new FlinkError('INVALID_ARGUMENT', 'no object is named')
        const { found, missing } = await find(selected, scope)
        for (const { api, definition, object } of found) {
          const taken = Object.entries(annotations).find(([key, value]) => {
            const before = object.metadata.annotations?.[key]
            return value !== null && before !== undefined && before !== value
          })
          if (taken !== undefined && !overwrite) {
            printError(
              `error: --overwrite is false but found the following declared annotation(s): '${taken[0]}' already has a value (${object.metadata.annotations?.[taken[0]]})`,
            )
            failed = true
            continue
          }
          await changeMetadata(api, selected.type, object, annotations)
          print(`${resourceName(definition, object.metadata.name)} annotated`)
        }
        failed = sayMissing(selected.definition, missing) || failed
      }
      return failed ? 1 : 0
    },

    async delete({ args, scope, all, wait }) {
      requireLive()
      let failed = false
      const deleted: Found[] = []
      for (const selected of selectionOf(args)) {
        if (selected.names.length === 0 && !all && Object.keys(scope.labels).length === 0)
          throw new FlinkError('INVALID_ARGUMENT', 'no object is named, and neither --all nor a selector is given')
        const { found, missing } = await find(selected, scope)
        for (const each of found) {
          const { name, namespace, uid } = each.object.metadata
          await each.api.delete(each.type, namespace, name, uid === undefined ? {} : { uid })
          print(`${resourceName(each.definition, name).replace('/', ' "')}" deleted`)
          deleted.push(each)
        }
        failed = sayMissing(selected.definition, missing) || failed
      }
      if (wait) for (const each of deleted) await untilGone(each)
      return failed ? 1 : 0
    },
  }

  async function untilGone({ api, type, object: { metadata } }: Found): Promise<void> {
    for (;;) {
      try {
        const now = await api.get(type, metadata.namespace, metadata.name)
        if (now.metadata.uid !== metadata.uid) return
      } catch (error) {
        // An up whose last job has gone ends, and its server with it.
        if (isReason(error, 'NotFound', 'Unreachable')) return
        throw error
      }
      await sleep(clock, GONE_LOOK_MS, parts.interrupted)
    }
  }
}

/** A controller may have written in between: what a person asks for does not depend on that. */
async function changeMetadata(
  api: ObjectApi,
  type: ResourceType,
  object: KubeObject,
  annotations: Readonly<Record<string, string | null>>,
): Promise<void> {
  let current = object
  for (;;) {
    try {
      await api.patchMetadata(current, { annotations })
      return
    } catch (error) {
      if (!isReason(error, 'Conflict')) throw error
      current = await api.get(type, object.metadata.namespace, object.metadata.name)
    }
  }
}
