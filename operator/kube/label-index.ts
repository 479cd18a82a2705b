import type { KubeObject } from './object-api.ts'

/** Objects by the values of some of their labels, so that those of one owner are found without a look at all of them. */
export class LabelIndex {
  private readonly labels: readonly string[]
  /** By label and value, then by the object's own key. */
  private readonly found = new Map<string, Map<string, KubeObject>>()

  constructor(labels: readonly string[]) {
    this.labels = labels
  }

  replace(key: string, before: KubeObject | undefined, after: KubeObject | undefined): void {
    for (const label of this.labels) {
      const [was, is] = [before?.metadata.labels?.[label], after?.metadata.labels?.[label]]
      if (was !== undefined && was !== is) this.remove(placeOf(label, was), key)
      if (is === undefined || after === undefined) continue
      const place = placeOf(label, is)
      const there = this.found.get(place)
      if (there === undefined) this.found.set(place, new Map([[key, after]]))
      else there.set(key, after)
    }
  }

  get(label: string, value: string): readonly KubeObject[] {
    if (!this.labels.includes(label)) throw new Error(`objects are not found by their label ${label}`)
    return [...(this.found.get(placeOf(label, value))?.values() ?? [])]
  }

  private remove(place: string, key: string): void {
    const there = this.found.get(place)
    there?.delete(key)
    if (there?.size === 0) this.found.delete(place)
  }
}

function placeOf(label: string, value: string): string {
  return `${label}=${value}`
}
