import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { customResourceDefinition, definitions } from '../operator/api/crd.ts'
import { API_GROUP } from '../operator/api/fields.ts'

/** `make crds`: crds/ from operator/api. A test compares them. */
export function crdFiles(): ReadonlyMap<string, string> {
  return new Map(
    definitions.map(definition => [
      `${API_GROUP}_${definition.plural}.yaml`,
      `# Made by bin/crds.ts from operator/api: do not edit, run make crds.\n${stringify(customResourceDefinition(definition), { lineWidth: 0 })}`,
    ]),
  )
}

if (import.meta.main) {
  const folder = join(import.meta.dirname, '../crds')
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of crdFiles()) writeFileSync(join(folder, name), text)
}
