import { readFile } from 'node:fs/promises'
import type { OptionTable } from '../../runtime/common/config.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { FlinkJobSpec } from '../api/flink-job.ts'
import { parseManifest } from '../validation/manifest.ts'
import type { CheckedFlinkJob } from '../validation/problems.ts'

/** A manifest on disk: read once to start, looked at now and then for edits. */
export interface LoadedManifest {
  readonly text: string
  readonly job: CheckedFlinkJob
  /** Where inline TypeScript begins in the file; undefined where its lines are not the file's. */
  readonly scriptLine: number | undefined
}

export type ManifestEdit =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'changed'; readonly spec: FlinkJobSpec }
  | { readonly kind: 'problem'; readonly message: string }

/** Rejects with all problems, each on a line with file, line and column. */
export async function loadManifest(path: string, optionTables: readonly OptionTable[], extraArgs: readonly string[]): Promise<LoadedManifest> {
  const text = await readFile(path, 'utf8').catch(error => {
    const { code } = error as NodeJS.ErrnoException
    throw new FlinkError('NOT_FOUND', code === 'ENOENT' ? `manifest ${path} does not exist` : `manifest ${path} cannot be read: ${code}`, {}, error)
  })
  const parsed = parseManifest(text, path, optionTables)
  if (parsed.kind === 'invalid') throw new ManifestError(parsed.problems)
  return { text, job: withArgs(parsed.job, extraArgs), scriptLine: parsed.scriptLine }
}

export class ManifestError extends Error {
  override name = 'ManifestError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/** Answers each edit once. */
export function watchManifest(path: string, loaded: LoadedManifest, optionTables: readonly OptionTable[], extraArgs: readonly string[]) {
  let lastText = loaded.text
  return async (): Promise<ManifestEdit> => {
    // A file that is being replaced is missing for a moment; one that is gone says nothing about the job.
    const text = await readFile(path, 'utf8').catch(() => lastText)
    if (text === lastText) return { kind: 'unchanged' }
    lastText = text
    const parsed = parseManifest(text, path, optionTables)
    if (parsed.kind === 'invalid')
      return { kind: 'problem', message: `the edited manifest is wrong, the job goes on as it was:\n${parsed.problems.join('\n')}` }
    const { name, namespace } = parsed.job.metadata
    if (name !== loaded.job.metadata.name || namespace !== loaded.job.metadata.namespace) {
      return { kind: 'problem', message: `the edited manifest is another FlinkJob (${namespace}/${name}): stop this one and start that` }
    }
    return { kind: 'changed', spec: withArgs(parsed.job, extraArgs).spec }
  }
}

function withArgs(job: CheckedFlinkJob, extraArgs: readonly string[]): CheckedFlinkJob {
  return { ...job, spec: { ...job.spec, job: { ...job.spec.job, args: [...job.spec.job.args, ...extraArgs] } } }
}
