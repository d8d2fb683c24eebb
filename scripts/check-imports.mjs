// Checks that imports inside packages/core/src fall: door, with-cache.ts, wiring, options, wings, ports, model; and that the other
// packages use the core's door for store authors alone.
//
// - a file imports only from its own folder and from layers below; `errors.ts` may be imported by all;
// - a wing never imports another wing;
// - `drizzle-orm` is imported by the wing `drizzle/` alone; the doors, the wiring and the options may import its types;
// - no other package is imported: the core has no runtime dependencies;
// - no circles, type imports included;
// - packages/redis and packages/store-conformance import their own sources, `node:` and `drizzle-aside/store`.
//
// Usage: node scripts/check-imports.mjs [folder]. Prints `file:line: what is wrong` and exits with 1 if there is any.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const wings = ['drizzle', 'catalog', 'read', 'write', 'map', 'register', 'stores', 'watch']

// Higher numbers are higher up in the house.
const levels = {
  'index.ts': 7,
  'store.ts': 7,
  'with-cache.ts': 6,
  wiring: 5,
  'options.ts': 4,
  ...Object.fromEntries(wings.map((wing) => [wing, 3])),
  ports: 2,
  model: 1,
  'errors.ts': 0,
}
const mayImportDrizzleTypes = ['index.ts', 'store.ts', 'with-cache.ts', 'wiring', 'options.ts']

const here = fileURLToPath(new URL('..', import.meta.url))
const folder = resolve(process.argv[2] ?? join(here, 'packages', 'core', 'src'))
const beside = ['redis', 'store-conformance'].map((name) => join(here, 'packages', name, 'src'))
const besides = process.argv[2] ? [] : beside
const found = [...(existsSync(folder) ? checkImports(folder) : []), ...besides.flatMap((each) => checkBeside(each))]
for (const { file, line, what } of found) console.log(`${relative(process.cwd(), file)}:${line}: ${what}`)
if (found.length > 0) process.exit(1)
console.log(`imports fall (${[folder, ...besides].map((each) => relative(process.cwd(), each) || '.').join(', ')})`)

function checkImports(root) {
  const files = sourceFiles(root)
  const imports = files.flatMap((file) => importsOf(file))
  return [
    ...files.flatMap((file) => homeless(root, file)),
    ...imports.flatMap((each) => judge(root, each)),
    ...circles(root, files, imports),
  ].sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line)
}

function checkBeside(root) {
  const files = sourceFiles(root)
  const imports = files.flatMap((file) => importsOf(file))
  return [...imports.flatMap((each) => judgeBeside(root, each)), ...circles(root, files, imports)]
}

function judgeBeside(root, { file, line, name }) {
  if (name === 'drizzle-aside/store' || name.startsWith('node:')) return []
  if (!name.startsWith('.'))
    return [{ file, line, what: `imports '${name}'; beside the core only drizzle-aside/store` }]
  const target = resolveImport(file, name)
  if (target === undefined) return [{ file, line, what: `'${name}' is no file` }]
  return layerOf(root, target).startsWith('..') ? [{ file, line, what: `'${name}' leaves the package's sources` }] : []
}

function homeless(root, file) {
  const what = `${layerOf(root, file)} belongs to no layer: ${Object.keys(levels).join(', ')}`
  return levelOf(root, file) === undefined ? [{ file, line: 1, what }] : []
}

function judge(root, each) {
  const what = each.name.startsWith('.') ? judgeRelative(root, each) : judgePackage(root, each)
  return what ? [{ file: each.file, line: each.line, what }] : []
}

function judgeRelative(root, { file, name }) {
  const target = resolveImport(file, name)
  if (target === undefined) return `'${name}' is no file`
  const [from, to] = [layerOf(root, file), layerOf(root, target)]
  if (to.startsWith('..')) return `'${name}' leaves the package's sources`
  if (from === to) return undefined
  if (wings.includes(from) && wings.includes(to)) return `the wing ${from}/ imports the wing ${to}/`
  const [above, below] = [levelOf(root, file), levelOf(root, target)]
  if (above === undefined || below === undefined || below < above) return undefined
  // Errors may name the data that they carry; a circle would be reported as such.
  if (from === 'errors.ts' && to === 'model') return undefined
  return `${from} imports ${to}, which is not below it`
}

function judgePackage(root, { file, name, typeOnly }) {
  if (name.startsWith('node:')) return undefined
  const from = layerOf(root, file)
  if (!/^drizzle-orm(\/|$)/.test(name)) return `imports the package '${name}'; the core depends on drizzle-orm only`
  if (from === 'drizzle') return undefined
  if (!mayImportDrizzleTypes.includes(from)) return `imports '${name}'; only drizzle/ may`
  return typeOnly ? undefined : `imports '${name}' by value; outside drizzle/ only 'import type' may`
}

/** One violation per circle, told at the import that closes it. */
function circles(root, files, imports) {
  const edges = new Map(files.map((file) => [file, []]))
  for (const each of imports) {
    const target = each.name.startsWith('.') ? resolveImport(each.file, each.name) : undefined
    if (target && edges.has(target)) edges.get(each.file).push({ target, line: each.line })
  }
  const done = new Set()
  const path = []
  const violations = []
  const visit = (file) => {
    path.push(file)
    for (const { target, line } of edges.get(file)) {
      const start = path.indexOf(target)
      if (start >= 0) {
        const circle = [...path.slice(start), target].map((each) => relative(root, each)).join(' -> ')
        violations.push({ file, line, what: `closes a circle: ${circle}` })
      } else if (!done.has(target)) visit(target)
    }
    path.pop()
    done.add(file)
  }
  for (const file of files) if (!done.has(file)) visit(file)
  return violations
}

function importsOf(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
  const found = []
  const add = (node, literal, typeOnly) => {
    if (!literal || !ts.isStringLiteralLike(literal)) return
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
    found.push({ file, line, name: literal.text, typeOnly })
  }
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, node.importClause?.isTypeOnly ?? false)
    else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, true)
    else if (ts.isCallExpression(node) && isImportCall(node)) add(node, node.arguments[0], false)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function isImportCall(node) {
  const called = node.expression
  return called.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(called) && called.text === 'require')
}

function resolveImport(file, name) {
  const target = resolve(dirname(file), name)
  const spellings = [target, target.replace(/\.js$/, '.ts'), `${target}.ts`, join(target, 'index.ts')]
  return spellings.find((each) => each.endsWith('.ts') && existsSync(each))
}

/** The first step of the path: a folder's name, or the file's own name where it lies at the top. */
function layerOf(root, file) {
  return relative(root, file).split(sep)[0]
}

function levelOf(root, file) {
  return levels[layerOf(root, file)]
}

function sourceFiles(root) {
  return readdirSync(root, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}
