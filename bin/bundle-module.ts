import { readFile } from 'node:fs/promises'
import { basename, dirname, extname } from 'node:path'
import type { ProgramRequest } from '../runtime/cli/context.ts'
import { FlinkError } from '../runtime/common/errors.ts'
import { type Artifact, buildArtifact, openArtifact } from '../runtime/planner/artifact.ts'
import { fetchModule, isAddress } from './module-address.ts'

export interface NamedArtifact extends Artifact {
  readonly name: string
}

/** The artefact of a module of the user's, a file or one by its address, and the name that the job gets when nobody names it. */
export async function bundleModule(request: Pick<ProgramRequest, 'modulePath' | 'entry' | 'moduleDigest' | 'configuration'>): Promise<NamedArtifact> {
  const { modulePath: path, entry } = request
  const name = basename(path, extname(path))
  const isSql = extname(path) === '.sql'
  if (isAddress(path)) {
    const text = await fetchModule(path, request)
    // Its packages are looked for as from the working directory.
    const folder = process.cwd()
    const artifact = isSql
      ? await bundleSql(text, basename(path), folder, entry)
      : await buildArtifact({ kind: 'script', text, name: basename(path), folder }, { entry })
    return { ...artifact, name }
  }
  const artifact = isSql
    ? await bundleSql(await readScript(path), basename(path), dirname(path), entry)
    : await buildArtifact({ kind: 'module', path }, { entry })
  return { ...artifact, name }
}

/** A SQL script travels as the program that runs it. */
export function bundleSql(script: string, name: string, folder: string, entry: string): Promise<Artifact> {
  const text = `import { sqlProgram } from 'millrace'\nexport default sqlProgram(${JSON.stringify(script)}, ${JSON.stringify(name)})\n`
  return buildArtifact({ kind: 'script', text, name: `${name}.js`, folder }, { entry })
}

async function readScript(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new FlinkError('NOT_FOUND', `SQL script ${path} cannot be read`, { path }, cause)
  }
}

/** Whether the program names `registerCachedFile` anywhere: one that does not cannot declare files. */
export function mayRegisterFiles(artifact: Artifact): boolean {
  return Buffer.from(openArtifact(artifact.bytes).program).includes('registerCachedFile')
}
