/**
 * Small databases, random queries, random writes of one row: where a write changes an answer, the stamps that it removes
 * by the rules of PROTOCOL 3.3 must be among those that the answer rests on.
 */
import { Random } from '../../../../test/random/random.ts'
import { bindCover, labelOf } from '../../src/map/bind-cover.ts'
import { coverQuery } from '../../src/map/cover-query.ts'
import { type FacetMap, facetMap, MAIN } from '../../src/model/facets.ts'
import type { RelationFacts } from '../../src/model/facts.ts'
import { stampKey } from '../../src/model/keys.ts'
import type { LearnedPartner } from '../../src/model/query-cover.ts'
import { tokenOf } from '../../src/model/tokens.ts'
import { holdsOpaque, keysOf, type Schema, schemaOf, shapeOf, type TestQuery } from './cover.fixture.ts'
import { type Answer, answer, type Row, type Value, valueAt } from './naive-query.ts'
import { randomData, randomParams, randomQuery, randomWrite, type Write } from './random-query.ts'

const schemas = [
  schemaOf(`
    a: id! x?~ y:none?
    b: id! a_id>a x?~ y? (x,y)
    c: k! l! a_id?>a n?`),
  schemaOf(`
    p: k! l! x?
    q: id! k>p l>p x?~ %(x,k)
    r: id! q_id?>q boss?>r`),
  schemaOf(`
    s: id! x~ y? (x,y) #rls
    t: id! s_id>s x:none? #unproven
    u: id! t_id>t #inherited
    v: id! t_id>t u_id?>u`),
]

const groups: ReadonlyMap<string, FacetMap> = new Map([
  ['a', facetMap([['y']])],
  ['b', facetMap([['x'], ['y']])],
  ['c', facetMap([['n']])],
  ['p', facetMap([['x']])],
  ['q', facetMap([['x', 'k']])],
  ['s', facetMap([['y'], ['x']])],
])
const facetsOf = (table: string): FacetMap => groups.get(table) ?? facetMap([])

/** What an answer rests on: stamps known before, and those of partners that its rows tell. */
function restsOn(query: TestQuery, schema: Schema, params: readonly Value[], max: number) {
  const known = shapeOf(query, schema)
  const opaque = holdsOpaque(query.root)
  const shape = opaque ? { ...known, refs: known.refs.map((ref) => ({ ...ref, reached: 'all' as const })) } : known
  const relationOf = (ref: number) => schema.tables.get(query.tables[ref] as string)!
  const cover = coverQuery(shape, { facts: schema.facts, relationOf, schemesOf: schema.schemesOf })
  const { dependencies } = bindCover(cover, {
    params,
    max,
    facets: (ref) => facetsOf(query.tables[ref] as string).recordedBy(shape.refs[ref]!.reached),
    keys: (id) => keysOf(schema.facts.relations.get(id)!),
  })
  return { dependencies, learned: cover.learned, whole: dependencies.every(({ scheme }) => !scheme) }
}

function learnedKeys(learned: readonly LearnedPartner[], { combinations }: Answer): string[] {
  return learned.flatMap(({ scheme, from }) =>
    combinations.flatMap((each) => {
      const tokens = from.map((term, i) => tokenOf(scheme.tokens[i]!, valueAt(each, term)))
      return tokens.every((token) => token !== undefined) ? [stampKey(scheme, tokens)] : []
    }),
  )
}

/** PROTOCOL 3.3, at its tightest: only what really changed counts as changed. */
function removedBy({ table, old, row }: Write, schema: Schema): Set<string> {
  const relation = schema.tables.get(table)!
  const facets = facetsOf(table)
  const columns = old && row ? Object.keys(row).filter((column) => old[column] !== row[column]) : undefined
  const stays = columns?.flatMap((column) => [...facets.facetsOf(column)]) ?? [MAIN]
  const ofChange = stays.includes(MAIN) ? [MAIN] : stays
  const removed = new Set(columns?.length === 0 ? [] : ofChange.map((facet) => keysOf(relation).table(facet)))
  for (const scheme of schema.schemesOf(relation)) {
    const [before, after] = [tokensIn(scheme.columns, old, relation), tokensIn(scheme.columns, row, relation)]
    const moves = JSON.stringify(before) !== JSON.stringify(after)
    // Keys are not kept for NULL.
    for (const tokens of [before, after])
      if (tokens && (scheme.kind === 'class' || !tokens.includes(null)))
        for (const facet of moves ? [MAIN] : ofChange) removed.add(stampKey(scheme, tokens, facet))
  }
  return removed
}

function tokensIn(columns: readonly string[], row: Row | undefined, { columns: facts }: RelationFacts) {
  if (!row) return undefined
  return columns.map((column) => {
    const value = row[column] as Value
    return value === null ? null : (tokenOf(facts.get(column)!.token, value) ?? null)
  })
}

const sorted = (rows: readonly string[]): readonly string[] => [...rows].sort()

/** Runs so many cases from a seed and counts what they came to; throws with everything that it takes to see one again. */
export function checkCovers(seed: number, cases: number) {
  const seen = { writes: 0, changes: 0, narrow: 0, learned: 0, needless: 0, dropped: 0 }
  for (let round = 0; round < cases; round++) {
    const random = new Random(seed + round)
    const schema = random.pick(schemas)
    const query = randomQuery(random, schema)
    const params = randomParams(random)
    const data = randomData(random, schema)
    const { dependencies, learned, whole } = restsOn(query, schema, params, random.pick([16, 16, 16, 3, 1]))
    const before = answer({ query, schema, data, params })
    const keys = new Set([...dependencies.map(({ key }) => key), ...learnedKeys(learned, before)])
    if (!whole) seen.narrow++
    if (learned.length > 0) seen.learned++
    for (let i = 0; i < 8; i++) {
      const write = randomWrite(random, schema, data)
      if (!write) continue
      const after = answer({ query, schema, data: write.after, params })
      const changes = JSON.stringify(sorted(before.rows)) !== JSON.stringify(sorted(after.rows))
      const drops = [...removedBy(write, schema)].some((key) => keys.has(key))
      seen.writes++
      if (changes) seen.changes++
      if (drops) seen.dropped++
      if (drops && !changes) seen.needless++
      if (!changes || drops) continue
      const labels = dependencies.map((each) => labelOf(each))
      const told = { seed: seed + round, tables: query.tables, params, labels, learned, write, before, after, query }
      throw new Error(
        `a change goes unseen: ${JSON.stringify(told, (key, value) => (key === 'parts' ? undefined : value), 1)}`,
      )
    }
  }
  return seen
}
