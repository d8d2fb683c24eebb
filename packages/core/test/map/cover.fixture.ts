/**
 * Schemas and queries in a few words, for tests of what a query rests on.
 *
 * A schema is a line for each table: `posts: id! author_id>users title:none? slug:text% status:enum:mood~ (a,b) %(c,d)`.
 * `!` primary key, `%` unique, `~` index, `>table` foreign key to its primary key, `?` nullable; in parentheses composite
 * classes and unique keys. `#rls`, `#inherited`, `#unproven` (its foreign keys), `#matview` and `#view=posts` mark the table.
 *
 * A query: `from users u left posts p on p.author_id = u.id and p.x in ($1 $2) where u.id = $0 or ? limit 3`. `?` is an
 * opaque condition or source, `(from …)` a query in a FROM, `exists (…)` and `scalar (…)` queries in other places.
 */
import {
  type CatalogFacts,
  type ColumnFacts,
  type RelationFacts,
  relationId,
  type TokenKind,
} from '../../src/model/facts.ts'
import { type Scheme, TableKeys } from '../../src/model/keys.ts'
import type { Block, JoinKind, Predicate, QueryShape, Source, Term } from '../../src/model/query-shape.ts'
import { relation } from '../relation.fixture.ts'

export interface Schema {
  readonly tables: ReadonlyMap<string, RelationFacts>
  readonly facts: CatalogFacts
  schemesOf(relation: RelationFacts): readonly Scheme[]
}

const keysByTable = new WeakMap<RelationFacts, TableKeys>()

export function keysOf(table: RelationFacts): TableKeys {
  const keys = keysByTable.get(table) ?? new TableKeys('n', 'd', table.schema, table.name)
  keysByTable.set(table, keys)
  return keys
}

export function schemaOf(text: string): Schema {
  const lines = text.split('\n').flatMap((line) => line.trim() || [])
  const tables = new Map<string, RelationFacts>()
  const schemes = new Map<string, Scheme[]>()
  for (const line of lines) {
    const read = readTable(line, tables)
    tables.set(read.facts.name, read.facts)
    schemes.set(read.facts.id, read.schemes)
  }
  const relations = new Map([...tables.values()].map((table) => [table.id, table]))
  return {
    tables,
    facts: { relations } as unknown as CatalogFacts,
    schemesOf: ({ id }) => schemes.get(id) ?? [],
  }
}

interface ReadColumn {
  readonly facts: ColumnFacts
  readonly marks: string
  readonly parent: string | undefined
}

function readTable(line: string, tables: ReadonlyMap<string, RelationFacts>) {
  const [name = '', ...words] = line.replace(':', '').split(/\s+/)
  const flags = words.filter((word) => word.startsWith('#'))
  const groups = words.filter((word) => word.includes('('))
  const columns = words.filter((word) => !flags.includes(word) && !groups.includes(word)).map(readColumn)
  const named = (mark: string) =>
    columns.filter(({ marks }) => marks.includes(mark)).map((column) => [column.facts.name])
  const composite = (unique: boolean) =>
    groups.filter((group) => group.startsWith('%') === unique).map((group) => group.replace(/[%()]/g, '').split(','))
  const primaryKey = named('!').flat()
  const uniqueKeys = [...named('%'), ...composite(true)]
  const parents = columns.flatMap(({ parent }) => parent ?? []).filter((parent, i, all) => all.indexOf(parent) === i)
  const view = flags.find((flag) => flag.startsWith('#view='))?.slice(6)
  const facts = relation('', {
    id: relationId('public', name),
    name,
    kind: view ? 'view' : flags.includes('#matview') ? 'materialized view' : 'table',
    columns: new Map(columns.map((column) => [column.facts.name, column.facts])),
    primaryKey: primaryKey.length > 0 ? primaryKey : undefined,
    uniqueKeys,
    rowSecurity: flags.includes('#rls'),
    inheritanceChildren: flags.includes('#inherited'),
    reads: view ? view.split(',').map((each) => relationId('public', each)) : [],
    outgoing: parents.flatMap((parent) => {
      const parentColumns = tables.get(parent)?.primaryKey ?? primaryKey
      const own = columns.flatMap((column) => (column.parent === parent ? column.facts.name : []))
      const keys = parentColumns.length > 1 ? [own] : own.map((column) => [column])
      const proven = !flags.includes('#unproven')
      return keys.map((key) => ({ parent: relationId('public', parent), columns: key, parentColumns, proven }))
    }),
  })
  const classes = [...named('~'), ...composite(false), ...facts.outgoing.map(({ columns: own }) => own)]
  const tokens = new Map(columns.map((column) => [column.facts.name, column.facts.token]))
  const scheme = (kind: Scheme['kind']) => (own: readonly string[]) => keysOf(facts).scheme(kind, own, tokens)
  const primary = primaryKey.length > 0 && !view ? [scheme('primary')(primaryKey)] : []
  return { facts, schemes: [...primary, ...uniqueKeys.map(scheme('unique')), ...classes.map(scheme('class'))] }
}

function readColumn(word: string): ReadColumn {
  const [, name = '', token = 'int', type, marks = '', parent] =
    /^(\w+)(?::(\w+))?(?::(\w+))?([!%~?]*)(?:>(\w+))?$/.exec(word.replace(/>(\w+)([!%~?]+)$/, '$2>$1')) ?? []
  const notNull = !marks.includes('?')
  const facts = { name, sqlType: type ?? token, token: token as TokenKind, notNull, generated: false }
  return { facts, marks, parent }
}

// ---- queries

/** A block of a test: what `QueryShape` knows and what it does not. */
export interface TestBlock {
  readonly sources: readonly TestSource[]
  readonly where: Test | undefined
  /** Sub-queries in the select list. */
  readonly scalars: readonly TestBlock[]
  /** Further members of a UNION ALL, or common table expressions. */
  readonly members: readonly TestBlock[]
  readonly count: boolean
  readonly limit: number | undefined
  readonly offset: number
  /** Columns of the select list; every column of its own tables where it is undefined. */
  readonly select: readonly Term[] | undefined
  readonly order: readonly Term[]
}

export type TestSource = { readonly join: JoinKind; readonly on: Test | undefined } & (
  | { readonly ref: number }
  | { readonly block: TestBlock }
  | { readonly opaque: true }
)

export type Test =
  | { readonly kind: 'and' | 'or'; readonly members: readonly Test[] }
  | Extract<Predicate, { kind: 'same' | 'equals' | 'in' | 'null' | 'never' | 'other' }>
  | { readonly kind: 'not'; readonly member: Test }
  | { readonly kind: 'less'; readonly term: Term; readonly value: number }
  | { readonly kind: 'exists'; readonly block: TestBlock }

export interface TestQuery {
  readonly root: TestBlock
  /** Table names by reference. */
  readonly tables: readonly string[]
}

export const emptyBlock: TestBlock = {
  sources: [],
  where: undefined,
  scalars: [],
  members: [],
  count: false,
  limit: undefined,
  offset: 0,
  select: undefined,
  order: [],
}

const keywords = new Set(
  'from inner left right full cross on where scalar member count limit offset order select'.split(' '),
)

export function parseQuery(text: string): TestQuery & { readonly aliases: readonly string[] } {
  const words = text.match(/\$\d+|[\w.]+|[()=<?]/g) ?? []
  const tables: string[] = []
  const aliases: string[] = []
  let at = 0
  const skip = (word: string): boolean => words[at] === word && ++at > 0
  const need = (word: string): void => {
    if (!skip(word)) throw new Error(`${word} expected at ${words.slice(at).join(' ')} in ${text}`)
  }
  const next = (): string => words[at++] ?? ''
  const operand = (): number => Number(next().slice(1))
  const term = (): Term => {
    const [alias = '', column = ''] = next().split('.')
    // The last of that name: inner aliases hide outer ones.
    const ref = aliases.lastIndexOf(alias)
    if (ref < 0 || !column) throw new Error(`${alias}.${column} is not known in ${text}`)
    return { ref, column }
  }
  const terms = (): Term[] => {
    const list: Term[] = []
    while (/\w\.\w/.test(words[at] ?? '')) list.push(term())
    return list
  }
  const inside = <T>(read: () => T): T => {
    need('(')
    const found = read()
    need(')')
    return found
  }

  function block(): TestBlock {
    const sources: TestSource[] = []
    const found: { -readonly [Key in keyof TestBlock]: TestBlock[Key] } = { ...emptyBlock }
    const [scalars, members]: [TestBlock[], TestBlock[]] = [[], []]
    for (;;) {
      if (/^(from|inner|left|right|full|cross)$/.test(words[at] ?? '')) sources.push(source(next() as JoinKind))
      else if (skip('where')) found.where = either()
      else if (skip('scalar')) scalars.push(inside(block))
      else if (skip('member')) members.push(inside(block))
      else if (skip('count')) found.count = true
      else if (skip('limit')) found.limit = Number(next())
      else if (skip('offset')) found.offset = Number(next())
      else if (skip('order')) found.order = terms()
      else if (skip('select')) found.select = terms()
      else return { ...found, sources, scalars, members }
    }
  }

  function source(join: JoinKind): TestSource {
    const item = what()
    return { ...item, join, on: skip('on') ? either() : undefined }
  }

  function what(): { ref: number } | { block: TestBlock } | { opaque: true } {
    if (skip('?')) return { opaque: true }
    if (words[at] === '(') return { block: inside(block) }
    const table = next()
    const alias = words[at] !== undefined && /^\w+$/.test(words[at] as string) && !keywords.has(words[at] as string)
    aliases.push(alias ? next() : table)
    return { ref: tables.push(table) - 1 }
  }

  function either(): Test {
    const members = [both()]
    while (skip('or')) members.push(both())
    return members.length === 1 ? (members[0] as Test) : { kind: 'or', members }
  }

  function both(): Test {
    const members = [atom()]
    while (skip('and')) members.push(atom())
    return members.length === 1 ? (members[0] as Test) : { kind: 'and', members }
  }

  function atom(): Test {
    if (words[at] === '(') return inside(either)
    if (skip('never')) return { kind: 'never' }
    if (skip('?')) return { kind: 'other' }
    if (skip('not')) return { kind: 'not', member: atom() }
    if (skip('exists')) return { kind: 'exists', block: inside(block) }
    const left = term()
    if (skip('null')) return { kind: 'null', term: left }
    if (skip('<')) return { kind: 'less', term: left, value: operand() }
    if (skip('in')) return { kind: 'in', term: left, values: inside(operands) }
    need('=')
    if (words[at]?.startsWith('$')) return { kind: 'equals', term: left, value: operand() }
    return { kind: 'same', left, right: term() }
  }

  function operands(): number[] {
    const list: number[] = []
    while (words[at]?.startsWith('$')) list.push(operand())
    return list
  }

  const root = block()
  if (at < words.length) throw new Error(`not read: ${words.slice(at).join(' ')} in ${text}`)
  return { root, tables, aliases }
}

// ---- from a test's query to the shape that the map sees

export function shapeOf({ root, tables }: TestQuery, schema: Schema, change: Partial<QueryShape> = {}): QueryShape {
  const reached = tables.map(() => new Set<string>())
  for (const { ref, column } of everyTerm(root, tables, schema)) reached[ref]?.add(column)
  const selected = selectedOf(root, tables, schema)
  return {
    refs: tables.map((name, ref) => ({ table: { name }, reached: reached[ref] as Set<string> })),
    root: blockOf(root),
    selected,
    learnable: !root.count && root.members.length === 0 && root.scalars.length === 0,
    usedElsewhere: new Set(usedElsewhere(root).map(({ ref }) => ref)),
    raw: false,
    kind: 'list',
    ...change,
  }
}

/** The select list: what it names, or every column of the block's own tables. */
export function selectedOf(block: TestBlock, tables: readonly string[], schema: Schema): readonly Term[] {
  if (block.count) return []
  if (block.select) return block.select
  return block.sources.flatMap((source) => {
    if (!('ref' in source)) return []
    const table = schema.tables.get(tables[source.ref] as string)
    return [...(table?.columns.keys() ?? [])].map((column) => ({ ref: source.ref, column }))
  })
}

function blockOf(block: TestBlock): Block {
  const inner: Block[] = [...block.scalars, ...block.members].map(blockOf)
  const read = (test: Test | undefined): Predicate | undefined => test && predicateOf(test, inner)
  const where = read(block.where)
  const sources = block.sources.map((source): Source => {
    const on = read(source.on)
    return 'block' in source ? { ...source, on, block: blockOf(source.block) } : { ...source, on }
  })
  return { sources, where, inner }
}

function predicateOf(test: Test, inner: Block[]): Predicate {
  switch (test.kind) {
    case 'and':
    case 'or':
      return { kind: test.kind, members: test.members.map((member) => predicateOf(member, inner)) }
    case 'exists':
      inner.push(blockOf(test.block))
      return { kind: 'other' }
    case 'not':
      predicateOf(test.member, inner)
      return { kind: 'other' }
    case 'less':
      return { kind: 'other' }
    default:
      return test
  }
}

export function blocksIn(test: Test | undefined): readonly TestBlock[] {
  if (test?.kind === 'and' || test?.kind === 'or') return test.members.flatMap(blocksIn)
  if (test?.kind === 'not') return blocksIn(test.member)
  return test?.kind === 'exists' ? [test.block] : []
}

function termsIn(test: Test | undefined): readonly Term[] {
  switch (test?.kind) {
    case 'and':
    case 'or':
      return test.members.flatMap(termsIn)
    case 'not':
      return termsIn(test.member)
    case 'same':
      return [test.left, test.right]
    case 'equals':
    case 'in':
    case 'null':
    case 'less':
      return [test.term]
    default:
      return []
  }
}

/** Whether a condition stands in it of which nothing is known, not even the columns. */
export function holdsOpaque(block: TestBlock): boolean {
  return conditionsOf(block).some(isOpaque) || innerBlocks(block).some(holdsOpaque)
}

function isOpaque(test: Test | undefined): boolean {
  if (test?.kind === 'and' || test?.kind === 'or') return test.members.some(isOpaque)
  return test?.kind === 'not' ? isOpaque(test.member) : test?.kind === 'other'
}

const conditionsOf = (block: TestBlock) => [block.where, ...block.sources.map(({ on }) => on)]

function innerBlocks(block: TestBlock): readonly TestBlock[] {
  const derived = block.sources.flatMap((source) => ('block' in source ? [source.block] : []))
  return [...derived, ...block.scalars, ...block.members, ...conditionsOf(block).flatMap(blocksIn)]
}

function everyTerm(block: TestBlock, tables: readonly string[], schema: Schema): readonly Term[] {
  return [
    ...conditionsOf(block).flatMap(termsIn),
    ...selectedOf(block, tables, schema),
    ...block.order,
    ...innerBlocks(block).flatMap((inner) => everyTerm(inner, tables, schema)),
  ]
}

/** Terms outside the root's select list and the plain equalities of its joins. */
function usedElsewhere(root: TestBlock): readonly Term[] {
  const on = root.sources.flatMap((source) => conjuncts(source.on).filter(({ kind }) => kind !== 'same'))
  const deeper = (block: TestBlock): readonly Term[] => [
    ...conditionsOf(block).flatMap(termsIn),
    ...(block.select ?? []),
    ...block.order,
    ...innerBlocks(block).flatMap(deeper),
  ]
  return [...[root.where, ...on].flatMap(termsIn), ...root.order, ...innerBlocks(root).flatMap(deeper)]
}

const conjuncts = (test: Test | undefined): readonly Test[] =>
  test?.kind === 'and' ? test.members.flatMap(conjuncts) : test ? [test] : []
