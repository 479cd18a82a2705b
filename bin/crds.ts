import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { customResourceDefinition, definitions } from '../operator/api/crd.ts'
import { API_GROUP } from '../operator/api/fields.ts'

const MADE_BY = 'Made by bin/crds.ts from operator/api: do not edit, run make crds.'

/** `make crds`: crds/ from operator/api. A test compares them. */
export function crdFiles(): ReadonlyMap<string, string> {
  return filesOf(text => `# ${MADE_BY}\n${text}`)
}

/**
 * The same as templates of the chart: what lies in a chart's own folder crds/ is installed once and never upgraded. Descriptions speak of `{{name}}`, which helm would take
 * for its own.
 */
export function chartCrdFiles(): ReadonlyMap<string, string> {
  return filesOf(text => {
    const kept = text
      .replaceAll('{{', '{{ "{{" }}')
      .replace('\nmetadata:\n', '\nmetadata:\n  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n')
    return `{{- /* ${MADE_BY} */}}\n{{- if .Values.crds.install }}\n${kept}{{- end }}\n`
  })
}

function filesOf(formatted: (text: string) => string): ReadonlyMap<string, string> {
  return new Map(
    definitions.map(definition => [
      `${API_GROUP}_${definition.plural}.yaml`,
      formatted(stringify(customResourceDefinition(definition), { lineWidth: 0 })),
    ]),
  )
}

if (import.meta.main) {
  for (const [path, files] of [
    ['crds', crdFiles()],
    ['charts/millrace/templates/crds', chartCrdFiles()],
  ] as const) {
    const folder = join(import.meta.dirname, '..', path)
    mkdirSync(folder, { recursive: true })
    for (const [name, text] of files) writeFileSync(join(folder, name), text)
  }
}
