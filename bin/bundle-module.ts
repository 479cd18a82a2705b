import { basename, extname } from 'node:path'
import { type Artifact, buildArtifact } from '../runtime/planner/artifact.ts'

/** The artefact of a module of the user's, and the name that the job gets when nobody names it. */
export async function bundleModule(path: string, entry: string): Promise<Artifact & { readonly name: string }> {
  const artifact = await buildArtifact({ kind: 'module', path }, { entry })
  return { ...artifact, name: basename(path, extname(path)) }
}
