import { customResourceDefinition, definitions } from '../operator/api/crd.ts'
import { refusedFieldsOn } from '../operator/api/flink-job-refused.ts'
import { rulesIn } from '../operator/validation/rules.ts'

/** docs/operator.md: every field of the three kinds, from the schemas that the CRDs are made of. */
interface Schema {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema
  readonly items?: Schema
  readonly 'x-kubernetes-int-or-string'?: boolean
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
}

export function operatorPage(generated: string): string {
  return [
    '# The resources of the operator',
    '',
    generated,
    '',
    'Group `millrace.dev`, version `v1alpha1`; the CRDs in `crds/` are made of the same schemas. `docs/manifest.md` says what `millrace up` does with them.',
    'A field that is not in these tables is refused by name.',
    '',
    ...definitions.flatMap(definition => {
      const { kind, plural, shortNames, spec } = definition
      const rules = rulesIn(spec, ['spec'])
      return [
        `## ${kind}`,
        '',
        `\`kubectl get ${plural}\`, or ${shortNames.map(name => `\`${name}\``).join(', ')}. Columns: ${definition.columns.map(({ name }) => name).join(', ')}.`,
        '',
        '| field | type | default | meaning |',
        '| --- | --- | --- | --- |',
        ...rows(specSchema(definition), 'spec', kind),
        '',
        'Rules between fields:',
        '',
        ...rules.map(({ path, fieldPath = '', message }) => `- \`${path.join('.')}${fieldPath}\`: ${cell(message)}.`),
        '',
      ]
    }),
  ].join('\n')
}

function specSchema(definition: (typeof definitions)[number]): Schema {
  const { spec } = customResourceDefinition(definition) as unknown as {
    readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[] }
  }
  return spec.versions[0]?.schema.openAPIV3Schema.properties?.['spec'] ?? {}
}

function rows(schema: Schema, path: string, kind: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = `${path}.${name}`
    const refusal = kind === 'FlinkJob' ? refusalOf(at) : ''
    const needed = schema.required?.includes(name) === true ? 'required' : field.default === undefined ? '' : `\`${JSON.stringify(field.default)}\``
    const row = `| \`${at}\` | ${typeText(field)} | ${needed} | ${cell(field.description ?? '')}${cell(refusal)} |`
    return [row, ...rows(field, at, kind), ...rows(field.items ?? {}, `${at}[]`, kind)]
  })
}

function refusalOf(path: string): string {
  const [everywhere, here] = [refusedFieldsOn('kubernetes')[path], refusedFieldsOn('local')[path]]
  if (everywhere !== undefined) return ` **Not built yet:** ${everywhere}.`
  return here === undefined ? '' : ' On Kubernetes only.'
}

function typeText(field: Schema): string {
  if (field.enum !== undefined) return field.enum.map(value => `\`${value}\``).join(', ')
  if (field['x-kubernetes-int-or-string'] === true) return 'number or text'
  if (field['x-kubernetes-preserve-unknown-fields'] === true) return 'map, as Kubernetes has it'
  if (field.type === 'array') return `list of ${typeText(field.items ?? {})}`
  if (field.additionalProperties !== undefined) return 'map of texts'
  const { minimum, maximum } = field
  const largest = maximum === undefined || maximum === 2 ** 31 - 1 ? '' : ` to ${maximum}`
  return `${{ object: 'map', string: 'text', boolean: '`true` or `false`' }[field.type ?? ''] ?? field.type}${minimum === undefined ? '' : ` from ${minimum}${largest}`}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
