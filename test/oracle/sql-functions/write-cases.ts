import { sqlCases } from './cases.ts'

/** Prints `zone TAB expression` lines for SqlFunctionOracle. */
process.stdout.write(sqlCases.map(({ zone, sql }) => `${zone}\t${sql}\n`).join(''))
