import type { CatalogFacts, RelationFacts } from '../model/facts.ts'
import { digest, prefixed, type Scheme, type TableKeys } from '../model/keys.ts'
import type { RecordSource, TableSettings } from '../model/record.ts'
import type { BypassReason } from '../ports/events.ts'

/** What makes two processes' payloads the same, beyond the table: part of every entry key (DESIGN 5). */
export interface PayloadIdentity {
  readonly namespace: string
  readonly driver: string
  /** A digest of what the driver makes of sample values. */
  readonly parsers: string
  /** Tells embedded databases of one process apart; empty for servers. */
  readonly instance: string
  /** Tells answers that are encrypted from others, see `Payloads.mark`. */
  readonly sealing: string
}

/** Format of keys and entries; another number never reads this one's entries. */
const FORMAT_VERSION = '1'

/**
 * Decides whether rows of a table may be kept as records under the facts of the moment, and how their keys are named.
 * Answers the reason why not otherwise. `tableSchemes` are the schemes that writers know.
 */
export function recordSource(
  names: readonly string[],
  relation: RelationFacts,
  facts: CatalogFacts,
  settings: TableSettings,
  identity: PayloadIdentity,
  tableSchemes: readonly Scheme[],
  keys: TableKeys,
): RecordSource | BypassReason {
  const refusal = refuse(relation, settings)
  if (refusal) return refusal
  const slots = recordSlots(names, settings)
  const kept = names.filter((_, column) => (slots[column] as number) >= 0)
  if (kept.some((name) => !relation.columns.has(name))) return 'catalog-unknown'
  const schemes = tableSchemes.filter(
    ({ kind, columns }) => isKey(kind, settings) && columns.every((column) => names.includes(column)),
  )
  if (schemes.length === 0) return 'not-a-proven-key'
  const fingerprint = fingerprintOf(kept, relation, facts, identity)
  return {
    relation,
    table: relation.id,
    label: `${relation.schema}.${relation.name}`,
    settings,
    keys,
    schemes,
    slots,
    columns: slots.flatMap((slot, column) => (slot >= 0 ? [column] : [])),
    kinds: names.map((name) => relation.columns.get(name)?.token ?? 'none'),
    types: names.map((name) => relation.columns.get(name)?.sqlType),
    byColumn: names.map((name) => schemes.find(({ columns }) => columns.length === 1 && columns[0] === name)),
    schemeColumns: new Map(
      schemes.map((scheme) => [scheme.name, scheme.columns.map((column) => names.indexOf(column))]),
    ),
    prefixes: new Map(
      schemes.map(({ name }) => {
        const named = digest(fingerprint + name)
        return [name, keys.epochs.map((_, bucket) => keys.entryPrefix(named, bucket))]
      }),
    ),
    fingerprint,
  }
}

/**
 * A class that many rows may share is no key. A record under a unique key rests on `main` of its class alone; where an
 * answer must rest on more, on the row's own stamp (V1) or on groups of columns, it is kept as a result.
 */
function isKey(kind: Scheme['kind'], { rows, facets }: TableSettings): boolean {
  return kind === 'primary' || (kind === 'unique' && !rows && facets.length === 0)
}

function refuse(relation: RelationFacts, settings: TableSettings): BypassReason | undefined {
  if (relation.kind !== 'table' && relation.kind !== 'partitioned') return 'not-a-record'
  if (!relation.primaryKey || relation.inheritanceChildren) return 'no-primary-key'
  if (relation.rowSecurity && !settings.scope) return 'row-security'
  return undefined
}

function recordSlots(names: readonly string[], { hidden, record }: TableSettings): number[] {
  let next = 0
  return names.map((name) => (hidden.has(name) || (record && !record.has(name)) ? -1 : next++))
}

function fingerprintOf(
  names: readonly string[],
  relation: RelationFacts,
  facts: CatalogFacts,
  identity: PayloadIdentity,
): string {
  const columns = names.flatMap((name) => [name, relation.columns.get(name)?.sqlType ?? ''])
  return digest(environmentText(facts, identity) + [relation.schema, relation.name, ...columns].map(prefixed).join(''))
}

/** What makes the same statement answer the same in two processes, beside the tables it reads. */
export function environmentText(facts: CatalogFacts, identity: PayloadIdentity): string {
  const parts = [
    FORMAT_VERSION,
    identity.namespace,
    facts.database,
    facts.systemIdentifier,
    facts.serverAddress,
    facts.timeline,
    facts.incarnation,
    identity.instance,
    identity.driver,
    identity.parsers,
    identity.sealing,
    ...Object.values(facts.environment),
  ]
  return parts.map(prefixed).join('')
}
