import type { TableShape } from '../drizzle/table-shape.ts'
import { reachCache } from '../map/reach.ts'
import { refusedLists, type SchemeChoices, schemesLeftOut, tableSchemes } from '../map/schemes.ts'
import { type FacetMap, facetMap } from '../model/facets.ts'
import { type CatalogFacts, findRelation, isTemporary, type RelationFacts, type RelationId } from '../model/facts.ts'
import { type Scheme, TableKeys } from '../model/keys.ts'
import type { TableSettings } from '../model/record.ts'
import { type RegisteredTable, type Registration, registrationOf } from '../model/registration.ts'
import type { ResolvedOptions } from '../options.ts'
import type { Listener } from '../ports/events.ts'
import { DEFAULT_TTL_MS, type Listed, listTables, nothingChosen, settingsOf } from './table-settings.ts'

export interface OwnTablesWith {
  readonly options: ResolvedOptions
  readonly shape: (table: object) => TableShape
  /** Of how many parts the keys of a table are in the store. */
  readonly buckets: number
  readonly emit: Listener
  /** Facts that a caller goes by may be old: see `Catalog.lastFacts`. */
  lastFacts(): CatalogFacts | undefined
  /** False where a driver's parser rewrites text: then nothing has a name that PostgreSQL knows. */
  textIsExact(): boolean
  isOutbox(relation: RelationFacts): boolean
}

/** What `tables: 'all'` caches: answers rest on these, and on views by what they read. */
const keepsRows: ReadonlySet<RelationFacts['kind']> = new Set(['table', 'partitioned', 'materialized view'])

/** The tables of one configuration: which are cached, how, under which keys, and which schemes and groups they have. */
export class OwnTables {
  readonly #with: OwnTablesWith
  readonly #listed: readonly Listed[] | 'all'
  readonly #entries = new Map<RelationId, { version: number; entry: Listed | undefined }>()
  readonly #keysOf = new Map<RelationId, { database: string; keys: TableKeys }>()
  readonly #schemesOf = new Map<RelationId, { version: number; schemes: readonly Scheme[] }>()
  readonly #facetsOf = new Map<RelationId, { version: number; facets: FacetMap }>()
  readonly #toldLists = new Set<string>()
  #allSettings: TableSettings | undefined
  #reachBy: { facts: CatalogFacts; reach: ReturnType<typeof reachCache> } | undefined
  #registration: Registration | undefined

  constructor(given: OwnTablesWith) {
    this.#with = given
    this.#listed = listTables(given.options, given.shape)
  }

  // —— what was said of them ——

  /** What the user listed for a relation, under whatever name. */
  entry(relation: RelationFacts): Listed | undefined {
    const facts = this.#with.lastFacts()
    if (!facts) return undefined
    const known = this.#entries.get(relation.id)
    if (known?.version === facts.version) return known.entry
    const entry = this.#entryOf(relation, facts)
    this.#entries.set(relation.id, { version: facts.version, entry })
    return entry
  }

  #entryOf(relation: RelationFacts, facts: CatalogFacts): Listed | undefined {
    if (this.#listed === 'all') return undefined
    // The last one wins, so that a list of all tables can be followed by exceptions.
    return [...this.#listed]
      .reverse()
      .find(({ shape }) => findRelation(facts, shape.schema, shape.name)?.id === relation.id)
  }

  /** Undefined: the table is not cached. */
  settings(relation: RelationFacts): TableSettings | undefined {
    if (this.#with.isOutbox(relation) || isTemporary(relation)) return undefined
    if (this.#listed === 'all') {
      this.#allSettings ??= settingsOf({}, this.#with.options, undefined)
      return this.#allSettings
    }
    const entry = this.entry(relation)
    return entry?.cached ? entry.settings : undefined
  }

  isCached(relation: RelationFacts): boolean {
    if (this.#with.isOutbox(relation) || isTemporary(relation)) return false
    if (this.#listed === 'all') return keepsRows.has(relation.kind)
    return this.entry(relation)?.cached === true
  }

  /** How old a last known answer may be at most; undefined where none may stand in. */
  longestStale(): number | undefined {
    const { maxStaleMs } = this.#with.options
    const all = this.#listed === 'all' ? [maxStaleMs] : this.#listed.map(({ settings }) => settings.maxStaleMs)
    const asked = all.filter((ms) => ms !== undefined)
    return asked.length > 0 ? Math.max(...asked) : undefined
  }

  /** How long the longest answer lives, in milliseconds. */
  longestLife(): number {
    const entries = this.#listed === 'all' ? [] : this.#listed
    const lives = entries.map(({ settings }) => settings.ttlMs * (1 + settings.jitter))
    return Math.max(DEFAULT_TTL_MS, this.longestStale() ?? 0, ...lives)
  }

  // —— where a write reaches ——

  /** The tables that triggers and rules of a table write, as declared. */
  affects(facts: CatalogFacts, id: RelationId): RelationId[] | undefined {
    const relation = facts.relations.get(id)
    const declared = relation && this.entry(relation)?.affects
    return declared?.flatMap(({ schema, name }) => findRelation(facts, schema, name)?.id ?? [])
  }

  reach(facts: CatalogFacts): ReturnType<typeof reachCache> {
    if (this.#reachBy?.facts !== facts) {
      this.#reachBy = { facts, reach: reachCache(facts, (id) => this.affects(facts, id)) }
    }
    return this.#reachBy.reach
  }

  // —— their keys, schemes and groups ——

  keys(relation: RelationFacts, facts: CatalogFacts): TableKeys {
    let known = this.#keysOf.get(relation.id)
    if (known?.database !== facts.database) {
      const { schema, name } = relation
      const { options, buckets } = this.#with
      const keys = new TableKeys(options.namespace, facts.database, schema, name, buckets)
      known = { database: facts.database, keys }
      this.#keysOf.set(relation.id, known)
    }
    return known.keys
  }

  /** The schemes that entries of this configuration may rest on. */
  schemes(relation: RelationFacts, facts: CatalogFacts): readonly Scheme[] {
    let known = this.#schemesOf.get(relation.id)
    if (known?.version !== facts.version) {
      const choices = this.choices(relation)
      this.#tellRefusedLists(relation, choices)
      const keys = this.keys(relation, facts)
      const schemes = this.#with.textIsExact() ? tableSchemes(relation, keys, choices) : []
      known = { version: facts.version, schemes }
      this.#schemesOf.set(relation.id, known)
    }
    return known.schemes
  }

  choices(relation: RelationFacts): SchemeChoices {
    const { lists, sensitive } = this.settings(relation) ?? nothingChosen
    return { lists, sensitive, sealKey: this.#with.options.encryption?.sealKeys[0] }
  }

  #tellRefusedLists(relation: RelationFacts, choices: SchemeChoices): void {
    const beyond = schemesLeftOut(relation, choices).map((columns) => ({
      columns,
      reason: 'too-many-schemes' as const,
    }))
    for (const { columns, reason } of [...refusedLists(relation, choices), ...beyond]) {
      const name = JSON.stringify([relation.id, columns, reason])
      if (this.#toldLists.has(name)) continue
      this.#toldLists.add(name)
      this.#with.emit({ type: 'listRefused', table: relation.name, columns, reason })
    }
  }

  /** The column groups that this configuration declares. */
  facets(relation: RelationFacts, facts: CatalogFacts): FacetMap {
    let known = this.#facetsOf.get(relation.id)
    if (known?.version !== facts.version) {
      known = { version: facts.version, facets: facetMap(this.settings(relation)?.facets ?? []) }
      this.#facetsOf.set(relation.id, known)
    }
    return known.facets
  }

  // —— for the register ——

  /** What this configuration keeps. */
  registration(facts: CatalogFacts): Registration {
    const cached = [...facts.relations.values()].filter((relation) => this.isCached(relation))
    const made = registrationOf(cached.map((relation) => this.#registered(relation, facts)))
    // Facts that are read again mostly say the same; what is known of one registration holds for an equal one.
    if (this.#registration?.digest !== made.digest) this.#registration = made
    return this.#registration ?? made
  }

  #registered(relation: RelationFacts, facts: CatalogFacts): RegisteredTable {
    const { schema, name } = relation
    const schemes = this.schemes(relation, facts).map(({ kind, columns, seal }) => ({
      kind,
      columns,
      check: seal?.check,
    }))
    return { schema, name, schemes, groups: this.settings(relation)?.facets ?? [] }
  }
}
