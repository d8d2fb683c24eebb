import { AsideError } from '../errors.ts'
import { MAIN } from '../model/facets.ts'
import type { CatalogFacts, RelationFacts } from '../model/facts.ts'
import { findRelation } from '../model/facts.ts'
import type { Scheme } from '../model/keys.ts'
import { stampKey } from '../model/keys.ts'
import type { NamedTable, WrittenRows } from '../ports/paths.ts'
import { addRow, rowReader } from './derive-keys.ts'
import type { ChangeExpansion } from './expand-changes.ts'
import { Changes } from './scope.ts'
import type { WriteWith } from './write-with.ts'

type HandWith = Pick<WriteWith, 'facts' | 'register' | 'schemes' | 'facets' | 'underivable' | 'keys'>

/**
 * What the user says by hand, as changes: rows that he wrote, keys, tables. `isUnsure`: the facts may not be those of his
 * transaction, and only names are kept.
 */
export class ChangesByHand {
  readonly #with: HandWith
  readonly #expansion: Pick<ChangeExpansion, 'addWhole'>

  constructor(tools: HandWith, expansion: Pick<ChangeExpansion, 'addWhole'>) {
    this.#with = tools
    this.#expansion = expansion
  }

  ofRows(table: NamedTable, rows: WrittenRows | undefined, isUnsure: boolean | undefined): Changes {
    return this.#of(table, isUnsure, (...to) => this.#addWritten(...to, rows))
  }

  /** One key, given as driver values by column name. */
  ofKey(table: NamedTable, row: Readonly<Record<string, unknown>>, isUnsure: boolean | undefined): Changes {
    return this.#of(table, isUnsure, (...to) => this.#addKey(...to, row))
  }

  #of(
    table: NamedTable,
    isUnsure: boolean | undefined,
    add: (changes: Changes, facts: CatalogFacts, relation: RelationFacts) => void,
  ): Changes {
    const changes = new Changes()
    const facts = this.#with.facts()
    const relation = facts && findRelation(facts, table.schema, table.name)
    changes.derivedFrom(facts?.version)
    changes.derivedUnder(facts && this.#with.register(facts).version)
    if (!facts || !relation || isUnsure) changes.addNamed(table, 'by-hand', isUnsure)
    else add(changes, facts, relation)
    return changes
  }

  ofTables(tables: readonly (NamedTable | string)[], isUnsure: boolean | undefined): Changes {
    const facts = this.#with.facts()
    const changes = new Changes()
    for (const table of tables) {
      if (typeof table !== 'string') changes.addNamed(table, 'by-hand', isUnsure)
      else this.#addByName(changes, facts, table)
    }
    return changes
  }

  /** A dot may part schema and table, or belong to a name. */
  #addByName(changes: Changes, facts: CatalogFacts | undefined, text: string): void {
    const dot = text.indexOf('.')
    const names: NamedTable[] = [{ schema: undefined, name: text }]
    if (dot > 0) names.push({ schema: text.slice(0, dot), name: text.slice(dot + 1) })
    const found = facts && names.filter(({ schema, name }) => findRelation(facts, schema, name))
    if (!found?.length) changes.addEverything('by-hand')
    for (const name of found ?? []) changes.addNamed(name, 'by-hand')
  }

  #addKey(
    changes: Changes,
    facts: CatalogFacts,
    relation: RelationFacts,
    row: Readonly<Record<string, unknown>>,
  ): void {
    const underivable = this.#with.underivable(relation, facts)
    if (underivable) changes.addTable(relation.id, underivable)
    else changes.addKeys(relation.id, this.#keysOfKey(facts, relation, row))
  }

  #keysOfKey(facts: CatalogFacts, relation: RelationFacts, row: Readonly<Record<string, unknown>>): string[] {
    const all = this.#with.schemes(relation, facts)
    const within = all.filter(({ columns }) => columns.every((column) => column in row))
    const exact = within.filter(({ columns }) => columns.length === Object.keys(row).length)
    if (within.length === 0) {
      const known = all.map(({ columns }) => `(${columns.join(', ')})`)
      throw new AsideError(
        'ASIDE_BAD_KEY',
        `${relation.name} has no key or list of these columns. It has: ${known.join(' ')}.`,
      )
    }
    // Columns of one scheme name it; a whole row, or more than one key of it, names all that are in it.
    return this.#stampsIn(relation, facts, exact.length > 0 ? exact : within, row)
  }

  /** Every facet of the classes that a row is in. */
  #stampsIn(
    relation: RelationFacts,
    facts: CatalogFacts,
    schemes: readonly Scheme[],
    row: Readonly<Record<string, unknown>>,
  ): string[] {
    const read = rowReader(row)
    const { all } = this.#with.facets(relation, facts)
    return schemes.flatMap((scheme) => {
      const tokens = read(scheme)
      const isKey = tokens && !(scheme.kind === 'primary' && tokens.includes(null))
      if (isKey) return [...new Set(all.map((facet) => stampKey(scheme, tokens, facet)))]
      throw new AsideError(
        'ASIDE_BAD_KEY',
        `A value of this key of ${relation.name} is not one that rows are cached by.`,
      )
    })
  }

  /** Exact where the rows give every column of every scheme and no policy reads them; else the whole table, and what it reaches. */
  #addWritten(changes: Changes, facts: CatalogFacts, relation: RelationFacts, rows: WrittenRows | undefined): void {
    const underivable = rows && this.#with.underivable(relation, facts)
    const exact = !underivable && !relation.secures?.length
    const keys = rows && exact && this.#keysOfRows(facts, relation, rows)
    if (keys) changes.addKeys(relation.id, keys)
    else this.#expansion.addWhole(changes, facts, relation, underivable ?? 'by-hand')
  }

  #keysOfRows(facts: CatalogFacts, relation: RelationFacts, rows: WrittenRows): string[] | undefined {
    const schemes = this.#with.schemes(relation, facts)
    if (schemes.length === 0) return undefined
    const keys = new Set<string>()
    // What else changed in the row the user does not say.
    const given = { schemes, stays: [MAIN], table: this.#with.keys(relation, facts) }
    const known = addRow(keys, given, rows.old && rowReader(rows.old), rows.new && rowReader(rows.new))
    return known ? [...keys] : undefined
  }
}
