/** A scope's text for a key, with its type in front, so that 1 and '1' are two tenants; undefined: it cannot be told. */
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
  if (typeof scope === 'string') return `s${scope}`
  if (typeof scope === 'bigint') return `i${scope}`
  if (typeof scope === 'boolean') return `b${scope}`
  return typeof scope === 'number' && Number.isFinite(scope) ? `n${scope}` : undefined
}
