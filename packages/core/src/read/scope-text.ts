/** `String.prototype.isWellFormed` is in Node 20, but not in the es2022 library. */
interface WellFormed {
  isWellFormed(): boolean
}

/**
 * A scope's text for a key, with its type in front, so that 1 and '1' are two tenants; undefined: it cannot be told. Nor can
 * a text with half a surrogate pair: in UTF-8 all of those are one.
 */
export function scopeText(scope: (() => unknown) | undefined): string | undefined {
  if (!scope) return ''
  try {
    const text = typed(scope())
    return text === undefined ? undefined : `s${text.length}:${text}`
  } catch {
    // Without a scope nobody knows whose answer this would be; the bypass is counted by its name.
    return undefined
  }
}

function typed(scope: unknown): string | undefined {
  if (typeof scope === 'string') return (scope as unknown as WellFormed).isWellFormed() ? `s${scope}` : undefined
  if (typeof scope === 'bigint') return `i${scope}`
  if (typeof scope === 'boolean') return `b${scope}`
  return typeof scope === 'number' && Number.isFinite(scope) ? `n${scope}` : undefined
}
