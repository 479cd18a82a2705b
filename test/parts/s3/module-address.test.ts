import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleModule } from '../../../bin/bundle-module.ts'
import { openArtifact } from '../../../runtime/planner/artifact.ts'
import { S3Server } from '../../support/s3-server.ts'

/** Programs by their address, from a real S3 server. */
const text = "import { parse } from 'yaml'\nexport default () => parse('a: 1')\n"
const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
let server: S3Server
beforeAll(async () => {
  server = await S3Server.start()
  server.createBucket('programs')
  await server.put('programs', 'jobs/words.ts', text)
  await server.put('programs', 'counts.sql', 'SELECT 1')
  await server.put('programs', 'imports.ts', "import './other.ts'\nexport default () => {}\n")
})
afterAll(() => server?.stop())

const bundled = (path: string, moduleDigest?: string) =>
  bundleModule({
    modulePath: path,
    entry: 'default',
    configuration: server.configuration(),
    ...(moduleDigest === undefined ? {} : { moduleDigest }),
  })

test('a module is bundled with the packages that are found from the working directory, and named by its file', async () => {
  const bundle = await bundled('s3://programs/jobs/words.ts', digest)
  expect(bundle.name).toBe('words')
  // The text of the package, not its import.
  const program = Buffer.from(openArtifact(bundle.bytes).program).toString()
  expect(program).toContain('parseDocument')
  expect(program).not.toMatch(/^import .*yaml/m)
})

test('so is a SQL script', async () => {
  const bundle = await bundled('s3://programs/counts.sql')
  expect(bundle.name).toBe('counts')
  expect(Buffer.from(openArtifact(bundle.bytes).program).toString()).toContain('SELECT 1')
})

test.each([
  ['another text than was named', 's3://programs/jobs/words.ts', `sha256:${'0'.repeat(64)}`, `its digest is ${digest}, expected sha256:000`],
  ['one that is not there', 's3://programs/jobs/none.ts', undefined, 'job module s3://programs/jobs/none.ts does not exist'],
  ['a bucket that is not there', 's3://nowhere/words.ts', undefined, 'nowhere'],
  ['what is no program', 's3://programs/jobs/words.jar', undefined, 'expected s3://<bucket>/<path> of a .ts, .mts, .js, .mjs or .sql file'],
  ['another scheme', 'https://example.org/words.ts', undefined, 'expected s3://<bucket>'],
  ['one that imports a file beside it', 's3://programs/imports.ts', undefined, 'Could not resolve "./other.ts"'],
])('%s is refused', async (_what, path, wanted, message) => {
  await expect(bundled(path, wanted)).rejects.toThrow(message)
})
