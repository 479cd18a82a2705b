import { afterAll, beforeAll } from 'vitest'
import { openStore } from '../../../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { noLog } from '../../../runtime/common/log.ts'
import { objectStoreContract } from '../../support/object-store-contract.ts'
import { S3Server } from '../../support/s3-server.ts'

let server: S3Server
beforeAll(async () => {
  server = await S3Server.start()
  server.createBucket('checkpoints')
})
afterAll(() => server.stop())

let stores = 0
objectStoreContract('s3', () => openStore(`s3://checkpoints/store-${stores++}/deep`, server.configuration(), { clock: systemClock, log: noLog }))
