import type { Command } from 'commander'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { OutputFormat } from './printing.ts'
import { labelsOf } from './selector.ts'

/** The words of `get`, `describe`, `annotate` and `delete`, apart from what they do: kubectl's, so that what people know works. */
export interface ObjectScope {
  /** Undefined = all namespaces. */
  readonly namespace: string | undefined
  readonly labels: Readonly<Record<string, string>>
}

export interface GetRequest {
  readonly args: readonly string[]
  readonly scope: ObjectScope
  readonly output: OutputFormat
  readonly watch: boolean
}

export interface DescribeRequest {
  readonly args: readonly string[]
  readonly scope: ObjectScope
}

export interface AnnotateRequest {
  readonly args: readonly string[]
  /** null removes one. */
  readonly annotations: Readonly<Record<string, string | null>>
  readonly overwrite: boolean
  readonly scope: ObjectScope
}

export interface DeleteRequest {
  readonly args: readonly string[]
  readonly scope: ObjectScope
  readonly all: boolean
  readonly wait: boolean
}

export interface ObjectCommands {
  get(request: GetRequest): Promise<number>
  describe(request: DescribeRequest): Promise<number>
  annotate(request: AnnotateRequest): Promise<number>
  delete(request: DeleteRequest): Promise<number>
}

interface ScopeOptions {
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly selector?: string
}

const formats: Readonly<Record<string, OutputFormat>> = { wide: 'wide', yaml: 'yaml', json: 'json', name: 'name' }
const WHERE = 'Objects are those of the `millrace up` that run in this directory (MILLRACE_DIR); of those that have ended, what they left.'

export function addObjectCommands(program: Command, commands: ObjectCommands, exit: (code: number) => void): void {
  scoped(program.command('get'))
    .argument('<kind>', 'flinkjobs (fj), flinksessions (fsn), flinksnapshots (fsnap) or all; or <kind>/<name> ...')
    .argument('[names...]')
    .description('lists objects with their state, as kubectl get does')
    .option('-o, --output <format>', 'wide, yaml, json or name')
    .option('-w, --watch', 'goes on and shows what changes')
    .addHelpText(
      'after',
      `
${WHERE}

Examples:
  millrace get flinkjobs
  millrace get fj/word-count -o yaml
  millrace get all -A`,
    )
    .action(async (kind: string, names: string[], options: ScopeOptions & { output?: string; watch?: boolean }) => {
      const output = options.output === undefined ? 'table' : formats[options.output]
      if (output === undefined)
        throw new FlinkError('INVALID_ARGUMENT', `option -o: expected ${Object.keys(formats).join(', ')}, got ${options.output}`)
      exit(await commands.get({ args: [kind, ...names], scope: scopeOf(options), output, watch: options.watch === true }))
    })
  scoped(program.command('describe'))
    .argument('<kind>', 'as at get')
    .argument('[names...]')
    .description('shows objects in full, with their conditions and events')
    .addHelpText('after', `\n${WHERE}\n\nExamples:\n  millrace describe flinkjob word-count`)
    .action(async (kind: string, names: string[], options: ScopeOptions) =>
      exit(await commands.describe({ args: [kind, ...names], scope: scopeOf(options) })),
    )
  scoped(program.command('annotate'))
    .argument('<kind>', 'as at get')
    .argument('<words...>', 'names, then key=value to set an annotation and key- to remove it')
    .description('sets annotations: a savepoint is asked for by one')
    .option('--overwrite', 'an annotation that is there may get another value')
    .addHelpText(
      'after',
      `
${WHERE}

Examples:
  millrace annotate flinkjob word-count --overwrite millrace.dev/savepoint=$(date +%s)
  millrace annotate fj/word-count millrace.dev/paused=true
  millrace annotate fj/word-count millrace.dev/paused-`,
    )
    .action(async (kind: string, words: string[], options: ScopeOptions & { overwrite?: boolean }) => {
      const isChange = (word: string) => /^[^=]+=|-$/.test(word) && !isName(word)
      const args = [kind, ...words.filter(word => !isChange(word))]
      const annotations = Object.fromEntries(words.filter(isChange).map(changeOf))
      if (Object.keys(annotations).length === 0) throw new FlinkError('INVALID_ARGUMENT', 'no annotation is given, expected key=value or key-')
      exit(await commands.annotate({ args, annotations, overwrite: options.overwrite === true, scope: scopeOf(options) }))
    })
  scoped(program.command('delete'))
    .argument('<kind>', 'as at get')
    .argument('[names...]')
    .description('deletes objects: a job ends as its deletionPolicy says')
    .option('--all', 'all of the kind')
    .option('--no-wait', 'does not wait until they are gone')
    .addHelpText(
      'after',
      `
${WHERE}
A job that is deleted comes back when its manifest is edited, or with the next \`millrace up\`.

Examples:
  millrace delete flinkjob word-count
  millrace delete fsnap --all`,
    )
    .action(async (kind: string, names: string[], options: ScopeOptions & { all?: boolean; wait: boolean }) =>
      exit(await commands.delete({ args: [kind, ...names], scope: scopeOf(options), all: options.all === true, wait: options.wait })),
    )
}

function scoped(command: Command): Command {
  return command
    .option('-n, --namespace <namespace>', 'whose objects', 'default')
    .option('-A, --all-namespaces', 'those of all namespaces')
    .option('-l, --selector <labels>', 'only those with these labels: key=value,...')
}

function scopeOf({ namespace, allNamespaces, selector }: ScopeOptions): ObjectScope {
  return { namespace: allNamespaces === true ? undefined : namespace, labels: labelsOf(selector ?? '') }
}

/** A name of an object cannot end in a dash, so that `key-` is none. */
function isName(word: string): boolean {
  return /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$/.test(word)
}

function changeOf(word: string): readonly [string, string | null] {
  const at = word.indexOf('=')
  return at > 0 ? [word.slice(0, at), word.slice(at + 1)] : [word.slice(0, -1), null]
}
