import { entryHead } from '../model/entry.ts'
import type { Facet, FacetMap } from '../model/facets.ts'
import { type CatalogFacts, findRelation, type RelationFacts, type RelationId } from '../model/facts.ts'
import { byBytes, digest, type Scheme, stampKey, type TableKeys } from '../model/keys.ts'
import { paramsText } from '../model/params-text.ts'
import type { Payloads } from '../model/payload.ts'
import type { BoundCover, BoundDependency, QueryCover, WidenReason } from '../model/query-cover.ts'
import type { QueryShape, Term } from '../model/query-shape.ts'
import type { BypassReason } from '../model/reasons.ts'
import type { TableSettings } from '../model/record.ts'
import type {
  LearnedKeys,
  LoadRows,
  PartnerReader,
  ResultAnswer,
  ResultLookup,
  ResultQuestion,
} from '../model/result.ts'
import type { AskedWith, Learn, MergedSettings, RefPlan, ResultPlan, ToldCover } from '../model/result-plan.ts'
import type { RefreshSettings } from '../model/timing.ts'
import { tokenOf } from '../model/tokens.ts'
import type { SelectReading } from '../model/verdict.ts'
import type { ResultPort } from '../ports/paths.ts'
import type { ResultReader } from './read-results.ts'
import { environmentText, type PayloadIdentity } from './record-source.ts'
import { scopeText } from './scope-text.ts'

export interface ResultPathWith {
  facts(): CatalogFacts | undefined
  identity(): PayloadIdentity | undefined
  /** Settings of a cached relation; undefined: it is not cached. */
  settings(relation: RelationFacts): TableSettings | undefined
  schemes(relation: RelationFacts, facts: CatalogFacts): readonly Scheme[]
  facets(relation: RelationFacts, facts: CatalogFacts): FacetMap
  keys(relation: RelationFacts, facts: CatalogFacts): TableKeys
  /** True while the outcome of a write to the table is not known, or the table may not be read from the cache yet. */
  blocks(table: RelationId): BypassReason | undefined
  /** What the text of a query reads and calls. */
  reading(text: string, facts: CatalogFacts): SelectReading
  cover(
    shape: QueryShape,
    given: {
      facts: CatalogFacts
      relationOf(ref: number): RelationFacts
      schemesOf(relation: RelationFacts): readonly Scheme[]
    },
  ): QueryCover
  bind(
    cover: QueryCover,
    given: {
      params: readonly unknown[]
      facets(ref: number, table: RelationId): readonly Facet[]
      keys(table: RelationId): TableKeys
      max: number
    },
  ): BoundCover
  /** A dependency and a table for people. */
  label(dependency: BoundDependency): string
  tableLabel(table: RelationId): string
  tagKey(tag: string, facts: CatalogFacts): string
  /** Changes whenever plans must be made anew although the facts are the same. */
  revision(): string
  readonly payloads: Payloads
  readonly reader: ResultReader
}

/** Most stamps of one entry beside its epochs (DESIGN 4); more, and a table falls in for its classes. */
const MAX_STAMPS = 16
const MAX_STAMPS_WITH_ROWS = 64

/** With longer parameters a question is not remembered. */
const LONGEST_REMEMBERED = 256

/** Questions with their parameters that are remembered, over all structures. */
const MOST_LOOKUPS = 2_000

/** Structures that are remembered; a program that makes them at random may not fill the memory. */
const MOST_PLANS = 5_000

/** Whole results: plans by structure, and what one execution asks of the store. */
export class ResultPath implements ResultPort {
  readonly #with: ResultPathWith
  #plans = new Map<string, ResultPlan | BypassReason>()
  #plannedFor: { facts: CatalogFacts; identity: PayloadIdentity; revision: string } | undefined

  constructor(tools: ResultPathWith) {
    this.#with = tools
  }

  plan(question: ResultQuestion): ResultPlan | BypassReason {
    const facts = this.#with.facts()
    const identity = this.#with.identity()
    if (!facts || !identity) return 'starting'
    this.#startAnew(facts, identity)
    const name = question.named.length === 0 ? question.structure : nameOf(question)
    const known = this.#plans.get(name)
    if (known !== undefined) return known
    const plan = new Planner(this.#with, facts, identity, question, name).plan()
    if (this.#plans.size >= MOST_PLANS) this.#plans.clear()
    this.#plans.set(name, plan)
    return plan
  }

  #startAnew(facts: CatalogFacts, identity: PayloadIdentity): void {
    const revision = this.#with.revision()
    const before = this.#plannedFor
    if (before?.facts === facts && before.identity === identity && before.revision === revision) return
    this.#plannedFor = { facts, identity, revision }
    this.#plans = new Map()
    this.#forgetLookups()
  }

  /** What one execution asks of the store, or why it may not. */
  lookup(plan: ResultPlan, { params, ttlMs, tags }: AskedWith): ResultLookup | BypassReason {
    for (const table of plan.tables) {
      const reason = this.#with.blocks(table)
      if (reason) return reason
    }
    const scope = scopeOf(plan.settings.scopes)
    if (scope === undefined) return 'no-scope'
    const sent = paramsText(params)
    if (sent === undefined) return 'not-encodable'
    const tail = `${scope}${tags.map((tag) => `g${tag.length}:${tag}`).join('')}p${sent}`
    if (ttlMs !== undefined || tail.length > LONGEST_REMEMBERED)
      return this.#makeLookup(plan, params, tail, tags, ttlMs)
    const known = this.#lookups.get(plan)?.get(tail)
    return known ?? this.#remember(plan, tail, this.#makeLookup(plan, params, tail, tags, ttlMs))
  }

  /** By plan and by what follows its id in an entry: the same question under the same facts. */
  #lookups = new Map<ResultPlan, Map<string, ResultLookup>>()
  #remembered = 0

  #remember(plan: ResultPlan, tail: string, lookup: ResultLookup): ResultLookup {
    if (this.#remembered >= MOST_LOOKUPS) this.#forgetLookups()
    const ofPlan = this.#lookups.get(plan) ?? new Map<string, ResultLookup>()
    this.#lookups.set(plan, ofPlan.set(tail, lookup))
    this.#remembered++
    return lookup
  }

  #forgetLookups(): void {
    this.#lookups = new Map()
    this.#remembered = 0
  }

  #makeLookup(
    plan: ResultPlan,
    params: readonly unknown[],
    tail: string,
    tags: readonly string[],
    ttlMs: number | undefined,
  ): ResultLookup {
    const bound = this.#bind(plan, params)
    const tagKeys = tags.map((tag) => this.#with.tagKey(tag, this.#with.facts() as CatalogFacts))
    const named = this.#with.payloads.nameOf(tail)
    const structural = [...bound.dependencies.map(({ key }) => key), ...plan.whole]
    const stamps = [...new Set([...structural, ...tagKeys])].sort(byBytes)
    const { prefix, epochs } = homeOf(plan, structural)
    return {
      label: plan.label,
      kind: plan.kind,
      entryKey: prefix + digest(named),
      head: entryHead(plan.id + named),
      stamps: [...stamps, ...epochs],
      epochs: epochs.length,
      dependencies: bound.dependencies,
      reached: plan.reached,
      learn: plan.learns.length > 0 ? (rows) => learnedFrom(plan, rows, mostStamps(plan) - stamps.length) : undefined,
      widened: bound.widened.some(({ reason }) => reason === 'too-many-classes'),
      ttlMs: ttlMs ?? plan.settings.ttlMs,
      jitter: plan.settings.jitter,
      maxRows: plan.settings.maxRows,
      maxBytes: plan.settings.maxBytes,
      refresh: plan.settings.refresh,
      maxStaleMs: plan.settings.maxStaleMs,
    }
  }

  tell(plan: ResultPlan, params: readonly unknown[]): ToldCover {
    const { dependencies, widened } = this.#bind(plan, params)
    const tables = plan.restsOn.map(({ table }) => `${table} (table)`)
    const rows = plan.learns.map(({ label }) => label)
    return {
      dependsOn: [...new Set([...dependencies.map((one) => this.#with.label(one)), ...tables, ...rows])],
      widened: [
        ...widened.map(({ table, reason }) => ({ table: this.#with.tableLabel(table), reason })),
        ...plan.restsOn,
      ],
    }
  }

  #bind(plan: ResultPlan, params: readonly unknown[]): BoundCover {
    return this.#with.bind(plan.cover, {
      params,
      facets: (ref) => (plan.refs[ref] as RefPlan).facets,
      keys: (table) => plan.keysByTable.get(table) as TableKeys,
      max: mostStamps(plan),
    })
  }

  read(lookup: ResultLookup, load: LoadRows): Promise<ResultAnswer> {
    return this.#with.reader.read(lookup, load)
  }

  peek(lookup: ResultLookup): Promise<'hit' | 'miss' | 'unknown'> {
    return this.#with.reader.peek(lookup)
  }
}

const nameOf = ({ structure, named }: ResultQuestion): string =>
  `${structure}\n${named.map(({ schema = '', name }) => `${schema.length}:${schema}${name.length}:${name}`).join('')}`

/**
 * Where an answer lies, and which copies of its epochs it checks: beside the first stamp that it rests on, so that an answer
 * on one class needs one node of a store that has several. Without buckets it is always the same place.
 */
function homeOf(
  { keysByTable, named, epochs }: ResultPlan,
  stamps: readonly string[],
): { readonly prefix: string; readonly epochs: readonly string[] } {
  const [first] = keysByTable.values()
  if (!first || first.epochs.length === 1) return { prefix: first?.entryPrefix(named) ?? '', epochs }
  const [beside] = [...stamps].sort(byBytes)
  const all = [...keysByTable.values()]
  const home = beside === undefined ? first : (all.find((keys) => keys.bucketOf(beside) !== undefined) ?? first)
  const bucket = (beside !== undefined && home.bucketOf(beside)) || 0
  const copies = all.map((keys) => (keys === home ? (keys.epochs[bucket] as string) : keys.epoch))
  return { prefix: home.entryPrefix(named, bucket), epochs: copies.sort(byBytes) }
}

const mostStamps = ({ settings }: ResultPlan): number => (settings.rows ? MAX_STAMPS_WITH_ROWS : MAX_STAMPS)

function scopeOf(scopes: readonly (() => unknown)[]): string | undefined {
  let text = ''
  for (const scope of scopes) {
    const one = scopeText(scope)
    if (one === undefined) return undefined
    text += one
  }
  return text
}

function learnedFrom(plan: ResultPlan, rows: readonly (readonly unknown[])[], room: number): LearnedKeys {
  const keys = new Set<string>()
  let widened = false
  for (const learn of plan.learns) {
    const own = rowStamps(learn, rows, room - keys.size)
    widened ||= own === 'too-many'
    for (const key of typeof own === 'string' ? learn.table : own) keys.add(key)
  }
  return { keys: [...keys].sort(byBytes), widened }
}

/** A name where they cannot be told: then the table stands in for its rows. */
function rowStamps(
  { scheme, values }: Learn,
  rows: readonly (readonly unknown[])[],
  room: number,
): Set<string> | 'untold' | 'too-many' {
  const keys = new Set<string>()
  for (const row of rows) {
    const told = values(row)
    if (!told) return 'untold'
    for (const key of told) {
      // Nothing equals NULL: there is no partner, and none can come.
      if (key.includes(null)) continue
      const tokens = key.map((value, at) => tokenOf(scheme.tokens[at] ?? 'none', value))
      if (tokens.some((token) => token === undefined)) return 'untold'
      keys.add(stampKey(scheme, tokens as string[]))
      if (keys.size > room) return 'too-many'
    }
  }
  return keys
}

/** Makes the plan of one structure. */
class Planner {
  readonly #with: ResultPathWith
  readonly #facts: CatalogFacts
  readonly #identity: PayloadIdentity
  readonly #question: ResultQuestion
  readonly #name: string
  readonly #settings = new Map<RelationId, TableSettings>()
  readonly #whole = new Set<string>()
  readonly #restsOn = new Map<string, WidenReason>()
  readonly #reached = new Map<RelationId, ReadonlySet<string> | 'all'>()
  #rows = false

  constructor(
    tools: ResultPathWith,
    facts: CatalogFacts,
    identity: PayloadIdentity,
    question: ResultQuestion,
    name: string,
  ) {
    this.#with = tools
    this.#facts = facts
    this.#identity = identity
    this.#question = question
    this.#name = name
  }

  plan(): ResultPlan | BypassReason {
    const shape = this.#question.shape()
    const relations = shape.refs.map(({ table }) => findRelation(this.#facts, table.schema, table.name))
    if (relations.some((relation) => relation === undefined)) return 'untracked-table'
    const known = relations as RelationFacts[]
    const refusal = this.#readText(known) ?? this.#admit(shape, known)
    return refusal ?? this.#finish(shape, known)
  }

  /** A second look, by the text: what it calls, and each relation that it reads and the shape does not show. */
  #readText(relations: readonly RelationFacts[]): BypassReason | undefined {
    const { problem, volatile, session, relations: read } = this.#with.reading(this.#question.text(), this.#facts)
    const { named } = this.#question
    if (volatile || session) return 'volatile-function'
    if (problem !== undefined && named.length === 0) return 'raw-sql'
    const shown = new Map<RelationId, number>()
    for (const { id } of relations) shown.set(id, (shown.get(id) ?? 0) + 1)
    for (const [id, times] of read) {
      if (times > (shown.get(id) ?? 0)) this.#reads(this.#facts.relations.get(id) as RelationFacts)
    }
    for (const table of named) {
      const relation = findRelation(this.#facts, table.schema, table.name)
      if (!relation) return 'untracked-table'
      this.#reads(relation)
    }
    return undefined
  }

  readonly #readWhole: RelationFacts[] = []

  /** The query rests on the relation as a whole; on what is below it, where it is a view. */
  #reads(relation: RelationFacts): void {
    this.#readWhole.push(relation)
  }

  #below(relation: RelationFacts): RelationFacts[] {
    if (relation.kind !== 'view') return [relation]
    const found = relation.reads.map((id) => this.#facts.relations.get(id) as RelationFacts)
    return found.filter(({ kind }) => kind !== 'view')
  }

  /** Whether answers from these relations may be kept at all. */
  #admit(shape: QueryShape, relations: readonly RelationFacts[]): BypassReason | undefined {
    for (const relation of relations) if (relation.kind === 'view') this.#reads(relation)
    for (const relation of [...relations, ...this.#readWhole]) {
      if (relation.kind === 'foreign table') return 'foreign-table'
      if (relation.unsteadyView || relation.volatileView) return 'volatile-function'
      for (const base of this.#below(relation)) {
        const refusal = this.#admitTable(base)
        if (refusal) return refusal
      }
      // The policies of what is below a view decide for it, too.
      if (relation.rowSecurity && !this.#below(relation).every((base) => this.#settings.get(base.id)?.scope))
        return 'row-security'
    }
    return this.#sensitive(shape, relations)
  }

  #admitTable(relation: RelationFacts): BypassReason | undefined {
    if (relation.kind === 'foreign table') return 'foreign-table'
    const settings = this.#with.settings(relation)
    if (!settings) return 'untracked-table'
    if (relation.rowSecurity && !settings.scope) return 'row-security'
    this.#settings.set(relation.id, settings)
    return undefined
  }

  #sensitive(shape: QueryShape, relations: readonly RelationFacts[]): BypassReason | undefined {
    const hidden = (relation: RelationFacts): ReadonlySet<string> =>
      this.#settings.get(relation.id)?.hidden ?? new Set()
    for (const relation of this.#readWhole.flatMap((each) => this.#below(each)))
      if (hidden(relation).size > 0) return 'sensitive-column'
    const shows = shape.refs.some(({ reached }, ref) => {
      const secret = hidden(relations[ref] as RelationFacts)
      return secret.size > 0 && (reached === 'all' || [...reached].some((column) => secret.has(column)))
    })
    return shows ? 'sensitive-column' : undefined
  }

  #finish(shape: QueryShape, relations: readonly RelationFacts[]): ResultPlan {
    const facts = this.#facts
    const bases = [...new Set([...relations, ...this.#readWhole].flatMap((relation) => this.#below(relation)))]
    const keysByTable = new Map(bases.map((relation) => [relation.id, this.#with.keys(relation, facts)]))
    const refs = shape.refs.map(({ reached }, ref): RefPlan => {
      const relation = relations[ref] as RelationFacts
      this.#reach(relation, reached)
      return { relation, facets: this.#with.facets(relation, this.#facts).recordedBy(reached) }
    })
    const settings = this.#merge()
    this.#rows = settings.rows
    const { cover, learns, adds } = this.#learn(shape, relations, this.#coverOf(shape, relations))
    for (const relation of this.#readWhole)
      for (const base of this.#below(relation)) this.#restOnTable(base, relation.kind === 'view' ? 'view' : 'opaque')
    const first = bases[0]
    const restsOn = restText({ cover, refs, whole: [...this.#whole], learns, adds, settings })
    const id = this.#id(bases, restsOn)
    return {
      id,
      label: first ? `${first.schema}.${first.name}` : '',
      kind: shape.kind,
      cover,
      refs,
      reached: this.#reached,
      whole: [...this.#whole],
      restsOn: [...this.#restsOn].map(([table, reason]) => ({ table, reason })),
      tables: bases.map((relation) => relation.id),
      keysByTable,
      epochs: [...keysByTable.values()].map(({ epoch }) => epoch).sort(byBytes),
      learns,
      adds,
      named: digest(id),
      settings,
    }
  }

  #coverOf(shape: QueryShape, relations: readonly RelationFacts[]): QueryCover {
    const facts = this.#facts
    const cover = this.#with.cover(shape, {
      facts,
      relationOf: (ref) => relations[ref] as RelationFacts,
      schemesOf: (relation) => this.#with.schemes(relation, facts),
    })
    const isView = ({ ref }: { ref: number }): boolean => relations[ref]?.kind === 'view'
    return {
      covers: cover.covers.filter((one) => !isView(one)),
      learned: cover.learned.filter((one) => !isView(one)),
    }
  }

  /** Where the keys of partners, and with `rows` those of the rows themselves, stand in an answer. */
  #learn(shape: QueryShape, relations: readonly RelationFacts[], cover: QueryCover) {
    const learns: Learn[] = []
    const adds: Term[] = []
    const at = (term: Term): number => {
      const position = shape.selected.findIndex((one) => one?.ref === term.ref && one.column === term.column)
      if (position >= 0) return position
      let added = adds.findIndex((one) => one.ref === term.ref && one.column === term.column)
      if (added < 0) added = adds.push(term) - 1
      return shape.selected.length + added
    }
    const byTerms = (ref: number, scheme: Scheme, from: readonly Term[]): void => {
      const positions = from.map(at)
      const relation = relations[ref] as RelationFacts
      learns.push({
        scheme,
        ...this.#standIn(relation, scheme),
        values: (row) => [positions.map((position) => row[position])],
      })
    }
    for (const { ref, scheme, from } of cover.learned) byTerms(ref, scheme, from)
    const readable = this.#readable(relations, cover)
    for (const { reader, scheme } of readable) {
      const relation = relations[reader.ref] as RelationFacts
      const order = scheme.columns.map((column) => reader.references.indexOf(column))
      learns.push({ scheme, ...this.#standIn(relation, scheme), values: (row) => inOrder(reader.read(row), order) })
    }
    const read = new Set(readable.map(({ reader }) => reader.ref))
    const covers = cover.covers.filter(({ ref }) => !read.has(ref))
    if (this.#rows) this.#learnOwnRows(shape, relations, { covers, learned: cover.learned }, byTerms)
    return { cover: { covers, learned: cover.learned }, learns, adds }
  }

  /** Partners of a relational query whose keys its answers show, and which nothing narrower covers. */
  #readable(relations: readonly RelationFacts[], cover: QueryCover): { reader: PartnerReader; scheme: Scheme }[] {
    const readers = this.#question.partners?.() ?? []
    return readers.flatMap((reader) => {
      const relation = relations[reader.ref] as RelationFacts
      const scheme = this.#primary(relation)
      const own = cover.covers.find(({ ref }) => ref === reader.ref)
      const whole = own === undefined || own.widened !== undefined
      const { references } = reader
      const matched =
        scheme?.columns.length === references.length && scheme.columns.every((column) => references.includes(column))
      return scheme && whole && matched && this.#isTellable(reader, relations) ? [{ reader, scheme }] : []
    })
  }

  /** Whether the values that an answer shows are surely the partner's keys, of missing partners too. */
  #isTellable({ ref, references, from, seenIn, inJson }: PartnerReader, relations: readonly RelationFacts[]): boolean {
    const partner = relations[ref] as RelationFacts
    if (partner.rowSecurity || partner.inheritanceChildren) return false
    const pairs = from.map((term, at) => {
      const own = relations[term.ref]?.columns.get(term.column)
      return [own, partner.columns.get(references[at] as string)] as const
    })
    const alike = pairs.every(([own, key]) => {
      if (!own || !key || own.token === 'none' || own.token !== key.token) return false
      if (own.token === 'enum' && own.sqlType !== key.sqlType) return false
      return !inJson || (own.sqlType !== 'bigint' && key.sqlType !== 'bigint')
    })
    return alike && (seenIn === 'owner' || isNeverMissing(from, references, relations, partner))
  }

  #primary(relation: RelationFacts): Scheme | undefined {
    return this.#with.schemes(relation, this.#facts).find(({ kind }) => kind === 'primary')
  }

  /**
   * With `rows`, each row of an answer that a class covers also counts by its own key: another writer's move of it that
   * is committed and not yet resolved is then seen (V1). Where the keys cannot be had, the table stands in for them.
   */
  #learnOwnRows(
    shape: QueryShape,
    relations: readonly RelationFacts[],
    { covers, learned }: QueryCover,
    byTerms: (ref: number, scheme: Scheme, from: readonly Term[]) => void,
  ): void {
    const partners = new Set(learned.map(({ ref }) => ref))
    const inRoot = new Set(shape.root.sources.flatMap((source) => ('ref' in source ? [source.ref] : [])))
    for (const { ref, branches } of covers) {
      const relation = relations[ref] as RelationFacts
      if (!this.#settings.get(relation.id)?.rows || partners.has(ref)) continue
      const byKey = branches.every(([best]) => best?.scheme.kind === 'primary')
      if (byKey && branches.length > 0) continue
      const scheme = this.#primary(relation)
      if (!scheme || !shape.learnable || !inRoot.has(ref)) this.#restOnTable(relation, 'rows-not-told')
      else
        byTerms(
          ref,
          scheme,
          scheme.columns.map((column) => ({ ref, column })),
        )
    }
  }

  #standIn(relation: RelationFacts, { columns }: Scheme): Pick<Learn, 'table' | 'label'> {
    const key = columns.map((column) => `${column}=…`).join(', ')
    return { table: this.#tableStamps(relation), label: `${this.#with.tableLabel(relation.id)}[${key}] of each row` }
  }

  #tableStamps(relation: RelationFacts): string[] {
    const keys = this.#with.keys(relation, this.#facts)
    return this.#with.facets(relation, this.#facts).all.map((facet) => keys.table(facet))
  }

  #reach({ id }: RelationFacts, columns: ReadonlySet<string> | 'all'): void {
    const known = this.#reached.get(id) ?? new Set()
    this.#reached.set(id, known === 'all' || columns === 'all' ? 'all' : new Set([...known, ...columns]))
  }

  #restOnTable(relation: RelationFacts, reason: WidenReason): void {
    this.#reach(relation, 'all')
    this.#restsOn.set(this.#with.tableLabel(relation.id), reason)
    for (const key of this.#tableStamps(relation)) this.#whole.add(key)
  }

  #merge(): MergedSettings {
    const all = [...this.#settings.values()]
    const least = (value: (settings: TableSettings) => number): number => Math.min(...all.map(value))
    const scopes = new Set(all.flatMap(({ scope }) => (scope ? [scope] : [])))
    return {
      ttlMs: least(({ ttlMs }) => ttlMs),
      jitter: least(({ jitter }) => jitter),
      maxRows: least(({ maxRows }) => maxRows),
      maxBytes: least(({ maxBytes }) => maxBytes),
      rows: all.some(({ rows }) => rows),
      scopes: [...scopes],
      refresh: earliest(all.flatMap(({ refresh }) => refresh ?? [])),
      // Each of its tables must allow it.
      maxStaleMs: all.every(({ maxStaleMs }) => maxStaleMs !== undefined)
        ? least(({ maxStaleMs }) => maxStaleMs as number)
        : undefined,
    }
  }

  /** Everything that shapes an answer, or what it rests on, and is not a parameter. */
  #id(bases: readonly RelationFacts[], restsOn: string): string {
    const columns = bases.flatMap(({ id, columns: own }) => [
      id,
      ...[...own.values()].map(({ name, sqlType }) => `${name.length}:${name}${sqlType}`),
    ])
    return this.#with.payloads.digest(
      `${environmentText(this.#facts, this.#identity)}\n${columns.join('\n')}\n${restsOn}\n${this.#name}`,
    )
  }
}

/**
 * Wraps over one store may differ in lists, groups and `rows`. An entry holds its stamps in the order of its own plan: it
 * must not answer a wrap that promises more, and two wraps must not put their entries in one place by turns.
 */
function restText({ cover, refs, whole, learns, adds, settings }: Rest): string {
  const covers = cover.covers.map(({ ref, table, branches }) => [
    ref,
    table,
    branches.map((candidates) => candidates.map(({ scheme, values }) => [scheme.name, values])),
  ])
  const facets = refs.map((ref) => ref.facets)
  return JSON.stringify([covers, facets, whole, learns.map(({ label }) => label), adds, settings.rows])
}

/** One of its tables is enough: to fill an answer anew early makes nothing staler. */
function earliest(all: readonly RefreshSettings[]): RefreshSettings | undefined {
  if (all.length === 0) return undefined
  return { beta: Math.max(...all.map(({ beta }) => beta)), aheadMs: Math.max(...all.map(({ aheadMs }) => aheadMs)) }
}

type Rest = Pick<ResultPlan, 'cover' | 'refs' | 'whole' | 'learns' | 'adds' | 'settings'>

/** A proven foreign key on columns that are NOT NULL. */
function isNeverMissing(
  from: readonly Term[],
  references: readonly string[],
  relations: readonly RelationFacts[],
  partner: RelationFacts,
): boolean {
  const owner = relations[from[0]?.ref ?? -1]
  if (!owner || owner.inheritanceChildren || from.some((term) => !owner.columns.get(term.column)?.notNull)) return false
  const wanted = from.map(({ column }, at) => JSON.stringify([column, references[at]]))
  return owner.outgoing.some(({ proven, parent, columns, parentColumns }) => {
    const pairs = columns.map((column, at) => JSON.stringify([column, parentColumns[at]]))
    return (
      proven && parent === partner.id && pairs.length === wanted.length && wanted.every((one) => pairs.includes(one))
    )
  })
}

const inOrder = (
  values: readonly (readonly unknown[])[] | undefined,
  order: readonly number[],
): readonly (readonly unknown[])[] | undefined => values?.map((value) => order.map((position) => value[position]))
