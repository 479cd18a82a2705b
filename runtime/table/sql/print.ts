import { unreachable } from '../../common/assert.ts'
import { printType, quoteString } from '../types/type-text.ts'
import type { Expression } from './ast-expression.ts'
import type { Property } from './ast-query.ts'
import type { Column, CreateFunction, CreateTable, Drop, Insert, PrimaryKey, Show, Statement } from './ast-statement.ts'
import { printExpression, printName, printPath } from './print-expression.ts'
import { printQuery } from './print-query.ts'

/** A statement as SQL on one line; parsing it again gives the same tree but for positions. */
export function printStatement(statement: Statement): string {
  switch (statement.kind) {
    case 'createTable':
      return printCreateTable(statement)
    case 'createView': {
      const columns = statement.columns.map(printName)
      const head = `CREATE ${word(statement.temporary, 'TEMPORARY ')}VIEW ${word(statement.ifNotExists, 'IF NOT EXISTS ')}${printPath(statement.path)}`
      return `${head}${columns.length === 0 ? '' : ` (${columns.join(', ')})`}${printComment(statement.comment)} AS ${printQuery(statement.query)}`
    }
    case 'createFunction':
      return printCreateFunction(statement)
    case 'createDatabase': {
      const options = statement.options.length === 0 ? '' : ` WITH ${printProperties(statement.options)}`
      return `CREATE DATABASE ${word(statement.ifNotExists, 'IF NOT EXISTS ')}${printPath(statement.path)}${printComment(statement.comment)}${options}`
    }
    case 'drop':
      return printDrop(statement)
    case 'insert':
      return printInsert(statement)
    case 'query':
      return printQuery(statement.query)
    case 'explain':
      return `EXPLAIN ${statement.details.length === 0 ? '' : `${statement.details.join(', ')} `}${printExplained(statement.statement)}`
    case 'describe':
      return `DESCRIBE ${word(statement.extended, 'EXTENDED ')}${printPath(statement.path)}`
    case 'show':
      return printShow(statement)
    case 'use':
      return `USE ${word(statement.object === 'CATALOG', 'CATALOG ')}${printPath(statement.path)}`
    case 'set':
      return statement.key === undefined ? 'SET' : `SET ${quoteString(statement.key)} = ${quoteString(statement.value ?? '')}`
    case 'reset':
      return statement.key === undefined ? 'RESET' : `RESET ${quoteString(statement.key)}`
    case 'beginStatementSet':
      return 'BEGIN STATEMENT SET'
    case 'endStatementSet':
      return 'END'
    case 'statementSet':
      return `EXECUTE ${printExplained(statement)}`
    default:
      return unreachable(statement)
  }
}

export function printExpressionText(expression: Expression): string {
  return printExpression(expression, printQuery)
}

function word(present: boolean, text: string): string {
  return present ? text : ''
}

/** EXPLAIN takes a statement set without EXECUTE. */
function printExplained(statement: (Statement & { kind: 'explain' })['statement']): string {
  if (statement.kind !== 'statementSet') return printStatement(statement)
  return `STATEMENT SET BEGIN ${statement.statements.map(insert => `${printInsert(insert)};`).join(' ')} END`
}

function printComment(comment: string | undefined): string {
  return comment === undefined ? '' : ` COMMENT ${quoteString(comment)}`
}

function printProperties(properties: readonly Property[]): string {
  return `(${properties.map(({ key, value }) => `${quoteString(key)} = ${quoteString(value)}`).join(', ')})`
}

function printCreateTable(table: CreateTable): string {
  const elements = table.columns.map(printColumn)
  if (table.watermark !== undefined)
    elements.push(`WATERMARK FOR ${printPath(table.watermark.column)} AS ${printExpressionText(table.watermark.expression)}`)
  if (table.primaryKey !== undefined) elements.push(printPrimaryKey(table.primaryKey))
  const head = `CREATE ${word(table.temporary, 'TEMPORARY ')}TABLE ${word(table.ifNotExists, 'IF NOT EXISTS ')}${printPath(table.path)}`
  const partitioned = table.partitionedBy.length === 0 ? '' : ` PARTITIONED BY (${table.partitionedBy.map(printName).join(', ')})`
  const options = table.options.length === 0 ? '' : ` WITH ${printProperties(table.options)}`
  return `${head}${elements.length === 0 ? '' : ` (${elements.join(', ')})`}${printComment(table.comment)}${partitioned}${options}`
}

function printColumn(column: Column): string {
  const name = printName(column.name)
  switch (column.kind) {
    case 'physical':
      return `${name} ${printType(column.type)}${printComment(column.comment)}`
    case 'computed':
      return `${name} AS ${printExpressionText(column.expression)}${printComment(column.comment)}`
    case 'metadata': {
      const from = column.key === undefined ? '' : ` FROM ${quoteString(column.key)}`
      return `${name} ${printType(column.type)} METADATA${from}${word(column.virtual, ' VIRTUAL')}${printComment(column.comment)}`
    }
    default:
      return unreachable(column)
  }
}

function printPrimaryKey(key: PrimaryKey): string {
  const constraint = key.name === undefined ? '' : `CONSTRAINT ${printName(key.name)} `
  return `${constraint}PRIMARY KEY (${key.columns.map(printName).join(', ')})${word(!key.enforced, ' NOT ENFORCED')}`
}

function printCreateFunction(statement: CreateFunction): string {
  const head = `CREATE ${word(statement.temporary, 'TEMPORARY ')}${word(statement.system, 'SYSTEM ')}FUNCTION ${word(statement.ifNotExists, 'IF NOT EXISTS ')}`
  const language = statement.language === undefined ? '' : ` LANGUAGE ${statement.language}`
  const using = statement.using.map(({ type, path }) => `${type} ${quoteString(path)}`).join(', ')
  return `${head}${printPath(statement.path)} AS ${quoteString(statement.identifier)}${language}${using === '' ? '' : ` USING ${using}`}`
}

function printDrop(drop: Drop): string {
  const head = `DROP ${word(drop.temporary, 'TEMPORARY ')}${word(drop.system, 'SYSTEM ')}${drop.object} ${word(drop.ifExists, 'IF EXISTS ')}`
  return `${head}${printPath(drop.path)}${word(drop.cascade, ' CASCADE')}`
}

function printInsert(insert: Insert): string {
  const partition = insert.partition.map(({ name, value }) => `${printName(name)} = ${printExpressionText(value)}`).join(', ')
  const columns = insert.columns.map(printPath).join(', ')
  const target = `${printPath(insert.path)}${partition === '' ? '' : ` PARTITION (${partition})`}${columns === '' ? '' : ` (${columns})`}`
  return `INSERT ${insert.overwrite ? 'OVERWRITE' : 'INTO'} ${target} ${printQuery(insert.query)}`
}

function printShow(show: Show): string {
  const from = show.path === undefined ? '' : ` ${word(!show.object.startsWith('CREATE'), 'FROM ')}${printPath(show.path)}`
  const like = show.like === undefined ? '' : ` ${word(show.like.negated, 'NOT ')}${show.like.operator} ${quoteString(show.like.pattern)}`
  return `SHOW ${show.object}${from}${like}`
}
