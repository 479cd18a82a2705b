import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { optionTables } from '../../bin/option-tables.ts'
import { parseManifests } from '../../operator/validation/manifest.ts'

const root = resolve(import.meta.dirname, '../..')
const manifests = readdirSync(join(root, 'examples')).filter(name => name.endsWith('.yaml'))

test.each(manifests)('the inline programs of %s compile under the strictest settings', name => {
  const { objects, problems } = parseManifests(readFileSync(join(root, 'examples', name), 'utf8'), name, optionTables)
  expect(problems).toEqual([])
  const scripts = objects.flatMap(({ checked }) => (checked.kind === 'FlinkJob' ? [checked.job.spec.job.script] : []))
  for (const script of scripts) if (script !== undefined) requireCompiled(script)
})

function requireCompiled(script: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-types-'))
  try {
    writeFileSync(join(folder, 'job.mts'), script)
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
}
