import { afterAll, beforeAll } from 'vitest'
import { openStore, type StoreAccess } from '../../../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { noLog } from '../../../runtime/common/log.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { catalogueContract } from '../../support/catalogue-contract.ts'
import { S3Server } from '../../support/s3-server.ts'

let server: S3Server
let folders = 0
beforeAll(async () => {
  server = await S3Server.start()
  server.createBucket('catalogue')
})
afterAll(() => server.stop())

const opener = (access: StoreAccess) => (uri: string) =>
  openStore(uri, server.configuration(), { clock: systemClock, random: systemRandom, log: noLog, access })
catalogueContract('s3://', { newFolder: async () => `s3://catalogue/folder-${folders++}`, write: opener('write'), read: opener('read') })
