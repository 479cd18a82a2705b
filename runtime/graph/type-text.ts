import type { TypeJson } from '../serde/type-information.ts'

/** The text of a type that has travelled as JSON: `ROW<shop STRING, amount DOUBLE>`. Of what expires only the values. */
export function typeText(type: TypeJson): string {
  switch (type.kind) {
    case 'TUPLE':
      return `TUPLE<${type.fields.map(typeText).join(', ')}>`
    case 'ROW':
      return `ROW<${type.fields.map(field => `${field.name} ${typeText(field.type)}`).join(', ')}>`
    case 'COLUMNS':
      return `ROW<${type.fields.map(field => `${field.name} ${field.type}`).join(', ')}>`
    case 'LIST':
      return `LIST<${typeText(type.element)}>`
    case 'MAP':
      return `MAP<${typeText(type.key)}, ${typeText(type.value)}>`
    case 'TTL':
      return typeText(type.value)
    default:
      return type.kind
  }
}
