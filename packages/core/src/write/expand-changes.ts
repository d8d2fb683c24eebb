import type { StampLoss } from '../model/facets.ts'
import type { CatalogFacts, RelationFacts, RelationId } from '../model/facts.ts'
import { findNamesakes, findRelation, isTemporary } from '../model/facts.ts'
import type { DerivedUnder, InvalidatedTable } from '../model/invalidation.ts'
import type { EpochReason } from '../ports/events.ts'
import type { CachedReach } from './reach-cached.ts'
import { Changes } from './scope.ts'
import type { WriteWith } from './write-with.ts'

type ExpandWith = Pick<
  WriteWith,
  'cached' | 'cachedRelations' | 'keys' | 'tagKey' | 'reach' | 'register' | 'isCertain' | 'classify'
>

/** Changes as the keys to remove, per table, with the reasons where a whole table falls. */
export interface Expanded {
  readonly batch: InvalidatedTable[]
  readonly labels: string[]
  readonly epochs: { readonly table: string; readonly reason: EpochReason }[]
  readonly keys: number
  /** What single stamps fall for, table by table. */
  readonly losses: ReadonlyMap<string, StampLoss>[]
  /** The schema changed: the catalog is to be read again. */
  readonly ddl: boolean
}

/** Makes of changes, as they were collected, what the store is told; wider where anything moved since they were derived. */
export class ChangeExpansion {
  readonly #with: ExpandWith
  readonly #reach: CachedReach

  constructor(tools: ExpandWith, reach: CachedReach) {
    this.#with = tools
    this.#reach = reach
  }

  /**
   * Closures and "all cached tables" are expanded here, when keys are made known, and not before. `atOnce`: the store is
   * told now, and not at some later time, when somebody may have begun to cache what nobody is known to.
   */
  expand(changes: Changes, facts: CatalogFacts, atOnce = true): Expanded {
    const resolved = this.resolve(changes, facts)
    const expanded: Expanded & { keys: number } = {
      batch: [],
      labels: [],
      epochs: [],
      keys: 0,
      losses: [],
      ddl: resolved.ddl,
    }
    const whole = resolved.everything ? this.#with.cachedRelations(facts) : []
    for (const relation of whole) resolved.addTable(relation.id, resolved.everything as EpochReason)
    for (const [id, change] of resolved.tables) {
      const relation = facts.relations.get(id)
      if (!relation || !this.#with.cached(relation)) continue
      const keys = this.#with.keys(relation, facts)
      expanded.labels.push(relation.name)
      if (change instanceof Map) {
        expanded.keys += change.size
        expanded.losses.push(change)
        const derived = this.#derived(relation, facts, resolved)
        expanded.batch.push({ epoch: keys.epoch, keys: [...change.keys()], ...(derived && { derived }) })
      } else {
        expanded.epochs.push({ table: relation.name, reason: change.reason })
        expanded.batch.push({ epoch: keys.epoch, keys: 'all' })
      }
    }
    // A tag is one stamp, like an epoch: there is nothing finer that would have to be told apart under it.
    for (const tag of resolved.tags) expanded.batch.push({ epoch: this.#with.tagKey(tag, facts), keys: 'all' })
    expanded.batch.push(...this.#unnoticed(resolved, facts, atOnce))
    return expanded
  }

  /**
   * Tables that the changes may reach and that nobody is known to cache: should somebody have begun to, the register says
   * so with the delivery, and their epochs fall.
   */
  #unnoticed(changes: Changes, facts: CatalogFacts, atOnce: boolean): InvalidatedTable[] {
    const { shared, version } = this.#with.register(facts)
    const isCertain = atOnce && this.#with.isCertain() && (changes.union ?? version) === version
    if (shared === undefined || isCertain) return []
    const reached = changes.everything ? [...facts.relations.keys()] : this.#reachable(changes, facts)
    return reached.flatMap((id) => {
      const relation = facts.relations.get(id)
      if (!relation || (changes.tables.has(id) && this.#with.cached(relation))) return []
      const derived = this.#derived(relation, facts, changes)
      return derived ? [{ epoch: this.#with.keys(relation, facts).epoch, keys: [], derived }] : []
    })
  }

  #reachable({ tables, harmless }: Changes, facts: CatalogFacts): RelationId[] {
    const from = new Set([...tables.keys(), ...harmless])
    const ways = [...from].map((id) => this.#with.reach(facts, id, 'any', 'all'))
    if (ways.some(({ undeclared }) => undeclared.length > 0)) return [...facts.relations.keys()]
    return [...new Set([...from, ...ways.flatMap((way) => [...way.tables.keys()])])]
  }

  /** What a statement was planned with; what only now became tables was understood under the union that is known now. */
  #derived(relation: RelationFacts, facts: CatalogFacts, { union }: Changes): DerivedUnder | undefined {
    const { shared, version } = this.#with.register(facts)
    return shared === undefined ? undefined : { register: shared, version: union ?? version, label: relation.name }
  }

  /** Names and texts understood under the facts: only tables are left. */
  resolve(changes: Changes, facts: CatalogFacts): Changes {
    const resolved = new Changes()
    resolved.absorb(changes)
    if (changes.since !== undefined && changes.since !== facts.version) this.#widen(resolved, facts, 'catalog-changed')
    else if (this.#isOutdated(changes, facts)) this.#widen(resolved, facts, 'register-changed')
    for (const { table, reason, anywhere } of changes.named) {
      const one = findRelation(facts, table.schema, table.name)
      const found =
        anywhere || (one && isTemporary(one)) ? findNamesakes(facts, table.schema, table.name) : one ? [one] : []
      for (const relation of found) this.addWhole(resolved, facts, relation, reason)
      if (found.length === 0) resolved.addEverything(reason)
    }
    for (const text of changes.texts) this.#resolveText(resolved, text, facts)
    return resolved
  }

  /** Another wrap in this process has come since; what another process does, the store says at the delivery. */
  #isOutdated({ union }: Changes, facts: CatalogFacts): boolean {
    const { shared, version } = this.#with.register(facts)
    return shared === undefined && union !== undefined && union !== version
  }

  /** Since the write was planned: there may be keys, and ways to other tables, that it did not know of. */
  #widen(resolved: Changes, facts: CatalogFacts, reason: EpochReason): void {
    for (const id of new Set([...resolved.tables.keys(), ...resolved.harmless])) {
      const relation = facts.relations.get(id)
      if (relation) this.addWhole(resolved, facts, relation, reason)
    }
  }

  #resolveText(resolved: Changes, text: string, facts: CatalogFacts): void {
    const verdict = this.#with.classify(text, facts)
    if (verdict.kind !== 'write') return
    resolved.ddl ||= verdict.ddl
    const tables = verdict.tables === 'unknown' ? [] : verdict.tables
    if (tables.length === 0) resolved.addEverything('raw-sql')
    for (const { schema, name } of tables) {
      const relation = findRelation(facts, schema, name)
      if (relation) this.addWhole(resolved, facts, relation, 'raw-sql')
      else resolved.addEverything('raw-sql')
    }
  }

  /** The whole table, and all that a write to it may reach. */
  addWhole(changes: Changes, facts: CatalogFacts, relation: RelationFacts, reason: EpochReason): void {
    changes.addTable(relation.id, reason)
    const { reached, everything } = this.#reach.find(facts, relation, ['any'], 'all')
    for (const { table, reason: way } of reached) changes.addTable(table, way)
    if (everything) changes.addEverything(everything)
  }
}
