/** Answers of the catalog query, made by hand. */

interface AnswerParts {
  relations?: readonly AnsweredRelation[] | null
  inherits?: unknown
  quiet?: unknown
  schemas?: unknown
  volatileOperators?: unknown
  refreshTriggers?: unknown
  standby?: boolean
  incarnation?: string
}

export function answer(parts: AnswerParts): string {
  const { standby = false, incarnation = 'first', relations = [], ...rest } = parts
  return JSON.stringify({
    server: [150004, standby, 'shop', '127.0.0.1:5432', incarnation],
    environment: ['app', 'public', 'UTC', 'ISO, MDY', 'postgres', 'hex', '1', 'english'],
    schemas: ['pg_catalog', 'public'],
    quiet: [],
    volatileOperators: false,
    refreshTriggers: false,
    inherits: null,
    ...listsOf(relations ?? []),
    ...rest,
  })
}

/** SQL's `json_agg` over no rows is NULL. */
function listsOf(relations: readonly AnsweredRelation[]) {
  const names = ['relations', 'columns', 'uniques', 'keys', 'triggers', 'rules', 'looks', 'leads', 'marks']
  const lists: Record<string, unknown[] | null> = Object.fromEntries(names.map((name) => [name, null]))
  if (relations.length > 0) lists.relations = relations.map((one) => one.own)
  for (const { oid, parts } of relations)
    for (const [name, part] of Object.entries(parts)) lists[name] = [...(lists[name] ?? []), [oid, part]]
  return lists
}

interface AnsweredRelation {
  oid: number
  own: unknown
  parts: Record<string, unknown>
}

interface RelationParts {
  kind?: string
  columns?: unknown
  indexes?: unknown
  keys?: unknown
  leads?: unknown
  triggers?: unknown
  rules?: unknown
  security?: boolean
  privileges?: string
  reads?: unknown
  mood?: string
  mark?: string
}

export const column = (at: number, name: string, token = 'int') => [at, name, 'integer', token, true, false, null]

export const serial = column(1, 'id')

export function relation(oid: number, name: string, parts: RelationParts = {}): AnsweredRelation {
  const { kind = 'r', columns = [serial], indexes = [[true, true, [1]]], keys, leads, triggers } = parts
  const { rules, security = false, privileges = 'siud', reads = null, mood = 'steady', mark = '' } = parts
  const all = { columns, uniques: indexes, keys, leads, triggers, rules, looks: [mood, reads], marks: mark }
  const present = Object.fromEntries(Object.entries(all).filter(([, part]) => part !== undefined))
  return { oid, own: [oid, 'public', name, kind, security, privileges, [null, false]], parts: present }
}
