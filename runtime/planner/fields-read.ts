import { types } from 'node:util'
import { type AnyNode, type ArrayPattern, type Expression, type ObjectPattern, parse } from 'acorn'

/**
 * Proves from a function's source which fields of its first parameter it can read, so that the others need not be sent to it.
 *
 * 1. The source is what V8 says it is (`Function.prototype.toString`), parsed by acorn. Native and bound functions have none.
 * 2. The parameter is a pattern without a rest: its keys are what is read. Or it is a name: then every use of the name must be `p.field`, `p['field']`,
 *    `p[0]` or `const { field } = p`, read and not called. Nested functions count, unless they declare the name themselves.
 * 3. Whatever else is done with it, and whatever could reach the row in another way (`arguments`, `eval`, `with`), is no proof: undefined, which
 *    means that all fields are read.
 *
 * Default is refusal: nodes that this file does not know are walked, and the bare name anywhere in them refuses. A scope that is not recognised as
 * declaring the name only makes its uses count, which is never wrong.
 */

type FunctionNode = Extract<AnyNode, { type: 'ArrowFunctionExpression' | 'FunctionDeclaration' | 'FunctionExpression' }>

/** Indices into `fields`, in order; undefined = nothing is proved. `fn` is a function, or an object whose method `method` is called. */
export function fieldsRead(fn: unknown, method: string, fields: readonly string[]): readonly number[] | undefined {
  const called = typeof fn === 'function' ? fn : methodOf(fn, method)
  // A sloppy function can be asked for its arguments from outside: `f.arguments[0]`. Strict ones, arrows and methods have no such property.
  if (called === undefined || Object.hasOwn(called, 'arguments')) return undefined
  const node = parseFunction(Function.prototype.toString.call(called))
  if (node === undefined) return undefined
  const names = new FieldUses(called === fn ? undefined : method).of(node)
  if (names === undefined) return undefined
  const indices = new Set<number>()
  for (const name of names) {
    const index = fields.indexOf(name)
    // What a row inherits (`length`, `toString`) may lead back to the row.
    if (index < 0) return undefined
    indices.add(index)
  }
  return [...indices].sort((a, b) => a - b)
}

/** A method that stays what it is: no accessor, no proxy, and no `open` that may put another function in its place. */
function methodOf(object: unknown, method: string): object | undefined {
  if (typeof object !== 'object' || object === null || 'open' in object) return undefined
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (types.isProxy(at)) return undefined
    const property = Object.getOwnPropertyDescriptor(at, method)
    if (property !== undefined) return typeof property.value === 'function' ? property.value : undefined
  }
  return undefined
}

function parseFunction(source: string): FunctionNode | undefined {
  const expression = parseExpression(`(${source})`)
  if (expression?.type === 'ArrowFunctionExpression' || expression?.type === 'FunctionExpression') return expression
  if (expression !== undefined) return undefined
  // A method in short form.
  const object = parseExpression(`({${source}})`)
  const [property] = object?.type === 'ObjectExpression' ? object.properties : []
  return property?.type === 'Property' && property.value.type === 'FunctionExpression' ? property.value : undefined
}

/** Undefined when the text is anything but one expression. */
function parseExpression(text: string): Expression | undefined {
  try {
    const [statement, ...others] = parse(text, { ecmaVersion: 'latest', sourceType: 'script', checkPrivateFields: false }).body
    return statement?.type === 'ExpressionStatement' && others.length === 0 ? statement.expression : undefined
  } catch {
    return undefined
  }
}

/** Thrown where the proof ends. */
class NotProved extends Error {}

function refuse(): never {
  throw new NotProved()
}

class FieldUses {
  private readonly names = new Set<string>()
  /** Of the object that the function is a method of. */
  private readonly method: string | undefined
  private parameter = ''

  constructor(method: string | undefined) {
    this.method = method
  }

  of(fn: FunctionNode): ReadonlySet<string> | undefined {
    try {
      refuseOtherWays(fn, this.method)
      const [first, ...others] = fn.params
      if (first === undefined) return this.names
      const target = first.type === 'AssignmentPattern' ? first.left : first
      switch (target.type) {
        case 'ObjectPattern':
        case 'ArrayPattern':
          // Nobody else has a name for the row.
          this.addKeys(target)
          return this.names
        case 'Identifier':
          this.parameter = target.name
          if (first.type === 'AssignmentPattern') this.visit(first.right)
          for (const other of others) this.visit(other)
          this.visit(fn.body)
          return this.names
        default:
          return undefined
      }
    } catch (error) {
      if (error instanceof NotProved) return undefined
      throw error
    }
  }

  private addKeys(pattern: ObjectPattern | ArrayPattern): void {
    if (pattern.type === 'ArrayPattern') {
      for (const [i, element] of pattern.elements.entries()) {
        if (element?.type === 'RestElement') refuse()
        if (element !== null) this.names.add(String(i))
      }
      return
    }
    for (const property of pattern.properties) {
      if (property.type === 'RestElement') refuse()
      this.names.add(keyOf(property) ?? refuse())
    }
  }

  private visit(node: AnyNode): void {
    switch (node.type) {
      case 'Identifier':
        if (this.isParameter(node)) refuse()
        return
      case 'MemberExpression':
        if (this.isParameter(node.object)) {
          this.names.add(keyOf({ computed: node.computed, key: node.property }) ?? refuse())
          return
        }
        this.visit(node.object)
        if (node.computed) this.visit(node.property)
        return
      case 'VariableDeclarator':
        if (node.init !== null && node.init !== undefined && this.isParameter(node.init)) {
          if (node.id.type !== 'ObjectPattern' && node.id.type !== 'ArrayPattern') refuse()
          this.addKeys(node.id)
          this.visit(node.id)
          return
        }
        break
      case 'CallExpression':
        this.visitCalled(node.callee)
        for (const argument of node.arguments) this.visit(argument)
        return
      case 'TaggedTemplateExpression':
        this.visitCalled(node.tag)
        this.visit(node.quasi)
        return
      case 'AssignmentExpression':
        this.visitTarget(node.left)
        this.visit(node.right)
        return
      case 'UpdateExpression':
        this.visitTarget(node.argument)
        return
      case 'UnaryExpression':
        if (node.operator === 'delete') this.visitTarget(node.argument)
        else this.visit(node.argument)
        return
      case 'ForInStatement':
      case 'ForOfStatement':
        if (node.left.type === 'VariableDeclaration') {
          this.visit(node.right)
          if (this.isLexical(node.left)) return
          this.visit(node.left)
        } else {
          this.visitTarget(node.left)
          this.visit(node.right)
        }
        this.visit(node.body)
        return
      case 'ForStatement':
        if (node.init?.type === 'VariableDeclaration' && this.isLexical(node.init)) {
          for (const { init } of node.init.declarations) if (init !== null && init !== undefined) this.visit(init)
          return
        }
        break
      case 'BlockStatement':
        if (node.body.some(statement => this.declares(statement))) return
        break
      case 'CatchClause':
        if (node.param !== null && node.param !== undefined && this.binds(node.param)) return
        break
      case 'ClassExpression':
        if (node.id !== null && node.id !== undefined && this.isParameter(node.id)) return
        break
      case 'FunctionExpression':
      case 'FunctionDeclaration':
      case 'ArrowFunctionExpression':
        this.visitFunction(node)
        return
      case 'Property':
      case 'MethodDefinition':
      case 'PropertyDefinition':
        if (node.computed) this.visit(node.key)
        if (node.value !== null && node.value !== undefined) this.visit(node.value)
        return
      default:
    }
    for (const child of childrenOf(node)) this.visit(child)
  }

  /** A method that is called gets what stands before it. */
  private visitCalled(node: AnyNode): void {
    const callee = node.type === 'ChainExpression' ? node.expression : node
    if (callee.type === 'MemberExpression' && this.isParameter(callee.object)) refuse()
    this.visit(callee)
  }

  /** What is written to. */
  private visitTarget(node: AnyNode): void {
    switch (node.type) {
      case 'ChainExpression':
        this.visitTarget(node.expression)
        return
      case 'MemberExpression':
        if (this.isParameter(node.object)) refuse()
        this.visit(node)
        return
      case 'ArrayPattern':
        for (const element of node.elements) if (element !== null) this.visitTarget(element)
        return
      case 'ObjectPattern':
        for (const property of node.properties) {
          if (property.type === 'Property' && property.computed) this.visit(property.key)
          this.visitTarget(property.type === 'Property' ? property.value : property.argument)
        }
        return
      case 'AssignmentPattern':
        this.visitTarget(node.left)
        this.visit(node.right)
        return
      case 'RestElement':
        this.visitTarget(node.argument)
        return
      default:
        this.visit(node)
    }
  }

  private visitFunction(fn: FunctionNode): void {
    // The name of a declaration belongs to the block around it, which was looked at.
    if (fn.type === 'FunctionExpression' && fn.id !== null && fn.id !== undefined && this.isParameter(fn.id)) return
    if (fn.params.some(param => this.binds(param))) return
    // Parameters do not see what the body declares.
    for (const param of fn.params) this.visit(param)
    if (!this.hasVar(fn.body)) this.visit(fn.body)
  }

  private isParameter(node: AnyNode): boolean {
    return node.type === 'Identifier' && node.name === this.parameter
  }

  /** Whether a pattern makes a variable of the parameter's name. */
  private binds(pattern: AnyNode): boolean {
    switch (pattern.type) {
      case 'Identifier':
        return this.isParameter(pattern)
      case 'AssignmentPattern':
        return this.binds(pattern.left)
      case 'RestElement':
        return this.binds(pattern.argument)
      case 'ArrayPattern':
        return pattern.elements.some(element => element !== null && this.binds(element))
      case 'ObjectPattern':
        return pattern.properties.some(property => this.binds(property.type === 'Property' ? property.value : property.argument))
      default:
        return false
    }
  }

  /** Whether a statement makes the name another thing in the whole block that it stands in. */
  private declares(statement: AnyNode): boolean {
    if (statement.type === 'VariableDeclaration') return this.isLexical(statement)
    return (
      (statement.type === 'FunctionDeclaration' || statement.type === 'ClassDeclaration') && statement.id !== null && this.isParameter(statement.id)
    )
  }

  private isLexical(declaration: Extract<AnyNode, { type: 'VariableDeclaration' }>): boolean {
    return declaration.kind !== 'var' && declaration.declarations.some(({ id }) => this.binds(id))
  }

  /** A `var` of the name anywhere in a nested function, but not in functions inside it. */
  private hasVar(node: AnyNode): boolean {
    if (node.type === 'FunctionExpression' || node.type === 'FunctionDeclaration' || node.type === 'ArrowFunctionExpression') return false
    // Code of a class is a function each.
    if (node.type === 'ClassBody') return false
    if (node.type === 'VariableDeclaration' && node.kind === 'var' && node.declarations.some(({ id }) => this.binds(id))) return true
    return childrenOf(node).some(child => this.hasVar(child))
  }
}

/** Whatever could give a row by another way than the parameter's name, or make the name mean something else; and a method that replaces itself. */
function refuseOtherWays(node: AnyNode, method: string | undefined): void {
  if (node.type === 'WithStatement') refuse()
  if (node.type === 'Identifier' && (node.name === 'arguments' || node.name === 'eval')) refuse()
  if (node.type === 'AssignmentExpression' && node.left.type === 'MemberExpression' && method !== undefined) {
    const { object, computed, property } = node.left
    const name = keyOf({ computed, key: property })
    if (name === method || (name === undefined && object.type === 'ThisExpression')) refuse()
  }
  for (const child of childrenOf(node)) refuseOtherWays(child, method)
}

/** The name of a property that stands in the source; undefined = it is computed, or private. */
function keyOf({ computed, key }: { readonly computed: boolean; readonly key: AnyNode }): string | undefined {
  if (!computed && key.type === 'Identifier') return key.name
  if (key.type === 'Literal' && (typeof key.value === 'string' || typeof key.value === 'number')) return String(key.value)
  return undefined
}

function childrenOf(node: AnyNode): readonly AnyNode[] {
  const children: AnyNode[] = []
  for (const value of Object.values(node)) {
    for (const each of Array.isArray(value) ? value : [value]) if (isNode(each)) children.push(each)
  }
  return children
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string' && 'start' in value
}
