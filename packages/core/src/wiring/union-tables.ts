import type { FacetMap } from '../model/facets.ts'
import type { CatalogFacts, RelationFacts, TokenKind } from '../model/facts.ts'
import type { Scheme, TableKeys } from '../model/keys.ts'
import type { EpochReason } from '../model/reasons.ts'
import { type SchemeColumns, type Union, unionFacets } from '../model/registration.ts'
import type { SealKey } from '../model/seal.ts'
import type { OwnTables } from './own-tables.ts'
import { nothingChosen } from './table-settings.ts'

export interface UnionTablesWith {
  readonly own: OwnTables
  readonly sealKeys: readonly SealKey[]
  /** What others keep in the store, as far as it is known. */
  union(): Union | undefined
  textIsExact(): boolean
}

/** What is kept of the tables by anybody who shares the store, this configuration included: what writes go by. */
export class UnionTables {
  readonly #with: UnionTablesWith
  readonly #own: OwnTables
  readonly #schemesOf = new WeakMap<
    RelationFacts,
    { union: Union | undefined; own: readonly Scheme[]; schemes: readonly Scheme[] }
  >()
  readonly #facetsOf = new WeakMap<object, { own: FacetMap; facets: FacetMap }>()

  constructor(given: UnionTablesWith) {
    this.#with = given
    this.#own = given.own
  }

  isCached(relation: RelationFacts): boolean {
    return this.#own.isCached(relation) || this.#with.union()?.tables.has(relation.id) === true
  }

  cachedRelations(facts: CatalogFacts): RelationFacts[] {
    return [...facts.relations.values()].filter((relation) => this.isCached(relation))
  }

  schemes(relation: RelationFacts, facts: CatalogFacts): readonly Scheme[] {
    const own = this.#own.schemes(relation, facts)
    const union = this.#with.union()
    const others = this.#with.textIsExact() && union?.tables.get(relation.id)?.schemes
    if (!others) return own
    const known = this.#schemesOf.get(relation)
    if (known?.union === union && known?.own === own) return known.schemes
    const tokens = new Map([...relation.columns.values()].map(({ name, token }) => [name, token]))
    const keys = this.#own.keys(relation, facts)
    const schemes = others.flatMap((scheme) => this.#schemeOfOthers(scheme, keys, tokens) ?? [])
    const names = new Set(own.map(({ name }) => name))
    const all = [...own, ...schemes.filter(({ name }) => !names.has(name))]
    this.#schemesOf.set(relation, { union, own, schemes: all })
    return all
  }

  /** Undefined where its values are named by a key that is not given here: such a table is not derivable. */
  #schemeOfOthers(
    { kind, columns, check }: SchemeColumns,
    keys: TableKeys,
    tokens: ReadonlyMap<string, TokenKind>,
  ): Scheme | undefined {
    if (check === undefined) return keys.scheme(kind, columns, tokens)
    const key = this.#sealKey(check)
    return key && keys.scheme(kind, columns, tokens, { key, hides: new Set(columns) })
  }

  #sealKey(check: string): SealKey | undefined {
    return this.#with.sealKeys.find((key) => key.check === check)
  }

  /** The column groups of all who share the store: writes spare what every one of them groups. */
  facets(relation: RelationFacts, facts: CatalogFacts): FacetMap {
    const own = this.#own.facets(relation, facts)
    const groupings = this.#with.union()?.tables.get(relation.id)?.groupings
    if (!groupings) return own
    const known = this.#facetsOf.get(groupings)
    if (known?.own === own) return known.facets
    const here = this.#own.isCached(relation) ? [this.#own.settings(relation)?.facets ?? []] : []
    const facets = unionFacets([...groupings, ...here])
    this.#facetsOf.set(groupings, { own, facets })
    return facets
  }

  /**
   * Others may know columns that the facts here do not have yet, or be of a release that keeps more than this one knows.
   * And what they keep by the values of a column that is sensitive here this configuration may not name, nor can it where
   * the values are named by a key that is not given here.
   */
  underivable(relation: RelationFacts): EpochReason | undefined {
    const union = this.#with.union()
    const table = union?.tables.get(relation.id)
    if (union?.known === false) return 'register-changed'
    if (!table) return undefined
    const known = table.schemes.every(({ columns }) => columns.every((column) => relation.columns.has(column)))
    if (!table.known || !known) return 'register-changed'
    return table.schemes.every((scheme) => this.#mayName(relation, scheme)) ? undefined : 'values-unnamed'
  }

  #mayName(relation: RelationFacts, { columns, check }: SchemeColumns): boolean {
    if (check !== undefined) return this.#sealKey(check) !== undefined
    const { sensitive } = this.#own.settings(relation) ?? nothingChosen
    return !columns.some((column) => sensitive.has(column))
  }
}
