import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type Archive, buildArchive } from '../../../bin/image/buildah.ts'
import { packagesOutsideBundles, repository } from '../../../bin/image/packages.ts'
import { type Image, images, SBOM, stageRoot } from '../../../bin/image/root-fs.ts'
import { version } from '../../../bin/version.ts'
import { LAUNCHER } from '../../../operator/effects/kubernetes/pod-specs.ts'
import { freePorts } from '../../support/guarded-process.ts'
import { UnpackedImage } from '../../support/image-container.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { S3Server } from '../../support/s3-server.ts'

/** Both images as `make image` builds them, and containers of them without Kubernetes. */
interface Built extends Image {
  readonly archive: Archive
  readonly unpacked: UnpackedImage
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-images-'))
let built: readonly Built[]
let runtime: UnpackedImage
let operator: UnpackedImage

beforeAll(async () => {
  for (const image of images) await stageRoot(image, folder)
  built = images.map(image => {
    const archive = buildArchive(image, folder)
    return { ...image, archive, unpacked: new UnpackedImage(archive.path, join(folder, 'unpacked', image.name)) }
  })
  const of = (name: string) => built.find(image => image.target === name)?.unpacked as UnpackedImage
  runtime = of('runtime')
  operator = of('operator')
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('what is in them', () => {
  const MB = 1_000_000
  const shells = /^(?:ba|da|z|k|a)?sh$|^busybox$/

  test('the runtime image: the bundle of the engine without a shell, below 250 MB', () => {
    const paths = pathsOf(runtime.root)
    expect(paths.filter(path => shells.test(basename(path)))).toEqual([])
    expect(paths).toEqual(expect.arrayContaining(['opt/millrace/dist/millrace.js', 'opt/millrace/dist/slot.js', 'usr/local/bin/node']))
    expect(readdirSync(join(runtime.root, 'opt/millrace'))).toEqual(['LICENSE', 'dist', 'licenses', 'node_modules', 'package.json', 'sbom.cdx.json'])
    expect(sizeOf(runtime.root)).toBeLessThan(250 * MB)
  })

  test('the operator image: the bundle of the operator alone, no bundler and no engine, below 250 MB', () => {
    const paths = pathsOf(operator.root)
    expect(paths.filter(path => shells.test(basename(path)) || path.includes('esbuild'))).toEqual([])
    expect(readdirSync(join(operator.root, 'opt/millrace'))).toEqual(['LICENSE', 'dist', 'licenses', 'package.json', 'sbom.cdx.json'])
    const bundle = paths.filter(path => path.endsWith('.js')).map(path => readFileSync(join(operator.root, path), 'utf8'))
    const sources = new Set(bundle.flatMap(text => [...text.matchAll(/^\/\/ ((?:bin|runtime|operator)\/\S+)$/gm)].map(([, path = '']) => path)))
    expect([...sources]).toContain('bin/millrace-operator.ts')
    expect([...sources].filter(path => /^runtime\/(?:taskmanager|planner|stream)\/(?!.*options)/.test(path))).toEqual([])
    expect(sizeOf(operator.root)).toBeLessThan(250 * MB)
  })

  test('a Containerfile over the root file systems: the same files, and how pods start them', () => {
    for (const { target, name, unpacked } of built) {
      const { root, configuration } = unpacked
      expect(listing(root)).toEqual(listing(join(folder, target)))
      expect(configuration).toMatchObject({ User: '65532:65532', Cmd: ['--help'] })
      expect(configuration.Labels).toMatchObject({
        'org.opencontainers.image.title': name,
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.licenses': 'Apache-2.0',
      })
    }
    expect(runtime.configuration.Entrypoint).toEqual(LAUNCHER)
    const flags = /flags='([^']+)'/.exec(readFileSync(join(repository, 'bin/millrace'), 'utf8'))?.[1]?.split(' ')
    expect(flags).toHaveLength(2)
    expect(operator.configuration.Entrypoint.slice(0, -1)).toEqual(['node', ...(flags ?? []), '--disable-warning=ExperimentalWarning'])
  })
})

describe('bills of materials', () => {
  const text = z.string().min(1)
  const license = z.union([z.strictObject({ license: z.strictObject({ id: text }) }), z.strictObject({ expression: text })])
  /** Of CycloneDX 1.6, what is used of it. */
  const document = z.strictObject({
    bomFormat: z.literal('CycloneDX'),
    specVersion: z.literal('1.6'),
    version: z.literal(1),
    metadata: z.strictObject({
      component: z.strictObject({ type: z.literal('container'), 'bom-ref': text, name: text, version: text, licenses: z.array(license).length(1) }),
    }),
    components: z.array(
      z.strictObject({
        type: z.enum(['application', 'library']),
        'bom-ref': text,
        group: text.optional(),
        name: text,
        version: text,
        licenses: z.array(license).length(1).optional(),
        purl: z.string().regex(/^pkg:(?:npm|deb|generic)\/[^@\s]+@[^@\s]+$/),
      }),
    ),
  })

  test('each image has its own, which names what is in it and nothing else', () => {
    for (const { name, unpacked } of built) {
      const { root } = unpacked
      const content = readFileSync(join(root, SBOM), 'utf8')
      expect(readFileSync(join(folder, `${name}.cdx.json`), 'utf8')).toBe(content)
      const { metadata, components } = document.parse(JSON.parse(content))
      expect(metadata.component).toMatchObject({ name, version })
      const references = components.map(each => each['bom-ref'])
      expect(new Set(references).size).toBe(references.length)

      const named = (kind: string) => components.filter(({ purl }) => purl.startsWith(`pkg:${kind}/`))
      const npm = named('npm').map(each => `${each.group === undefined ? '' : `${each.group}/`}${each.name}@${each.version}`)
      expect(npm.sort()).toEqual(npmPackagesIn(root))
      expect(named('generic').map(each => `v${each.version}`)).toEqual([
        execFileSync(join(root, 'usr/local/bin/node'), ['--version'], { encoding: 'utf8' }).trim(),
      ])
      const debian = named('deb').map(each => `${each.name} ${each.version}`)
      for (const path of pathsOf(root).filter(each => /\.so\.\d/.test(each))) expect(debian, path).toContain(debianPackageOf(`/${path}`))
    }
  })

  /** As it can be seen in the image itself: esbuild says above each piece of a bundle where it is from. */
  function npmPackagesIn(root: string): string[] {
    const home = join(root, 'opt/millrace')
    const dist = readdirSync(join(home, 'dist')).map(name => readFileSync(join(home, 'dist', name), 'utf8'))
    const bundled = dist.flatMap(code =>
      [...code.matchAll(/^\/\/ (\S*node_modules\/(?:@[^/\s]+\/)?[^/\s]+)\//gm)].map(([, path = '']) => join(repository, path)),
    )
    const installed = pathsOf(root)
      .filter(path => /node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(path))
      .map(path => join(root, dirname(path)))
    const names = [...bundled, ...installed].map(path => {
      const json = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { name: string; version: string }
      return `${json.name}@${json.version}`
    })
    return [...new Set(names)].sort()
  }

  function debianPackageOf(path: string): string {
    // /lib is a link to /usr/lib: packages name their files by either.
    const owners = [path, `/usr${path}`].map(each => {
      try {
        return execFileSync('dpkg-query', ['--search', each], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split(': ')[0]
      } catch {
        return undefined
      }
    })
    const owner = owners.find(each => each !== undefined) ?? ''
    return execFileSync('dpkg-query', ['--show', '--showformat=${Package} ${Version}', owner], { encoding: 'utf8' })
  }
})

describe('containers: user 65532, no rights, a root file system that is read only', () => {
  test('of the runtime image: a program in TypeScript is bundled, planned and run to its end', async () => {
    const { work, mounts } = workFolder({
      'words.txt': 'to be or not to be\n',
      'words.ts': `
        import type { StreamExecutionEnvironment } from 'millrace'
        enum Count { One = 1 }
        export default (env: StreamExecutionEnvironment) => {
          env.readTextFile('/job/words.txt')
            .flatMap((line, out) => { for (const word of line.split(' ')) out.collect([word, Count.One]) })
            .keyBy(0).sum(1).print()
        }`,
    })
    const targets = ['--output', '/var/lib/millrace/uploads/words.mjs', '--summary', '/var/lib/millrace/summary.json']
    expect(await runtime.run(['bundle', ...targets, '/job/words.ts'], { mounts })).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(existsSync(join(work, 'uploads/words.mjs'))).toBe(true)
    expect(JSON.parse(readFileSync(join(work, 'summary.json'), 'utf8'))).toMatchObject({ kind: 'ready', slotsNeeded: 1 })

    const run = await runtime.run(['run', '-t', 'local', '-p', '1', '-D', 'execution.runtime-mode=BATCH', '/job/words.ts'], { mounts })
    expect(run.code, run.stderr).toBe(0)
    const printed = run.stdout.split('\n').filter(line => line.startsWith('('))
    expect(printed.sort()).toEqual(['(be,2)', '(not,1)', '(or,1)', '(to,2)'])
  })

  test('of the runtime image: a script in SQL, which writes to S3', async () => {
    const server = await S3Server.start()
    try {
      server.createBucket('results')
      const table = "fruit STRING, amount INT) WITH ('connector' = 'filesystem', 'format' = 'csv'"
      const { mounts } = workFolder({
        'orders/1.csv': 'apples,3\npears,4\napples,5\n',
        'orders.sql': `
          CREATE TABLE orders (${table}, 'path' = '/job/orders');
          CREATE TABLE sold (${table}, 'path' = 's3://results/sold');
          INSERT INTO sold SELECT UPPER(fruit), amount FROM orders WHERE amount > 3;`,
      })
      const options = Object.entries(server.configuration().toObject()).flatMap(([key, value]) => ['-D', `${key}=${value}`])
      const { code, stderr } = await runtime.run(['run', '-t', 'local', '-p', '1', ...options, '/job/orders.sql'], { mounts, isOnLoopback: true })
      expect(code, stderr).toBe(0)
      expect(server.objects('results')).toEqual([expect.stringMatching(/^part-/)])
    } finally {
      await server.stop()
    }
  })

  test('of an image that is built on the runtime image: an inline program imports a package that was added', async () => {
    const extended = new UnpackedImage(join(folder, 'millrace.tar'), join(folder, 'extended'))
    const added = join(extended.root, 'opt/millrace/node_modules/louder')
    mkdirSync(added)
    writeFileSync(join(added, 'package.json'), '{"name": "louder", "version": "1.0.0", "main": "main.js"}')
    writeFileSync(join(added, 'main.js'), 'exports.louder = text => `${text.toUpperCase()}!`')
    const { work } = workFolder({})
    const { mounts } = workFolder({
      'job.ts': "import { louder } from 'louder'\nexport default env => { env.fromElements('hey').map(louder).print() }",
    })
    const { code, stdout, stderr } = await extended.run(['run', '-t', 'local', '-p', '1', '/opt/millrace/program/job.ts'], {
      mounts: { '/opt/millrace/program': mounts['/job'] ?? '', '/var/lib/millrace': work },
    })
    expect(code, stderr).toBe(0)
    expect(stdout.split('\n')).toContain('HEY!')
  })

  test('of the runtime image: the packages that cannot be bundled load, with their native parts', async () => {
    const script = `for (const name of ${JSON.stringify([...packagesOutsideBundles, '@node-rs/crc32'])}) console.log(name, typeof (await import(name)))`
    const args = ['--input-type=module', '--eval', script]
    const { code, stdout, stderr } = await runtime.run(args, { command: ['node'], workingDirectory: '/opt/millrace' })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe('esbuild object\n@platformatic/kafka object\n@node-rs/crc32 object\n')
  })

  test('nothing can be written but /tmp and what is mounted, and not as root', async () => {
    const script = `
      const { writeFileSync } = require('node:fs')
      const tried = path => { try { writeFileSync(path, 'x'); return 'written' } catch (error) { return error.code } }
      console.log(process.getuid(), process.getgid(), ...['/tmp/a', '/var/lib/millrace/a', '/opt/millrace/a', '/etc/passwd'].map(tried))`
    const { mounts } = workFolder({})
    for (const image of [runtime, operator]) {
      const { stdout } = await image.run(['--eval', script], { command: ['node'], mounts })
      expect(stdout).toBe('65532 65532 written written EROFS EROFS\n')
    }
  })

  test('of the operator image: its help, and away from a cluster it says what is missing', async () => {
    const help = await operator.run(['operator', '--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toContain('Usage: millrace operator [options]')
    expect((await operator.run(operator.configuration.Cmd)).stdout).toContain('Usage: millrace [options] [command]')
    const away = await operator.run(['operator', '--image', 'millrace'])
    expect(away).toMatchObject({ code: 1, stderr: '' })
    expect(away.stdout).toContain('this is no pod (KUBERNETES_SERVICE_HOST is not set)')
  })

  test('of the operator image: it leads and works at a real API server, and gives its Lease back when it is stopped', async () => {
    await using plane = await KubeControlPlane.start()
    await plane.installDefinitions()
    const [probes] = await freePorts(1)
    const { mounts } = workFolder({ token: plane.token, 'ca.crt': plane.ca })
    const kube = ['--kube-url', plane.url, '--token-file', '/job/token', '--ca-file', '/job/ca.crt', '--leader-election-namespace', 'default']
    const stop = new AbortController()
    const args = ['operator', '--image', 'millrace', ...kube, '--probe-address', `127.0.0.1:${probes}`]
    const ended = operator.run(args, { mounts, isOnLoopback: true, signal: stop.signal })
    try {
      const script = 'export default env => { env.fromElements(1).print() }'
      const job = { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', metadata: { name: 'words' }, spec: { job: { script } } }
      await plane.kubectl(['create', '-f', '-'], JSON.stringify(job))
      const pods = async () => (await plane.kubectl(['get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[*].image}'])).trim()
      await expect.poll(pods, { timeout: 60_000, interval: 100 }).toBe('millrace')
      expect(await plane.kubectl(['get', 'lease', 'millrace-operator', '-o', 'jsonpath={.spec.holderIdentity}'])).not.toBe('')
    } finally {
      stop.abort()
    }
    const { code, stderr } = await ended
    expect(code, stderr).toBe(0)
    expect(await plane.kubectl(['get', 'lease', 'millrace-operator', '-o', 'jsonpath={.spec.holderIdentity}'])).toBe('')
  })
})

test('another checkout comes to the same images', () => {
  // Inside the repository, for links to the packages only work on one file system.
  mkdirSync(join(repository, 'test-results'), { recursive: true })
  const copy = mkdtempSync(join(repository, 'test-results/checkout-'))
  try {
    for (const path of ['bin', 'runtime', 'operator', 'package.json', 'Containerfile', 'LICENSE'])
      cpSync(join(repository, path), join(copy, path), { recursive: true })
    execFileSync('cp', ['-al', join(repository, 'node_modules'), copy])
    // Somebody whose files are nobody else's to read.
    const run = (script: string) =>
      execFileSync('sh', ['-c', 'umask 077; exec "$@"', 'sh', process.execPath, script], { cwd: copy, encoding: 'utf8' })
    run('bin/image-roots.ts')
    expect(run('bin/image.ts')).toBe(built.map(({ name, archive }) => `dist/images/${name}.tar: sha256:${archive.digest}\n`).join(''))
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
})

/** Files of a job under /job, and a folder that its container may write to. */
function workFolder(files: Readonly<Record<string, string>>): { work: string; mounts: Record<string, string> } {
  const job = mkdtempSync(join(folder, 'job-'))
  const work = mkdtempSync(join(folder, 'work-'))
  chmodSync(job, 0o755)
  chmodSync(work, 0o777)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(job, path)), { recursive: true })
    writeFileSync(join(job, path), content)
  }
  return { work, mounts: { '/job': job, '/var/lib/millrace': work } }
}

function pathsOf(root: string): string[] {
  return (readdirSync(root, { recursive: true }) as string[]).sort()
}

function sizeOf(root: string): number {
  return pathsOf(root).reduce((sum, path) => sum + lstatSync(join(root, path)).size, 0)
}

function listing(root: string): string[] {
  return pathsOf(root).map(path => {
    const stat = lstatSync(join(root, path))
    const content = stat.isFile()
      ? createHash('sha256')
          .update(readFileSync(join(root, path)))
          .digest('hex')
      : ''
    return `${path} ${stat.mode.toString(8)} ${stat.uid} ${stat.gid} ${stat.mtimeMs} ${content}`
  })
}
