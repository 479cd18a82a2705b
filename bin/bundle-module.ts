import { basename, extname } from 'node:path'
import { type Artifact, buildArtifact, openArtifact } from '../runtime/planner/artifact.ts'

export interface NamedArtifact extends Artifact {
  readonly name: string
}

/** The artefact of a module of the user's, and the name that the job gets when nobody names it. */
export async function bundleModule(path: string, entry: string): Promise<NamedArtifact> {
  const artifact = await buildArtifact({ kind: 'module', path }, { entry })
  return { ...artifact, name: basename(path, extname(path)) }
}

/** Whether the program names `registerCachedFile` anywhere: one that does not cannot declare files. */
export function mayRegisterFiles(artifact: Artifact): boolean {
  return Buffer.from(openArtifact(artifact.bytes).program).includes('registerCachedFile')
}
