import type { DebianPackage } from './debian.ts'
import type { NpmPackage } from './packages.ts'

export interface Contents {
  readonly image: string
  readonly version: string
  readonly license: string
  readonly nodeVersion: string
  readonly npm: readonly NpmPackage[]
  readonly debian: readonly DebianPackage[]
}

type Component = Readonly<Record<string, unknown>> & { readonly purl: string }

/** Bill of materials in CycloneDX 1.6. It has no serial number and no time: the same contents come to the same text. */
export function sbomOf({ image, version, license, nodeVersion, npm, debian }: Contents): string {
  const components = [
    component('application', undefined, 'node', nodeVersion, `pkg:generic/node@${nodeVersion}`, 'MIT'),
    ...npm.map(each => npmComponent(each)),
    ...debian.map(({ name, version, architecture, release }) =>
      component(
        'library',
        'debian',
        name,
        version,
        `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=${release}`,
        undefined,
      ),
    ),
  ]
  // A package may lie in two places.
  const byPurl = [...new Map(components.map(each => [each.purl, each])).values()].sort((a, b) => (a.purl < b.purl ? -1 : 1))
  const subject = { type: 'container', 'bom-ref': image, name: image, version, licenses: [{ license: { id: license } }] }
  return `${JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1, metadata: { component: subject }, components: byPurl }, undefined, 2)}\n`
}

function npmComponent({ name: fullName, version, license }: NpmPackage): Component {
  const [, scope, name = ''] = /^(?:(@[^/]+)\/)?(.+)$/.exec(fullName) ?? []
  const namespace = scope === undefined ? '' : `${encodeURIComponent(scope)}/`
  return component('library', scope, name, version, `pkg:npm/${namespace}${name}@${encodeURIComponent(version)}`, license)
}

function component(type: string, group: string | undefined, name: string, version: string, purl: string, license: string | undefined): Component {
  // What is no single SPDX id is an expression of several: `(MIT OR Apache-2.0)`.
  const licenses = license === undefined ? {} : { licenses: [/\s/.test(license) ? { expression: license } : { license: { id: license } }] }
  return { type, 'bom-ref': purl, ...(group === undefined ? {} : { group }), name, version, ...licenses, purl }
}
