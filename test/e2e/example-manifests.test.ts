import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { optionTables } from '../../bin/option-tables.ts'
import { parseManifest } from '../../operator/validation/manifest.ts'

const root = resolve(import.meta.dirname, '../..')
const manifests = readdirSync(join(root, 'examples')).filter(name => name.endsWith('.yaml'))

test.each(manifests)('the inline program of %s compiles under the strictest settings', name => {
  const parsed = parseManifest(readFileSync(join(root, 'examples', name), 'utf8'), name, optionTables)
  expect(parsed).toMatchObject({ kind: 'valid' })
  if (parsed.kind !== 'valid' || parsed.job.spec.job.sql !== undefined) return
  const folder = mkdtempSync(join(tmpdir(), 'millrace-types-'))
  try {
    writeFileSync(join(folder, 'job.mts'), parsed.job.spec.job.script ?? '')
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: { noEmit: true, typeRoots: [join(root, 'node_modules/@types')] },
        include: [],
        files: ['job.mts'],
      }),
    )
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
  } catch (error) {
    throw new Error((error as { stdout?: string }).stdout)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
