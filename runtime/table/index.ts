import type { StreamExecutionEnvironment } from '../api/environment.ts'
import { SqlScript } from './planner/script.ts'

/**
 * SQL. A script is a program: `sqlProgram(text, name)` answers the function that builds its job, so a .sql file travels as any other program does
 * and every worker plans it again.
 *
 * 1. parse (sql/), 2. run the statements in order: DDL fills the tables, SET configures, INSERT and SELECT bind (planner/bind-*) to a logical plan,
 * 3. rules (planner/rules/), 4. physical nodes (plan/physical.ts), 5. operators of the StreamGraph (planner/translate.ts).
 *
 * All INSERTs and SELECTs of a script are one job.
 */
export function sqlProgram(script: string, name: string): (env: StreamExecutionEnvironment, args: readonly string[]) => void {
  return env => {
    const sql = new SqlScript(env, name)
    sql.run(script)
  }
}
