/** Faults in the map from writes to answers that the random queries must find, each as a change of the core's text. */
import { mutants as byKey, type Mutant } from '../mutants.ts'

export interface NearMutant extends Mutant {
  /** The construct that it hides behind, which most questions are to have. */
  readonly near?: string
  /** One whose first steps find it. Each fault was found by the 4,000 steps of at least three seeds. */
  readonly seed: number
}

const also: ReadonlySet<string> = new Set(['a write that skips a cascade'])

const onWrites: readonly NearMutant[] = [
  {
    name: 'a group of columns that answers forget',
    near: 'list',
    seed: 7,
    edits: [
      {
        file: 'model/facets.ts',
        find: 'own.add(facets.get(column) ?? MAIN)',
        put: 'if (!facets.has(column)) own.add(MAIN)',
      },
    ],
  },
  {
    name: 'a change of one group that drops none',
    near: 'list',
    seed: 7,
    edits: [{ file: 'write/plan-write.ts', find: '[MAIN] : [...lost]', put: '[MAIN] : [...lost].slice(1)' }],
  },
  {
    name: 'a class of NULL that no write drops',
    near: 'class of null',
    seed: 7,
    edits: [
      {
        file: 'write/derive-keys.ts',
        find: 'if (tokens) keys.add(stampKey(scheme, tokens, MAIN))',
        put: 'if (tokens && !tokens.includes(null)) keys.add(stampKey(scheme, tokens, MAIN))',
      },
    ],
  },
  {
    name: 'a row that leaves a class and does not drop it',
    near: 'list',
    seed: 7,
    edits: [
      {
        file: 'write/derive-keys.ts',
        find: 'for (const tokens of [old, now])',
        put: "for (const tokens of scheme.kind === 'class' ? [now ?? old] : [old, now])",
      },
    ],
  },
]

const onConditions: readonly NearMutant[] = [
  {
    name: 'a branch of an `or` that is lost',
    near: 'or',
    seed: 8,
    edits: [
      {
        file: 'map/condition-branches.ts',
        find: 'if (branches.length <= bounds.most) return branches',
        put: 'if (branches.length <= bounds.most) return branches.slice(0, Math.max(1, branches.length - 1))',
      },
    ],
  },
  {
    name: 'a member of an `or` that says nothing and is ignored',
    near: 'or of anything',
    seed: 8,
    edits: [
      {
        file: 'map/condition-branches.ts',
        find: 'const branches = members.flatMap((member) => branchesOf(member, bounds))',
        put: `const branches = members
    .flatMap((member) => branchesOf(member, bounds))
    .filter((branch) => branch.length > 0)`,
      },
      { file: 'map/condition-branches.ts', find: 'if (members.length === 0 ||', put: 'if (branches.length === 0 ||' },
    ],
  },
  {
    name: 'a `not` that narrows',
    near: 'not',
    seed: 7,
    edits: [
      {
        file: 'drizzle/read-predicate.ts',
        find: "return read(inside, names).bound === 'unit' ? unit(other) : unknown",
        put: 'return read(inside, names)',
      },
    ],
  },
  {
    name: 'an opaque member that its group ignores',
    near: 'opaque or',
    seed: 8,
    edits: [
      {
        file: 'drizzle/read-predicate.ts',
        find: "if (bound === 'unknown' || (bound === 'or' && kind === 'and')) return unknown",
        put: "if (bound === 'unknown' || (bound === 'or' && kind === 'and')) continue",
      },
      {
        file: 'drizzle/query-shape.ts',
        find: 'if (rawTextBreaks(chunks)) this.broken = true',
        put: 'rawTextBreaks(chunks)',
      },
    ],
  },
  {
    name: 'a list of values of which one counts',
    near: 'in list',
    seed: 7,
    edits: [
      {
        file: 'map/choose-classes.ts',
        find: 'return combinations(chosen, choices).map(',
        put: 'return combinations(chosen, choices).slice(0, 1).map(',
      },
    ],
  },
]

const onPlaces: readonly NearMutant[] = [
  {
    name: 'a self-join whose names are confused',
    near: 'first table joined again',
    seed: 9,
    edits: [
      {
        file: 'map/cover-query.ts',
        find: 'const classes = classesOf(ref, ways, bySpecificity(given.schemesOf(relation)))',
        put: `const first = shape.refs.findIndex((_, other) => given.relationOf(other) === relation)
  const classes = classesOf(first, ways, bySpecificity(given.schemesOf(relation)))`,
      },
    ],
  },
  {
    name: 'a CTE whose tables are missed',
    near: 'cte',
    seed: 8,
    edits: [
      {
        file: 'drizzle/query-shape.ts',
        find: 'level.inner.push(this.query(sql, { ...nowhere, ctes: new Set(ctes) }))',
        put: "level.inner.push({ ...this.query(sql, { ...nowhere, ctes: new Set(ctes) }), where: { kind: 'never' } })",
      },
    ],
  },
  {
    name: 'a sub-query in the select list that is missed',
    near: 'sub-query in select list',
    seed: 7,
    edits: [
      {
        file: 'drizzle/query-shape.ts',
        find: 'const terms = fields.map(({ field }) => this.field(field, level, single))',
        put: `const before = level.inner.length
    const terms = fields.map(({ field }) => this.field(field, level, single))
    for (let at = before; at < level.inner.length; at++)
      level.inner[at] = { ...(level.inner[at] as Block), where: { kind: 'never' } }`,
      },
    ],
  },
  {
    name: 'a set operation that is half covered',
    near: 'set operation',
    seed: 9,
    edits: [
      {
        file: 'drizzle/query-shape.ts',
        find: 'level.inner.push(this.select(builderOf(rightSelect as object).config, outer))',
        put: "level.inner.push({ ...this.select(builderOf(rightSelect as object).config, outer), where: { kind: 'never' } })",
      },
    ],
  },
  {
    name: 'a view of which the first table counts',
    near: 'view',
    seed: 7,
    edits: [
      {
        file: 'map/cover-query.ts',
        find: "return tables.map((table) => wholeTable(ref, table, 'view'))",
        put: "return tables.slice(0, 1).map((table) => wholeTable(ref, table, 'view'))",
      },
      {
        file: 'read/result-path.ts',
        find: 'for (const base of this.#below(relation)) this.#restOnTable(',
        put: 'for (const base of this.#below(relation).slice(0, 1)) this.#restOnTable(',
      },
    ],
  },
  {
    name: 'an `on` that narrows the outer side of its join',
    near: 'left side in on',
    seed: 7,
    edits: [
      {
        file: 'map/visit-refs.ts',
        find: `for (const match of combine([withoutNulls(filter, own)], on)) arrive(frame, at, match, wide)
    descend(frame, at - 1, filter, width)`,
        put: `for (const match of combine([withoutNulls(filter, own)], on)) {
      arrive(frame, at, match, wide)
      descend(frame, at - 1, match, wide)
    }`,
      },
    ],
  },
  {
    name: 'a page that rests on the rows it shows',
    near: 'limit',
    seed: 7,
    edits: [
      {
        file: 'drizzle/query-shape.ts',
        find: 'return reader.finish(root, selectKind(config, root, reader), isOneByOne(config) && reader.plainFields)',
        put: `const shape = reader.finish(root, selectKind(config, root, reader), isOneByOne(config) && reader.plainFields)
  return { ...shape, ...{ limited: config.limit !== undefined } }`,
      },
      {
        file: 'read/result-path.ts',
        find: 'if (this.#rows) this.#learnOwnRows(shape, relations, { covers, learned: cover.learned }, byTerms)',
        put: `if ((shape as { limited?: boolean }).limited && shape.learnable) {
      const keyed = covers.filter(({ ref }) => this.#primary(relations[ref] as RelationFacts))
      for (const { ref } of keyed) {
        const scheme = this.#primary(relations[ref] as RelationFacts) as Scheme
        byTerms(ref, scheme, scheme.columns.map((column) => ({ ref, column })))
      }
      const rest = covers.filter((each) => !keyed.includes(each))
      return { cover: { covers: rest, learned: cover.learned }, learns, adds }
    }
    if (this.#rows) this.#learnOwnRows(shape, relations, { covers, learned: cover.learned }, byTerms)`,
      },
    ],
  },
]

const onPartners: readonly NearMutant[] = [
  {
    name: 'a learned partner that is not recorded',
    near: 'plain partners',
    seed: 7,
    edits: [
      {
        file: 'read/result-path.ts',
        find: 'for (const { ref, scheme, from } of cover.learned) byTerms',
        put: 'for (const { ref, scheme, from } of cover.learned.slice(1)) byTerms',
      },
    ],
  },
  {
    name: 'a partner that is learned although a condition speaks of it',
    near: 'condition on a partner',
    seed: 9,
    edits: [
      {
        file: 'map/learn-partners.ts',
        find: "usedElsewhere.has(ref) || refs[ref]?.reached === 'all'",
        put: "usedElsewhere.size < 0 || refs[ref]?.reached === 'all'",
      },
    ],
  },
  {
    name: 'an aggregate over a learned partner',
    near: 'groups by partner',
    seed: 8,
    edits: [
      {
        file: 'map/learn-partners.ts',
        find: 'if (!shape.learnable || sources',
        put: "if (!(shape.learnable || shape.kind === 'aggregate') || sources",
      },
      {
        file: 'map/learn-partners.ts',
        find: '|| isUsedElsewhere(shape, ref)) return undefined',
        put: "|| (shape.kind === 'aggregate' ? shape.raw : isUsedElsewhere(shape, ref))) return undefined",
      },
      {
        file: 'map/learn-partners.ts',
        find: 'return { ref, table: relation.id, scheme, from }',
        put: `const shown = from.every((term) => shape.selected.some((one) => one?.ref === term.ref && one.column === term.column))
  return shown || shape.learnable ? { ref, table: relation.id, scheme, from } : undefined`,
      },
    ],
  },
  {
    name: 'an inner partner that may be missing and is learned',
    near: 'inner partner that may be missing',
    seed: 9,
    edits: [
      {
        file: 'map/learn-partners.ts',
        find: "if (source.join === 'inner' && !isAlwaysThere(relation, scheme, from, given)) return undefined",
        put: 'isAlwaysThere(relation, scheme, from, given)',
      },
    ],
  },
  {
    name: 'a partner that another join leans on and that is learned',
    near: 'partner of a partner',
    seed: 9,
    edits: [
      {
        file: 'map/learn-partners.ts',
        find: 'return withoutLeaning(shape, partners)',
        put: 'withoutLeaning(shape, partners)\n  return partners',
      },
    ],
  },
]

const fromByKey = byKey.filter(({ name }) => also.has(name)).map((mutant): NearMutant => ({ ...mutant, seed: 7 }))

export const mutants: readonly NearMutant[] = [...onWrites, ...fromByKey, ...onConditions, ...onPlaces, ...onPartners]
