import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildArtifact, openArtifact, withFiles } from './artifact.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-artifact-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** A project folder of its own with these files. */
function project(name: string, files: Record<string, string>): string {
  const folder = join(root, name)
  for (const [path, text] of Object.entries({ 'package.json': '{}', ...files })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}

const script = (text: string, folder = root) => buildArtifact({ kind: 'script', text, name: 'job.ts', folder }, { entry: 'default' })
const programOf = async (folder: string, file = 'job.ts') => {
  const { program } = openArtifact((await buildArtifact({ kind: 'module', path: join(folder, file) }, { entry: 'default' })).bytes)
  return new TextDecoder().decode(program)
}
/** What the bundle exports when it runs: it must not import millrace. */
const run = async (folder: string) => (await import(`data:text/javascript;base64,${Buffer.from(await programOf(folder)).toString('base64')}`)).default

describe('whatever TypeScript a user writes', () => {
  test('enums, namespaces, parameter properties', async () => {
    const folder = project('enums', {
      'job.ts': `enum Colour { Red = 'red', Green = 'green' }
        namespace Units { export const second = 1000 }
        class Point { constructor(public readonly x: number) {} }
        export default () => [Colour.Green, Units.second, new Point(4).x]`,
    })
    expect((await run(folder))()).toEqual(['green', 1000, 4])
  })

  test('decorators, standard and experimental', async () => {
    const text = `function doubled(..._: any[]): any { const d = _[2]; if (d && d.value) { const f = d.value; d.value = function () { return f() * 2 }; return d } const f = _[0]; return () => f() * 2 }
      class A { @doubled value() { return 21 } }
      export default () => new A().value()`
    expect((await run(project('standard-decorators', { 'job.ts': text })))()).toBe(42)
    expect(
      (
        await run(
          project('experimental-decorators', { 'job.ts': text, 'tsconfig.json': '{ "compilerOptions": { "experimentalDecorators": true } }' }),
        )
      )(),
    ).toBe(42)
  })

  test('paths of its tsconfig, JSON and text imports, CommonJS packages', async () => {
    const folder = project('imports', {
      'tsconfig.json': '{ "compilerOptions": { "paths": { "@lib/*": ["./lib/*"] } } }',
      'lib/split.ts': 'export const split = (line: string) => line.split(" ")',
      'shops.json': '{ "shops": ["a"] }',
      'query.sql': 'select 1',
      'node_modules/old/package.json': '{ "name": "old", "main": "index.js" }',
      'node_modules/old/index.js': 'module.exports = { answer: require("./other.js") }',
      'node_modules/old/other.js': 'module.exports = 42',
      'job.ts': `import { split } from '@lib/split'
        import data from './shops.json'
        import query from './query.sql'
        import old from 'old'
        export default () => [split('a b'), data.shops, query, old.answer]`,
    })
    expect((await run(folder))()).toEqual([['a', 'b'], ['a'], 'select 1', 42])
  })

  test('millrace stays an import, even where a tsconfig maps it', async () => {
    const folder = project('mapped', {
      'tsconfig.json': '{ "compilerOptions": { "paths": { "millrace": ["./mine.ts"] } } }',
      'mine.ts': 'export const Types = 1',
      'job.ts': "import { Types } from 'millrace'\nexport default () => Types",
    })
    expect(await programOf(folder)).toMatch(/from "millrace"/)
  })

  test('the source map holds the sources and their names inside the project, no machine path', async () => {
    const folder = project('mapped-sources', {
      'src/lib/x.ts': 'export const x: number = 1',
      'src/job.ts': "import { x } from './lib/x.ts'\nexport default () => x",
    })
    const text = await programOf(folder, 'src/job.ts')
    const map = JSON.parse(Buffer.from(/sourceMappingURL=data:application\/json;base64,(\S+)/.exec(text)?.[1] ?? '', 'base64').toString())
    expect(map.sources).toEqual(['src/lib/x.ts', 'src/job.ts'])
    expect(map.sourcesContent[1]).toContain('export default () => x')
    expect(text).not.toContain(root)
  })
})

describe('digest', () => {
  const files = { 'job.ts': "import { x } from './x.ts'\nexport default () => x", 'x.ts': 'export const x = 1', 'data.csv': 'a,1' }

  test('the same input has the same digest, wherever it lies', async () => {
    const first = project('digest-one', files)
    const second = join(root, 'elsewhere', 'digest-two')
    cpSync(first, second, { recursive: true })
    const of = async (folder: string) =>
      (await buildArtifact({ kind: 'module', path: join(folder, 'job.ts') }, { files: { b: join(folder, 'data.csv'), a: join(folder, 'x.ts') } }))
        .digest
    expect(await of(second)).toBe(await of(first))
    expect(await of(first)).toMatch(/^[0-9a-f]{64}$/)
  })

  test('another source, import or declared file changes it', async () => {
    const folder = project('digest-change', files)
    const digest = async () =>
      (await buildArtifact({ kind: 'module', path: join(folder, 'job.ts') }, { files: { data: join(folder, 'data.csv') } })).digest
    const digests = [await digest()]
    for (const [file, text] of [
      ['x.ts', 'export const x = 2'],
      ['data.csv', 'a,2'],
      ['job.ts', "import { x } from './x.ts'\nexport default () => x + 1"],
    ] as const) {
      writeFileSync(join(folder, file), text)
      digests.push(await digest())
    }
    expect(new Set(digests).size).toBe(4)
  })
})

describe('container', () => {
  test('declared files come back by name, also those added later', async () => {
    const folder = project('declared', { 'job.ts': 'export default () => 1', 'shops.csv': 'a,1' })
    const artifact = await buildArtifact({ kind: 'module', path: join(folder, 'job.ts') }, { files: { shops: join(folder, 'shops.csv') } })
    const more = await withFiles(artifact.bytes, { again: join(folder, 'shops.csv'), shops: '/nowhere/shops.csv' })
    const open = openArtifact(more.bytes, more.digest)
    expect([...open.files.keys()]).toEqual(['again', 'shops'])
    expect(new TextDecoder().decode(open.files.get('shops'))).toBe('a,1')
    expect(open.program).toEqual(openArtifact(artifact.bytes).program)
    expect(open.exports).toEqual(['default'])
  })

  test('a missing declared file and a name that is a path are refused', async () => {
    const source = { kind: 'script', text: 'export default () => 1', name: 'job.ts', folder: root } as const
    await expect(buildArtifact(source, { files: { shops: join(root, 'nowhere.csv') } })).rejects.toThrow("declared file 'shops' cannot be read")
    await expect(buildArtifact(source, { files: { '../x': join(root, 'x') } })).rejects.toThrow('one path segment')
  })

  test('a damaged or truncated artefact is never opened', async () => {
    const { bytes, digest } = await script('export default () => 1')
    const flipped = bytes.slice()
    flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
    expect(() => openArtifact(flipped, digest)).toThrow(/damaged/)
    expect(() => openArtifact(flipped)).toThrow(/not what the index says/)
    for (const length of [0, 5, 9, 40, bytes.length - 1]) expect(() => openArtifact(bytes.subarray(0, length))).toThrow(/damaged/)
  })
})

describe('a program that cannot be bundled', () => {
  test('a syntax error names file, line and column and shows the line', async () => {
    await expect(script('const a = 1\nexport default () => { return a + }')).rejects.toMatchObject({
      code: 'INVALID_PROGRAM',
      message: expect.stringMatching(
        /^job module job\.ts does not compile: job\.ts:2:35: Unexpected "}"\n {4}2 \| export default \(\) => \{ return a \+ \}\n {6}\| {35}\^$/,
      ),
    })
  })

  test('a syntax error in an imported file names that file', async () => {
    const folder = project('broken-import', {
      'lib/broken.ts': 'export const x = = 1',
      'job.ts': "import { x } from './lib/broken.ts'\nexport default () => x",
    })
    await expect(programOf(folder)).rejects.toThrow(/lib\/broken\.ts:1:18: Unexpected "="/)
  })

  test('an import that does not resolve names it', async () => {
    await expect(script("import x from 'no-such-package'\nexport default x")).rejects.toThrow(/job\.ts:1:15: Could not resolve "no-such-package"/)
  })

  test('a missing default export lists what there is', async () => {
    await expect(script('export const main = () => 1\nexport const other = 2')).rejects.toThrow(
      "job module job.ts has no default export: it exports 'main', 'other'; write 'export default (env, args) => { … }' or name one of them with -c",
    )
    await expect(script('const nothing = 1')).rejects.toThrow('it exports nothing')
    await expect(buildArtifact({ kind: 'script', text: 'export default 1', name: 'job.ts', folder: root }, { entry: 'main' })).rejects.toThrow(
      "has no export 'main': it exports 'default'",
    )
  })

  test('native addons are refused by name', async () => {
    await expect(script("import x from './fast.node'\nexport default x")).rejects.toThrow(/native addon '\.\/fast\.node' cannot be shipped/)
    const folder = project('native', {
      'node_modules/fast/package.json': '{ "name": "fast", "main": "index.js" }',
      'node_modules/fast/index.js': 'module.exports = require("bindings")("fast")',
      'job.ts': "import fast from 'fast'\nexport default fast",
    })
    await expect(programOf(folder)).rejects.toThrow(/native addon of package 'fast' cannot be shipped/)
  })

  test('a module that does not exist', async () => {
    await expect(buildArtifact({ kind: 'module', path: join(root, 'nowhere.ts') })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
