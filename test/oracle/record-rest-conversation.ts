import { writeFile } from 'node:fs/promises'
import { converse } from '../support/rest-conversation.ts'
import { realRestSubject } from '../support/rest-subject.ts'

/** Writes rest-conversation.json beside it, from a JobManager that is started for it: node test/oracle/record-rest-conversation.ts */
await using subject = await realRestSubject()
const exchanges = await converse(subject)
await writeFile(new URL('rest-conversation.json', import.meta.url), `${JSON.stringify(exchanges, undefined, 2)}\n`)
