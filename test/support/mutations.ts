import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assert } from '../../runtime/common/assert.ts'

/** A change that breaks a promise, and the test that must notice: what nobody notices, nobody holds. */
export interface Mutation {
  readonly what: string
  readonly file: string
  /** Stands once in the file. */
  readonly find: string
  readonly replace: string
  readonly testFile: string
  /** Default: as few as in `make check`. */
  readonly seeds?: string
  /** In the title of a test that fails. */
  readonly fails: string
}

const root = new URL('../..', import.meta.url).pathname

/** How often what is to be changed stands in its file. */
export function placesOf({ file, find }: Mutation): number {
  return readFileSync(join(root, file), 'utf8').split(find).length - 1
}

/** A copy of the sources in which one file at a time is changed. */
export class MutatedSources implements Disposable {
  private readonly folder = mkdtempSync(join(tmpdir(), 'millrace-mutations-'))

  constructor() {
    for (const name of ['runtime', 'operator', 'bin', 'test', 'examples', 'package.json', 'vitest.config.ts', 'tsconfig.json'])
      cpSync(join(root, name), join(this.folder, name), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'))
  }

  /** Titles of tests that fail with the mutation; empty = nobody noticed. */
  async failuresWith(mutation: Mutation): Promise<string> {
    const { file, find, replace, testFile, seeds = '300' } = mutation
    assert(placesOf(mutation) === 1, `what is to be changed stands once in ${file}: ${find}`)
    const path = join(this.folder, file)
    const original = readFileSync(path, 'utf8')
    unlinkSync(path)
    writeFileSync(
      path,
      original.replace(find, () => replace),
    )
    try {
      return await new Promise(resolve => {
        const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'unit', '--bail', '3', testFile]
        const env = { ...process.env, SEEDS: seeds, NO_COLOR: '1', VITEST: undefined, VITEST_POOL_ID: undefined, VITEST_WORKER_ID: undefined }
        execFile(
          process.execPath,
          args,
          { cwd: this.folder, env, maxBuffer: 64 * 2 ** 20, timeout: 120_000, killSignal: 'SIGKILL' },
          (error, stdout, stderr) => {
            const failed = `${stdout}${stderr}`.split('\n').filter(line => /FAIL|×/.test(line))
            resolve(error === null ? '' : failed.join('\n') || `nothing ran: ${stderr.slice(0, 2000)}`)
          },
        )
      })
    } finally {
      writeFileSync(path, original)
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
