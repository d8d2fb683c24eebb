/** Guards for the json of the catalog query: `unknown` comes in, is looked at once, and leaves with a type. */

/** Thrown where the database's answer does not have the expected form; the reading counts as failed. */
function unexpected(what: string, value: unknown): Error {
  return new Error(`The catalog query answered in an unexpected form: ${what} wanted, ${typeof value} found`)
}

export function asText(value: unknown): string {
  if (typeof value !== 'string') throw unexpected('a text', value)
  return value
}

export function asNumber(value: unknown): number {
  if (typeof value !== 'number') throw unexpected('a number', value)
  return value
}

export function asFlag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw unexpected('true or false', value)
  return value
}

/** SQL's `json_agg` over no rows is NULL: an empty list. */
export function asList(value: unknown): readonly unknown[] {
  if (value === null) return []
  if (!Array.isArray(value)) throw unexpected('a list', value)
  return value
}

export function asFields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unexpected('an object', value)
  return value as Readonly<Record<string, unknown>>
}

export const asTexts = (value: unknown): readonly string[] => asList(value).map(asText)

export const asNumbers = (value: unknown): readonly number[] => asList(value).map(asNumber)

/** One of a closed list of words, translated. */
export function asOneOf<T>(words: Readonly<Record<string, T>>, value: unknown): T {
  const word = asText(value)
  const found = Object.hasOwn(words, word) ? words[word] : undefined
  if (found === undefined) throw unexpected(`one of ${Object.keys(words).join(', ')}`, value)
  return found
}
