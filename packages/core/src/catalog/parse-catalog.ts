import type {
  CatalogFacts,
  ColumnFacts,
  ForeignKeyAction,
  IncomingKey,
  OutgoingKey,
  RelationFacts,
  RelationId,
  SessionEnvironment,
  TokenKind,
  TriggerFacts,
} from '../model/facts.ts'
import { relationId } from '../model/facts.ts'
import { byBytes } from '../model/keys.ts'
import { asFields, asFlag, asList, asNumber, asNumbers, asOneOf, asText, asTexts } from './catalog-json.ts'

/** Which server this is, beyond what {@link catalogQuery} says. Empty texts where the role may not ask. */
export interface ServerIdentity {
  readonly systemIdentifier: string
  readonly timeline: string
}

/** What can be told apart about a relation, also where the facts do not show it: definitions, labels, policies. */
export interface RelationMark {
  readonly text: string
  /** One text per trigger and rule: a new one means that something new may write. */
  readonly writers: readonly string[]
}

export interface ParsedCatalog {
  readonly facts: CatalogFacts
  readonly marks: ReadonlyMap<RelationId, RelationMark>
}

/**
 * Turns the answer of `catalogQuery` into facts. Pure; throws where the text does not have the expected form.
 *
 * ```ts
 * const { facts } = parseCatalog(text, { systemIdentifier: '', timeline: '' }, 1)
 * facts.relations.get(relationId('public', 'users'))?.primaryKey // ['id']
 * ```
 */
export function parseCatalog(text: string, identity: ServerIdentity, version: number): ParsedCatalog {
  const answer = asFields(JSON.parse(text))
  const house = readHouse(answer)
  const relations = new Map<RelationId, RelationFacts>()
  for (const raw of house.byOid.values()) relations.set(raw.id, relationFacts(raw, house))
  const marks = new Map([...house.byOid.values()].map((raw) => [raw.id, markOf(raw, relations.get(raw.id)!)]))
  const [serverVersion, standby, database, serverAddress, incarnation] = asList(answer.server)
  const facts: CatalogFacts = {
    version,
    serverVersion: asNumber(serverVersion),
    standby: asFlag(standby),
    database: asText(database),
    ...identity,
    serverAddress: asText(serverAddress),
    incarnation: asText(incarnation),
    environment: environmentOf(asTexts(answer.environment)),
    schemas: asTexts(answer.schemas),
    relations,
    quietFunctions: new Set(asTexts(answer.quiet)),
    volatileOperators: asFlag(answer.volatileOperators),
    refreshTriggers: asFlag(answer.refreshTriggers),
  }
  return { facts, marks }
}

export function environmentOf(settings: readonly string[]): SessionEnvironment {
  const [currentUser, searchPath, timeZone, dateStyle, intervalStyle, byteaOutput, extraFloatDigits, textSearchConfig] =
    settings.map(asText)
  return {
    currentUser: asText(currentUser),
    searchPath: asText(searchPath),
    timeZone: asText(timeZone),
    dateStyle: asText(dateStyle),
    intervalStyle: asText(intervalStyle),
    byteaOutput: asText(byteaOutput),
    extraFloatDigits: asText(extraFloatDigits),
    textSearchConfig: asText(textSearchConfig),
  }
}

type Kind = RelationFacts['kind']
type Mood = 'steady' | 'unsteady' | 'volatile'

/** One relation as the query gave it; other relations are still numbers. */
interface RawRelation {
  readonly id: RelationId
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: Kind
  readonly columns: ReadonlyMap<number, ColumnFacts>
  readonly uniqueIndexes: readonly RawIndex[]
  readonly incoming: readonly RawKey[]
  readonly leads: readonly number[]
  readonly triggers: readonly unknown[]
  readonly rules: readonly unknown[]
  readonly rowSecurity: boolean
  readonly privileges: string
  /** What a view, or a policy of a table, reads. */
  readonly reads: readonly number[]
  /** It calls functions of the user's that may read anything. */
  readonly opaque: boolean
  readonly mood: Mood
  /** Everything that the answer says of it, for comparing. */
  readonly all: unknown
}

interface RawIndex {
  readonly primary: boolean
  readonly plain: boolean
  /** 0 is an expression. */
  readonly columns: readonly number[]
}

interface RawKey {
  readonly child: number
  readonly childColumns: readonly number[]
  readonly columns: readonly number[]
  readonly onDelete: ForeignKeyAction
  readonly onUpdate: ForeignKeyAction
  readonly proven: boolean
  /** Points to a partition for a key that points to the whole table. */
  readonly partial: boolean
}

/** All relations of the database with the edges between them. */
interface House {
  readonly byOid: ReadonlyMap<number, RawRelation>
  readonly parents: ReadonlyMap<number, readonly number[]>
  readonly children: ReadonlyMap<number, readonly number[]>
  readonly updatedByParents: ReadonlyMap<number, ReadonlySet<number>>
  /** Foreign keys by the relation that refers. */
  readonly outgoing: ReadonlyMap<number, readonly { readonly parent: RawRelation; readonly key: RawKey }[]>
  /** Tables whose policies read a relation, by that relation. */
  readonly secures: ReadonlyMap<number, readonly number[]>
}

const kinds: Readonly<Record<string, Kind>> = {
  r: 'table',
  p: 'partitioned',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
}
const tokens: Readonly<Record<TokenKind, TokenKind>> = {
  int: 'int',
  uuid: 'uuid',
  bool: 'bool',
  enum: 'enum',
  text: 'text',
  date: 'date',
  none: 'none',
}
const moods: Readonly<Record<Mood, Mood>> = { steady: 'steady', unsteady: 'unsteady', volatile: 'volatile' }
/** pg_constraint: a no action, r restrict, c cascade, n set null, d set default. */
const actions: Readonly<Record<string, ForeignKeyAction>> = {
  a: 'none',
  r: 'none',
  c: 'cascade',
  n: 'set null',
  d: 'set default',
}

function readHouse(answer: Readonly<Record<string, unknown>>): House {
  const parts = partsOf(answer)
  const byOid = new Map(asList(answer.relations).map((tuple) => [oidOf(tuple), rawRelation(tuple, parts)]))
  const parents = new Map<number, number[]>()
  const children = new Map<number, number[]>()
  for (const edge of asList(answer.inherits)) {
    const [member, ancestor] = asNumbers(edge)
    if (!byOid.has(asNumber(member)) || !byOid.has(asNumber(ancestor))) continue
    listUnder(parents, asNumber(member)).push(asNumber(ancestor))
    listUnder(children, asNumber(ancestor)).push(asNumber(member))
  }
  const relations = [...byOid.values()]
  return {
    byOid,
    parents,
    children,
    updatedByParents: columnsThatParentsUpdate(relations),
    outgoing: keysByChild(relations),
    secures: securedBy(byOid),
  }
}

/**
 * A function of the user's may read every relation, views below it as well, and the secured table itself: that is how a policy
 * of a table asks the table, for which it may not do on its own.
 */
function securedBy(byOid: House['byOid']): House['secures'] {
  const found = new Map<number, number[]>()
  for (const secured of byOid.values()) {
    if (!secured.rowSecurity) continue
    const reads = secured.opaque ? [...byOid.values()] : readThroughViews(secured, { byOid })
    for (const { oid } of reads) listUnder(found, oid).push(secured.oid)
  }
  return found
}

function keysByChild(relations: readonly RawRelation[]): House['outgoing'] {
  const found = new Map<number, { parent: RawRelation; key: RawKey }[]>()
  for (const parent of relations)
    for (const key of parent.incoming) if (!key.partial) listUnder(found, key.child).push({ parent, key })
  return found
}

function columnsThatParentsUpdate(relations: readonly RawRelation[]): Map<number, Set<number>> {
  const found = new Map<number, Set<number>>()
  for (const { incoming } of relations)
    for (const { child, childColumns, onUpdate } of incoming) {
      if (onUpdate === 'none') continue
      found.set(child, new Set([...(found.get(child) ?? []), ...childColumns]))
    }
  return found
}

function listUnder<T>(lists: Map<number, T[]>, key: number): T[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}

/**
 * What the query lists per relation number; put together here and not by the query, for the reason given there.
 */
const partNames = ['columns', 'uniques', 'keys', 'triggers', 'rules', 'looks', 'leads', 'marks'] as const
type Parts = readonly ReadonlyMap<number, unknown>[]

function partsOf(answer: Readonly<Record<string, unknown>>): Parts {
  return partNames.map((name) => new Map(asList(answer[name]).map((pair) => [oidOf(pair), asList(pair)[1]])))
}

const oidOf = (tuple: unknown): number => asNumber(asList(tuple)[0])

function rawRelation(tuple: unknown, parts: Parts): RawRelation {
  const [oid, schema, name, kind, rowSecurity, privileges] = asList(tuple)
  const own = parts.map((part) => part.get(asNumber(oid)) ?? null)
  const [columns, uniques, keys, triggers, rules, looks, leads] = own
  const [mood = 'steady', reads = null, opaque = false] = asList(looks)
  return {
    id: relationId(asText(schema), asText(name)),
    oid: asNumber(oid),
    schema: asText(schema),
    name: asText(name),
    kind: asOneOf(kinds, kind),
    columns: new Map(asList(columns).map(rawColumn)),
    uniqueIndexes: asList(uniques).map(rawIndex),
    incoming: asList(keys).map(rawKey),
    leads: asNumbers(leads),
    triggers: asList(triggers),
    rules: asList(rules),
    rowSecurity: asFlag(rowSecurity),
    privileges: asText(privileges),
    reads: asNumbers(reads),
    opaque: asFlag(opaque),
    mood: asOneOf(moods, mood),
    all: [tuple, own],
  }
}

function rawColumn(tuple: unknown): [number, ColumnFacts] {
  const [at, name, sqlType, token, notNull, generated] = asList(tuple)
  const facts = {
    name: asText(name),
    sqlType: asText(sqlType),
    token: asOneOf(tokens, token),
    notNull: asFlag(notNull),
    generated: asFlag(generated),
  }
  return [asNumber(at), facts]
}

function rawIndex(tuple: unknown): RawIndex {
  const [primary, plain, columns] = asList(tuple)
  return { primary: asFlag(primary), plain: asFlag(plain), columns: asNumbers(columns) }
}

function rawKey(tuple: unknown): RawKey {
  const [child, childColumns, columns, onDelete, onUpdate, proven, partial] = asList(tuple)
  return {
    child: asNumber(child),
    childColumns: asNumbers(childColumns),
    columns: asNumbers(columns),
    onDelete: asOneOf(actions, onDelete),
    onUpdate: asOneOf(actions, onUpdate),
    proven: asFlag(proven),
    partial: asFlag(partial),
  }
}

function relationFacts(raw: RawRelation, house: House): RelationFacts {
  const reads = raw.kind === 'view' ? readThroughViews(raw, house).filter((one) => one !== raw) : []
  const below = [raw, ...reads]
  const partitions = raw.kind === 'partitioned' ? partitionsOf(raw, house) : []
  const whole = [raw, ...partitions]
  const secures = idsOf(house.secures.get(raw.oid) ?? [], house)
  const mayWrite = (one: RawRelation): boolean => moodOfReading(one) === 'volatile'
  return {
    id: raw.id,
    oid: raw.oid,
    schema: raw.schema,
    name: raw.name,
    kind: raw.kind,
    columns: new Map([...raw.columns.values()].map((column) => [column.name, column])),
    ...uniqueFacts(raw, whole),
    updatedByParents: new Set(whole.flatMap((one) => names(one, [...(house.updatedByParents.get(one.oid) ?? [])]))),
    incoming: raw.incoming.flatMap((key) => incomingKey(raw, key, house)),
    outgoing: (house.outgoing.get(raw.oid) ?? []).map(({ parent, key }) => outgoingKey(raw, parent, key)),
    leadingColumns: names(raw, raw.leads).sort(byBytes),
    triggers: raw.triggers.map(triggerFacts),
    ...(partitions.length > 0 ? { partitionTriggers: ownTriggers(partitions) } : undefined),
    rules: raw.rules.length > 0,
    rowSecurity: below.some((one) => one.rowSecurity),
    privileges: privilegesOf(raw.privileges),
    family: idsOf([...closure(raw.oid, house.parents), ...closure(raw.oid, house.children)], house),
    inheritanceChildren: raw.kind !== 'partitioned' && house.children.has(raw.oid),
    reads: reads.map((one) => one.id),
    ...(secures.length > 0 ? { secures } : undefined),
    volatileView: below.some(mayWrite),
    unsteadyView: raw.kind === 'view' && below.some((one) => one.kind === 'view' && one.mood !== 'steady'),
    volatileRefresh: raw.kind === 'materialized view' && isVolatileRefresh(raw, house),
  }
}

/** What a materialised view calls runs when it is refreshed, not when it is read. */
const moodOfReading = ({ kind, mood }: RawRelation): Mood => (kind === 'materialized view' ? 'steady' : mood)

/** A foreign table may be anything over there. */
function isVolatileRefresh(raw: RawRelation, house: House): boolean {
  if (raw.mood === 'volatile') return true
  return readThroughViews(raw, house).some((one) => moodOfReading(one) === 'volatile' || one.kind === 'foreign table')
}

function partitionsOf(raw: RawRelation, house: House): RawRelation[] {
  return [...closure(raw.oid, house.children)].flatMap((oid) => house.byOid.get(oid) ?? [])
}

/** Without the clones of what the table above has. */
const ownTriggers = (partitions: readonly RawRelation[]): TriggerFacts[] =>
  partitions.flatMap((one) => one.triggers.map(triggerFacts)).filter(({ clone }) => !clone)

/** `whole`: with its partitions, which may have unique indexes of their own. */
function uniqueFacts(
  raw: RawRelation,
  whole: readonly RawRelation[],
): Pick<RelationFacts, 'primaryKey' | 'uniqueKeys' | 'uniqueIndexColumns'> {
  const plain = raw.uniqueIndexes.filter((index) => index.plain)
  const primary = plain.find((index) => index.primary)
  return {
    primaryKey: primary && names(raw, primary.columns),
    uniqueKeys: plain.filter((index) => !index.primary).map((index) => names(raw, index.columns)),
    uniqueIndexColumns: new Set(
      whole.flatMap((one) => one.uniqueIndexes.flatMap((index) => names(one, index.columns))),
    ),
  }
}

/** Column names by number; 0, an expression, is `'*'`. A system column (below 0) cannot stand in an index or key. */
function names(raw: RawRelation, numbers: readonly number[]): string[] {
  return numbers.map((at) => (at === 0 ? '*' : asText(raw.columns.get(at)?.name)))
}

function incomingKey(parent: RawRelation, key: RawKey, house: House): IncomingKey[] {
  const child = house.byOid.get(key.child)
  if (!child) return []
  const { onDelete, onUpdate } = key
  return [
    {
      child: child.id,
      childColumns: names(child, key.childColumns),
      columns: names(parent, key.columns),
      onDelete,
      onUpdate,
    },
  ]
}

function outgoingKey(child: RawRelation, parent: RawRelation, key: RawKey): OutgoingKey {
  const columns = names(child, key.childColumns)
  return { parent: parent.id, columns, parentColumns: names(parent, key.columns), proven: key.proven }
}

/** The bits of `tgtype`, as in catalog/pg_trigger.h. */
const triggerBits = { before: 2, insert: 4, delete: 8, update: 16, truncate: 32, instead: 64 } as const

function triggerFacts(tuple: unknown): TriggerFacts {
  const [name, type, clone] = asList(tuple)
  const has = (bit: number) => (asNumber(type) & bit) !== 0
  return {
    name: asText(name),
    timing: has(triggerBits.instead) ? 'instead' : has(triggerBits.before) ? 'before' : 'after',
    insert: has(triggerBits.insert),
    update: has(triggerBits.update),
    delete: has(triggerBits.delete),
    truncate: has(triggerBits.truncate),
    ...(asFlag(clone) ? { clone: true } : undefined),
  }
}

function privilegesOf(letters: string): RelationFacts['privileges'] {
  return {
    select: letters.includes('s'),
    insert: letters.includes('i'),
    update: letters.includes('u'),
    delete: letters.includes('d'),
  }
}

/**
 * Everything that a view or a policy reads, nested views included, and itself where one leads back to it; a materialised
 * view is an end like a table.
 */
function readThroughViews(view: RawRelation, house: Pick<House, 'byOid'>): RawRelation[] {
  const found = new Set<RawRelation>()
  const follow = (from: RawRelation) => {
    for (const oid of from.reads) {
      const next = house.byOid.get(oid)
      if (!next || found.has(next)) continue
      found.add(next)
      if (next.kind === 'view') follow(next)
    }
  }
  follow(view)
  return [...found]
}

/** What can be reached from `start` over `edges`, itself left out. */
function closure(start: number, edges: ReadonlyMap<number, readonly number[]>): Set<number> {
  const found = new Set<number>()
  const open = [start]
  for (let at = open.pop(); at !== undefined; at = open.pop())
    for (const next of edges.get(at) ?? []) {
      if (found.has(next) || next === start) continue
      found.add(next)
      open.push(next)
    }
  return found
}

function idsOf(oids: readonly number[], house: House): RelationId[] {
  return oids.flatMap((oid) => house.byOid.get(oid)?.id ?? [])
}

function markOf(raw: RawRelation, facts: RelationFacts): RelationMark {
  const { family, reads, rowSecurity, volatileView, unsteadyView, volatileRefresh } = facts
  const around = [family, reads, [...facts.updatedByParents], facts.incoming.map((key) => key.child), facts.outgoing]
  return {
    text: JSON.stringify([raw.all, around, rowSecurity, volatileView, unsteadyView, volatileRefresh]),
    writers: [...raw.triggers, ...raw.rules].map((one) => JSON.stringify(one)),
  }
}
