import { type Facet, MAIN, type StampLoss } from '../model/facets.ts'
import type { RelationFacts, TokenKind } from '../model/facts.ts'
import { type Scheme, stampKey, type TableKeys } from '../model/keys.ts'
import { tokenOf, tokenOfText } from '../model/tokens.ts'
import type { RowImages, TouchedRows, WritePlan } from '../model/write.ts'
import type { EpochReason } from '../ports/events.ts'

/** Most keys that one write removes one by one; more, and the table's epoch falls (DESIGN 3.4). */
const MAX_KEYS = 512

export type DerivedKeys = { readonly keys: readonly string[] } | { readonly epoch: EpochReason }

/** What all rows of one write have in common. */
export interface DeriveWith {
  readonly schemes: readonly Scheme[]
  /** Facets that a class loses of which a row was updated and stayed in it. */
  readonly stays: readonly Facet[]
  readonly table: TableKeys
}

/** Tokens of an image by scheme, null for NULL; undefined where a value has none. */
export type ReadTokens = (scheme: Scheme) => readonly (string | null)[] | undefined

/** The stamps that a write's images kill: those of its rows, of the classes they are and were in, and of the table. */
export function deriveKeys(
  plan: WritePlan,
  touched: TouchedRows,
  relation: RelationFacts,
  table: TableKeys,
): DerivedKeys {
  if (plan.form === 'none') {
    return touched.count === 0 && !relation.rules ? { keys: [] } : { epoch: plan.reason ?? 'no-images' }
  }
  if (touched.unknownRows) return { epoch: 'no-images' }
  const known = touched.images.length
  if (known > plan.maxTouched || (touched.count ?? 0) > known) return { epoch: 'too-many-rows' }
  return deriveImages({ schemes: plan.schemes, stays: plan.stays, table, columns: plan.columns }, touched.images)
}

/** The same for rows that are all known. */
export function deriveImages(
  given: DeriveWith & Pick<WritePlan, 'columns'>,
  images: readonly RowImages[],
): DerivedKeys {
  const read = imageReader(given)
  const keys = new Set<string>()
  for (const { before, after } of images) {
    if (!addRow(keys, given, before && read(before), after && read(after))) return { epoch: 'value-without-token' }
    if (keys.size > MAX_KEYS) return { epoch: 'too-many-keys' }
  }
  return { keys: [...keys] }
}

/** What stamps of classes fall for with these rows. A row without old image may have come, one without new image is gone. */
export function lossOf({ changes }: WritePlan, { images }: TouchedRows): StampLoss {
  return changes !== 'all' && images.every(({ before, after }) => before && after) ? changes : 'rows'
}

/**
 * Adds what one row kills (PROTOCOL 3.3): where it entered or left a class, `main` of that class; where it stayed, the
 * facets of what changed; its row stamp always; and the same of the class of all rows. False: a value has no token.
 */
export function addRow(
  keys: Set<string>,
  { schemes, stays, table }: DeriveWith,
  before: ReadTokens | undefined,
  after: ReadTokens | undefined,
): boolean {
  for (const scheme of schemes) {
    const old = before?.(scheme)
    const now = after?.(scheme)
    if ((before && !old) || (after && !now)) return false
    if (old && now && isSame(old, now)) for (const facet of stays) keys.add(stampKey(scheme, now, facet))
    else for (const tokens of [old, now]) if (tokens) keys.add(stampKey(scheme, tokens, MAIN))
  }
  for (const facet of before && after ? stays : [MAIN]) keys.add(table.table(facet))
  return true
}

const isSame = (old: readonly (string | null)[], now: readonly (string | null)[]): boolean =>
  old.every((token, at) => token === now[at])

/** Reads hidden columns, which come as text in the plan's order. */
function imageReader(plan: Pick<WritePlan, 'schemes' | 'columns'>): (image: readonly (string | null)[]) => ReadTokens {
  const positions = new Map(
    plan.schemes.map((scheme) => [scheme, scheme.columns.map((name) => plan.columns.indexOf(name))]),
  )
  return (image) => (scheme) => {
    const at = positions.get(scheme) ?? []
    return tokensOf(scheme, (kind, column) => {
      const text = image[at[column] ?? -1]
      return text === undefined ? undefined : tokenOfText(kind, text)
    })
  }
}

/** Reads a row given as driver values by column name. */
export const rowReader =
  (row: Readonly<Record<string, unknown>>): ReadTokens =>
  (scheme) =>
    tokensOf(scheme, (kind, at) => {
      const value = row[scheme.columns[at] as string]
      return value === null ? null : tokenOf(kind, value)
    })

function tokensOf(
  scheme: Scheme,
  tokenAt: (kind: TokenKind, at: number) => string | null | undefined,
): readonly (string | null)[] | undefined {
  const tokens: (string | null)[] = []
  for (let at = 0; at < scheme.columns.length; at++) {
    const token = tokenAt(scheme.tokens[at] ?? 'none', at)
    if (token === undefined) return undefined
    tokens.push(token)
  }
  return tokens
}
