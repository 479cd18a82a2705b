import { FlinkError, nearestName } from '../common/errors.ts'
import { refuseAsync, sourceText } from './user-functions.ts'

export type SplitSelector = ((value: never) => readonly string[]) | { select(value: never): readonly string[] }

/**
 * The names that a split gives its rows, and the selections that read them. Every selection is one side output, so a row with two
 * names that are selected together comes out once, and a name that nobody selects costs nothing.
 */
export class SplitNames {
  readonly selector: SplitSelector
  /** All names there are; undefined = not known before rows come. */
  readonly known: readonly string[] | undefined
  /** tag -> names. Grows while the graph is built, before any row. */
  private readonly selections = new Map<string, ReadonlySet<string>>()

  constructor(selector: SplitSelector, names: readonly string[] | undefined) {
    refuseAsync('split', selector)
    if (typeof selector !== 'function' && typeof selector?.select !== 'function')
      throw new FlinkError('INVALID_PROGRAM', "split takes a function that answers a row's names, such as x => (x > 60 ? ['good'] : ['bad'])")
    this.selector = selector
    this.known = names ?? (typeof selector === 'function' ? namesInSource(sourceText(selector)) : undefined)
  }

  select(names: readonly string[]): string {
    if (names.length === 0) throw new FlinkError('INVALID_PROGRAM', 'select needs at least one name of the split')
    for (const name of names) {
      if (typeof name !== 'string' || name === '') throw new FlinkError('INVALID_PROGRAM', `select takes names, got ${JSON.stringify(name)}`)
      if (this.known === undefined || this.known.includes(name)) continue
      const near = nearestName(name, this.known)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `select: the split has no name '${name}', it has ${this.known.map(each => `'${each}'`).join(', ')}${near === undefined ? '' : `; did you mean '${near}'?`}`,
      )
    }
    const wanted = [...new Set(names)].sort()
    const tag = wanted.length === 1 ? `${wanted[0]}` : JSON.stringify(wanted)
    this.selections.set(tag, new Set(wanted))
    return tag
  }

  /** The side outputs of a row. */
  tagsOf(): (value: unknown) => string[] {
    const { selector } = this
    // The operator runs it with rows of the split's stream, which is what the user's selector takes.
    const namesOf = (typeof selector === 'function' ? selector : (value: never) => selector.select(value)) as (value: unknown) => readonly string[]
    const selections = [...this.selections]
    const single = new Map(selections.filter(([, names]) => names.size === 1).map(([tag, names]) => [[...names][0] ?? '', tag]))
    const several = selections.filter(([, names]) => names.size > 1)
    return value => {
      const answer: unknown = namesOf(value)
      const names = typeof answer === 'string' ? [answer] : answer
      // A promise, or nothing: the operator says what is wrong with it.
      if (!Array.isArray(names)) return names as string[]
      const tags: string[] = []
      for (let i = 0; i < names.length; i++) {
        const tag = single.get(names[i])
        if (tag !== undefined && !tags.includes(tag)) tags.push(tag)
      }
      for (const [tag, wanted] of several) if (names.some(name => wanted.has(name))) tags.push(tag)
      return tags
    }
  }
}

/**
 * The names of `x => (cond ? ['good'] : ['bad'])`: a lambda that is one expression whose every branch is an array of string literals.
 * Anything else may compute names, and then nothing is known about them here.
 */
function namesInSource(source: string): string[] | undefined {
  const arrow = /^\s*\(?[\w$,\s:]*\)?\s*=>\s*(?!\{)(.*)$/s.exec(source)
  if (arrow === null) return undefined
  const list = `\\[\\s*(?:'[^'\\\\]*'|"[^"\\\\]*")(?:\\s*,\\s*(?:'[^'\\\\]*'|"[^"\\\\]*"))*\\s*,?\\s*\\]`
  const body = (arrow[1] ?? '').trim().replace(/^\((.*)\)$/s, '$1')
  // The conditions may hold no brackets and no question marks, so that each list below is a branch and nothing else is one.
  if (!new RegExp(`^(?:[^?\\[\\]]*\\?\\s*\\(?\\s*${list}\\s*\\)?\\s*:\\s*)*\\(?\\s*${list}[\\s);]*$`, 's').test(body)) return undefined
  const names = [...body.matchAll(new RegExp(list, 'g'))].flatMap(match =>
    [...match[0].matchAll(/'([^']*)'|"([^"]*)"/g)].map(literal => literal[1] ?? literal[2] ?? ''),
  )
  return [...new Set(names)].sort()
}
