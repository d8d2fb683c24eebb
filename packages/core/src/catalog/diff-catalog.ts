import type { CatalogFacts, RelationId, ServerChange } from '../model/facts.ts'
import type { ParsedCatalog } from './parse-catalog.ts'

/** What a new reading of the catalog changed. */
export interface CatalogDiff {
  /** Relations that came, went or changed in any way that matters to an answer or a write. */
  readonly relations: readonly RelationId[]
  /** A trigger or rule came, or came to call another function, somewhere. */
  readonly triggersCame: boolean
  /** The server may have lost commits that were read and cached (PROTOCOL 3.16); undefined: it is the same as before. */
  readonly server: ServerChange | undefined
  /** Something else changed: server, session, search path, functions. */
  readonly elsewhere: boolean
}

/** Compares two readings. Pure. */
export function diffCatalog(before: ParsedCatalog, after: ParsedCatalog): CatalogDiff {
  const changed = new Set<RelationId>()
  for (const id of new Set([...before.marks.keys(), ...after.marks.keys()]))
    if (before.marks.get(id)?.text !== after.marks.get(id)?.text) changed.add(id)
  addViewsOver(changed, after.facts)
  return {
    relations: [...changed],
    triggersCame: [...changed].some((id) => writerCame(before, after, id)),
    server: serverChange(before.facts, after.facts),
    elsewhere: besides(before.facts) !== besides(after.facts),
  }
}

/** A view shows what the views below it are; its own definition does not change with theirs. */
function addViewsOver(changed: Set<RelationId>, facts: CatalogFacts): void {
  const below = new Set([...changed].filter((id) => facts.relations.get(id)?.kind === 'view'))
  for (const { id, reads } of facts.relations.values()) if (reads.some((one) => below.has(one))) changed.add(id)
}

function writerCame(before: ParsedCatalog, after: ParsedCatalog, id: RelationId): boolean {
  const known = new Set(before.marks.get(id)?.writers)
  return after.marks.get(id)?.writers.some((writer) => !known.has(writer)) ?? false
}

/** The address says nothing: a server may have several, and a virtual one may move. */
function serverChange(before: CatalogFacts, after: CatalogFacts): ServerChange | undefined {
  if (before.systemIdentifier !== after.systemIdentifier || before.database !== after.database) return 'another'
  if (before.timeline !== after.timeline || (before.standby && !after.standby)) return 'promoted'
  return before.incarnation === after.incarnation ? undefined : 'restarted'
}

/** Everything outside the relations, as one text; what the queries gave in order stays in order. */
function besides({ version, relations, quietFunctions, ...rest }: CatalogFacts): string {
  return JSON.stringify([rest, [...quietFunctions]])
}
