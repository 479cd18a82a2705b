import { join, relative } from 'node:path'
import { buildArchive } from './image/buildah.ts'
import { repository } from './image/packages.ts'
import { images } from './image/root-fs.ts'

/** `make image`: both images as archives, which `docker load`, `podman load` and `ctr image import` take. */
for (const image of images) {
  const { path, digest } = buildArchive(image, join(repository, 'dist/images'))
  console.log(`${relative(repository, path)}: sha256:${digest}`)
}
