import type { ConfigOption } from './config.ts'
import { FlinkError } from './errors.ts'
import type { JsonObject } from './json.ts'

/** Parameters of a job, which its functions and REST read alike. */
export const globalJobParameters: ConfigOption<string | undefined> = {
  key: 'pipeline.global-job-parameters',
  type: 'string',
  defaultValue: undefined,
  doc: 'parameters that every function reads by getRuntimeContext().getGlobalJobParameters(): key:value pairs joined by commas, or a JSON object',
}

export function parseJobParameters(text: string | undefined): JsonObject {
  if (text === undefined || text === '') return {}
  // What `setGlobalJobParameters` writes.
  if (text.startsWith('{')) return JSON.parse(text) as JsonObject
  return Object.fromEntries(
    text.split(',').map(pair => {
      const at = pair.indexOf(':')
      if (at < 0)
        throw new FlinkError('INVALID_CONFIGURATION', `option ${globalJobParameters.key}: expected key:value pairs joined by commas, found '${pair}'`)
      return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
    }),
  )
}
