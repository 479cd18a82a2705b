/**
 * Builds dist/: one bundle per process kind with shared chunks (so that `millrace` in a user's bundle and the engine in a worker are the
 * same module instances), source maps, and the types of the public module. Packages stay outside: they are installed beside dist/.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { build } from 'esbuild'

const root = new URL('..', import.meta.url).pathname
const entries = ['millrace', 'planner', 'slot', 'io-worker', 'api', 'testing', 'jobmanager', 'taskmanager'].map(name => `${root}bin/${name}.ts`)

rmSync(`${root}dist`, { recursive: true, force: true })
await build({
  entryPoints: entries.filter(existsSync),
  outdir: `${root}dist`,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  packages: 'external',
  sourcemap: 'linked',
  logLevel: 'warning',
})
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.build.json`], { stdio: 'inherit' })
