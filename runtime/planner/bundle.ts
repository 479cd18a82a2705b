import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { BuildFailure, Message, Plugin } from 'esbuild'
import * as esbuild from 'esbuild'
import { FlinkError } from '../common/errors.ts'

/**
 * Bundles a user's module with everything it imports into one ESM text, whatever TypeScript it is written in (enums, decorators,
 * paths of a tsconfig, JSON). `millrace` stays an import: workers resolve it to the API that runs them. Nothing is minified, because
 * functions' source text is part of the graph hash and of error messages.
 */
export interface BundleInput {
  readonly folder: string
  readonly name: string
  /** Inline text; undefined = read `folder/name`. */
  readonly text: string | undefined
}

export interface Bundle {
  readonly code: Uint8Array
  readonly exports: readonly string[]
}

export async function bundleProgram(input: BundleInput): Promise<Bundle> {
  const path = join(input.folder, input.name)
  if (input.text === undefined && !existsSync(path)) throw new FlinkError('NOT_FOUND', `job module ${path} does not exist`, { path })
  const root = projectRoot(input.folder)
  buildsRunning++
  try {
    const result = await esbuild.build({
      ...(input.text === undefined
        ? { entryPoints: [path] }
        : {
            stdin: {
              contents: input.text,
              resolveDir: input.folder,
              sourcefile: input.name,
              loader: input.name.endsWith('.js') || input.name.endsWith('.mjs') ? 'js' : 'ts',
            },
          }),
      // The map's sources are relative to the output: from the project's root they read as the user knows them and hold no machine path.
      absWorkingDir: root,
      outfile: join(root, 'job.mjs'),
      write: false,
      bundle: true,
      metafile: true,
      format: 'esm',
      platform: 'node',
      target: 'node24',
      charset: 'utf8',
      legalComments: 'none',
      sourcemap: 'inline',
      sourcesContent: true,
      external: ['millrace', 'millrace/*'],
      loader: { '.txt': 'text', '.csv': 'text', '.sql': 'text' },
      plugins: [refuseNativeAddons],
      logLevel: 'silent',
    })
    const output = Object.values(result.metafile.outputs)[0]
    const code = result.outputFiles[0]?.contents
    if (output === undefined || code === undefined) throw new FlinkError('INTERNAL', `esbuild answered no output for job module ${input.name}`)
    return { code, exports: [...output.exports].sort() }
  } catch (error) {
    throw isBuildFailure(error) ? asFlinkError(input.name, error) : error
  } finally {
    // esbuild keeps a child process for further builds; none may outlive us.
    if (--buildsRunning === 0) await esbuild.stop()
  }
}

let buildsRunning = 0

/** The nearest folder upwards that holds a package.json or tsconfig.json, else the module's own. */
function projectRoot(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json')) || existsSync(join(at, 'tsconfig.json'))) return at
    if (dirname(at) === at) return folder
  }
}

const nativeLoaders = ['bindings', 'node-gyp-build', '@mapbox/node-pre-gyp', 'prebuild-install']

const refuseNativeAddons: Plugin = {
  name: 'refuse-native-addons',
  setup(build) {
    const refuse = (what: string, importer: string) => ({
      errors: [
        {
          text: `native addon ${what} cannot be shipped with a job${importer === '' ? '' : ` (imported by ${importer})`}: only JavaScript and TypeScript travel`,
        },
      ],
    })
    build.onResolve({ filter: /\.node$/ }, args => refuse(`'${args.path}'`, args.importer))
    build.onResolve({ filter: new RegExp(`^(${nativeLoaders.map(name => name.replace('/', '\\/')).join('|')})$`) }, args =>
      // The loader itself is only a sign: the package that imports it is what cannot be shipped.
      refuse(`of package '${packageOf(args.importer)}'`, ''),
    )
  },
}

function packageOf(path: string): string {
  const inner = path.replaceAll('\\', '/').split('/node_modules/').at(-1) ?? path
  const parts = inner.split('/')
  return inner.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? path)
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && Array.isArray((error as { errors?: unknown }).errors)
}

function asFlinkError(moduleName: string, failure: BuildFailure): FlinkError {
  const shown = failure.errors.slice(0, 10).map(describe)
  const more = failure.errors.length - shown.length
  return new FlinkError(
    'INVALID_PROGRAM',
    `job module ${moduleName} does not compile: ${shown.join('\n')}${more > 0 ? `\n… and ${more} more` : ''}`,
    {
      problems: failure.errors.map(message => ({
        text: message.text,
        file: message.location?.file,
        line: message.location?.line,
        column: message.location?.column,
      })),
    },
  )
}

function describe(message: Message): string {
  const at = message.location
  if (at === null) return message.text
  // esbuild counts columns from 0 in bytes; editors and stack traces count from 1.
  const number = String(at.line)
  const caret = ' '.repeat(at.column) + '^'.repeat(Math.max(1, Math.min(at.length, 40)))
  return `${at.file}:${at.line}:${at.column + 1}: ${message.text}\n    ${number} | ${at.lineText}\n    ${' '.repeat(number.length)} | ${caret}`
}
