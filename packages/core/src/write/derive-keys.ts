import type { RelationFacts, TokenKind } from '../model/facts.ts'
import { stampKey } from '../model/keys.ts'
import { tokenOfText } from '../model/tokens.ts'
import type { RowImages, TouchedRows, WritePlan } from '../model/write.ts'
import type { EpochReason } from '../ports/events.ts'

/** Most keys that one write removes one by one; more, and the table's epoch falls (DESIGN 3.4). */
const MAX_KEYS = 512

export type DerivedKeys = { readonly keys: readonly string[] } | { readonly epoch: EpochReason }

/** The stamps that a write's images kill: for each row and scheme the class it was in and the class it is in. */
export function deriveKeys(plan: WritePlan, touched: TouchedRows, relation: RelationFacts): DerivedKeys {
  if (plan.form === 'none') {
    return touched.count === 0 && !relation.rules ? { keys: [] } : { epoch: plan.reason ?? 'no-images' }
  }
  if (touched.unknownRows) return { epoch: 'no-images' }
  if (touched.count !== undefined && touched.count > touched.images.length) return { epoch: 'too-many-rows' }
  const keys = new Set<string>()
  for (const images of touched.images) {
    if (!addKeys(keys, plan, images, relation)) return { epoch: 'value-without-token' }
    if (keys.size > MAX_KEYS) return { epoch: 'too-many-rows' }
  }
  return { keys: [...keys] }
}

function addKeys(keys: Set<string>, plan: WritePlan, { before, after }: RowImages, relation: RelationFacts): boolean {
  for (const image of [before, after]) {
    if (!image) continue
    for (const scheme of plan.schemes) {
      const tokens = tokensOf(scheme.columns, plan.columns, image, relation)
      if (tokens === undefined) return false
      if (tokens) keys.add(stampKey(scheme, tokens))
    }
  }
  return true
}

/** Tokens of a scheme's columns in an image; null when a NULL among them keeps the row out of every look-up. */
function tokensOf(
  columns: readonly string[],
  order: readonly string[],
  image: readonly (string | null)[],
  relation: RelationFacts,
): string[] | null | undefined {
  const tokens: string[] = []
  for (const column of columns) {
    const kind: TokenKind = relation.columns.get(column)?.token ?? 'none'
    const token = tokenOfText(kind, image[order.indexOf(column)] ?? null)
    if (token === null || token === undefined) return token
    tokens.push(token)
  }
  return tokens
}
