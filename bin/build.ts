/** Builds dist/: one bundle per process kind, source maps, and the types of the public module. Packages stay outside: they are installed beside dist/. */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { bundleEntries } from './bundles.ts'

const root = new URL('..', import.meta.url).pathname

rmSync(`${root}dist`, { recursive: true, force: true })
await bundleEntries(['millrace', 'planner', 'slot', 'io-worker', 'api', 'testing'], `${root}dist`, { packages: 'external', sourcemap: 'linked' })
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.build.json`], { stdio: 'inherit' })
