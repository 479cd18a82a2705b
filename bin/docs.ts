import { writeFileSync } from 'node:fs'
import { configurationPage, errorsPage, generated, sqlFunctionsPage } from './docs-pages.ts'
import { operatorPage } from './operator-docs.ts'

/** Writes the generated pages of docs/ from the tables they describe: `node bin/docs.ts`. A test holds page and table equal. */
const docs = new URL('../docs/', import.meta.url)
writeFileSync(new URL('configuration.md', docs), configurationPage())
writeFileSync(new URL('errors.md', docs), errorsPage())
writeFileSync(new URL('sql-functions.md', docs), sqlFunctionsPage())
writeFileSync(new URL('operator.md', docs), operatorPage(generated))
