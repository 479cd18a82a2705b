import { join } from 'node:path'
import { repository } from './image/packages.ts'
import { images, stageRoot } from './image/root-fs.ts'

/** `make image-roots`: the root file systems and bills of materials of both images, which the Containerfile builds on. */
for (const image of images) await stageRoot(image, join(repository, 'dist/images'))
