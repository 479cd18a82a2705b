import { FlinkError } from '../../runtime/common/errors.ts'

/** `key=value,...`, as option -l takes it: labels with exactly these values. */
export function labelsOf(selector: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    selector
      .split(',')
      .filter(term => term !== '')
      .map(term => {
        const [, key, value] = /^([^=!]+)==?([^=]*)$/.exec(term) ?? []
        if (key === undefined || value === undefined) throw new FlinkError('INVALID_ARGUMENT', `option -l: expected key=value, got ${term}`)
        return [key, value] as const
      }),
  )
}
