import { defineConfig } from 'vitest/config'

/** unit: beside the sources, no real parts, part of `make check`. parts: everything under test/, may need brokers, Java, processes. */
export default defineConfig({
  resolve: { alias: { millrace: new URL('./bin/api.ts', import.meta.url).pathname } },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['runtime/**/*.test.ts', 'operator/**/*.test.ts', 'test/*.test.ts', 'test/sim/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['test/e2e/**/*.test.ts', 'test/parts/**/*.test.ts', 'test/compat/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
