import { fileURLToPath } from 'node:url'
import { type BuildOptions, build, type Metafile } from 'esbuild'

type Choices = Pick<BuildOptions, 'packages' | 'external' | 'banner' | 'sourcemap'>

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * One bundle per process kind with shared chunks, so that `millrace` in a user's bundle and the engine in a worker are the same module
 * instances. Not minified: stack traces are read by people.
 */
export async function bundleEntries(names: readonly string[], outdir: string, choices: Choices): Promise<Metafile> {
  const { metafile } = await build({
    // Paths in the output are relative to this: the same sources come to the same bytes wherever they lie.
    absWorkingDir: root,
    entryPoints: names.map(name => `bin/${name}.ts`),
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    logLevel: 'warning',
    metafile: true,
    ...choices,
  })
  return metafile
}
