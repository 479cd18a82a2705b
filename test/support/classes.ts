import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const DECLARATION = /^(?:export )?(abstract )?class (\w+)(?:<[^{]*?>)?(?: extends (\w+)(?:<[^{]*?>)?)?(?: implements ([^{]+))?\s*\{/gm

interface Declared {
  readonly name: string
  readonly isAbstract: boolean
  readonly parents: readonly string[]
  readonly file: string
}

let declared: readonly Declared[] | undefined

/** Names of the classes of the engine below this one that can be made, by its sources: also of those that no test has heard of. `room` as in `runtime/table`. */
export function concreteClasses(of: string, room = 'runtime'): string[] {
  declared ??= globSync('runtime/**/*.ts', { cwd: root, exclude: path => /\.(test|fixture)\.ts$/.test(path) }).flatMap(file =>
    [...readFileSync(join(root, file), 'utf8').matchAll(DECLARATION)].map(([, abstract, name = '', parent, interfaces = '']) => ({
      name,
      isAbstract: abstract !== undefined,
      parents: [...(parent === undefined ? [] : [parent]), ...interfaces.split(',').map(text => /\w+/.exec(text)?.[0] ?? '')],
      file,
    })),
  )
  // An interface below another one counts like a class.
  const below = new Set([of, ...(of === 'StreamOperator' ? ['SourceHeadOperator'] : [])])
  for (let before = 0; before < below.size; ) {
    before = below.size
    for (const { name, parents } of declared) if (parents.some(parent => below.has(parent))) below.add(name)
  }
  return declared
    .filter(({ name, isAbstract, file }) => below.has(name) && !isAbstract && file.startsWith(`${room}/`))
    .map(({ name }) => name)
    .sort()
}
