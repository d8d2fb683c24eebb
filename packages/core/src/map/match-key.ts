import { type Condition, unknownValue, type Value } from '../model/condition.ts'
import type { TokenKind } from '../model/facts.ts'
import type { Scheme } from '../model/keys.ts'
import type { BypassReason, ReadKind } from '../model/reasons.ts'
import type { LookupKey, RecordSource } from '../model/record.ts'
import { tokenOf } from '../model/tokens.ts'
import type { MatchedKeys } from '../ports/paths.ts'

type Placeholders = Readonly<Record<string, unknown>> | undefined

/** Most keys of one in-list that are read from records (DESIGN 6). */
export const MAX_LIST = 1000

/** Matches a condition with the schemes of a source: the primary key first, then unique keys by equality. */
export function matchKey(condition: Condition, source: RecordSource, given: Placeholders): MatchedKeys | BypassReason {
  if (condition.kind === 'compare' && condition.operator === '=') return matchColumn(condition, source, given)
  const terms = condition.kind === 'and' ? flatten(condition.members) : [condition]
  for (const scheme of source.schemes) {
    const columns = source.schemeColumns.get(scheme.name) as readonly number[]
    const match = matchScheme(terms, scheme, columns, source, given)
    if (match) return match
  }
  return 'not-a-proven-key'
}

/** One equality alone: the common case, without building lists. */
function matchColumn(
  condition: Extract<Condition, { kind: 'compare' }>,
  source: RecordSource,
  given: Placeholders,
): MatchedKeys | BypassReason {
  const scheme = source.byColumn[condition.column]
  if (!scheme) return 'not-a-proven-key'
  const value = condition.value(given)
  const token = value === unknownValue ? undefined : tokenOf(scheme.tokens[0] as TokenKind, value)
  if (token === undefined) return 'value-without-token'
  const kind: ReadKind = scheme.kind === 'unique' ? 'unique' : 'key'
  return { scheme, kind, keys: [{ tokens: [token], values: [value] }], accepts: undefined }
}

/** Nested `and`s say the same as one. */
function flatten(members: readonly Condition[]): readonly Condition[] {
  if (!members.some((member) => member.kind === 'and')) return members
  return members.flatMap((member) => (member.kind === 'and' ? flatten(member.members) : [member]))
}

function matchScheme(
  terms: readonly Condition[],
  scheme: Scheme,
  columns: readonly number[],
  source: RecordSource,
  given: Placeholders,
): MatchedKeys | BypassReason | undefined {
  const used = columns.map((column) => terms.find((term) => fixes(term, column)))
  if (used.every((term) => term !== undefined)) return product(terms, used, scheme, source, given)
  const either = scheme.kind === 'primary' ? terms.find((term) => term.kind === 'or') : undefined
  return either && listOfKeys(terms, either, scheme, columns, source, given)
}

function fixes(term: Condition, column: number): boolean {
  return (term.kind === 'in' || (term.kind === 'compare' && term.operator === '=')) && term.column === column
}

const valuesOf = (term: Condition): readonly Value[] =>
  term.kind === 'in' ? term.values : term.kind === 'compare' ? [term.value] : []

/** Equalities and in-lists on the columns of one key: every combination. */
function product(
  terms: readonly Condition[],
  used: readonly (Condition | undefined)[],
  scheme: Scheme,
  source: RecordSource,
  given: Placeholders,
): MatchedKeys | BypassReason {
  const lists = used.some((term) => term?.kind === 'in')
  // A unique key in a list is no record read: its stamps are classes, and many of them would crowd one entry.
  if (lists && scheme.kind === 'unique') return 'not-a-proven-key'
  let keys: LookupKey[] = [{ tokens: [], values: [] }]
  for (let i = 0; i < used.length; i++) {
    const choices = readChoices(valuesOf(used[i] as Condition), scheme.tokens[i] as TokenKind, given)
    if (!choices) return 'value-without-token'
    if (choices.length * keys.length > MAX_LIST) return 'too-many-keys'
    keys =
      keys.length === 1 && choices.length === 1
        ? [extend(keys[0] as LookupKey, choices[0] as Choice)]
        : cross(keys, choices)
  }
  return finish(scheme, lists, keys, terms, used as readonly Condition[], source, given)
}

interface Choice {
  readonly token: string
  readonly value: unknown
}

/** Tokens of the values, NULLs left out (nothing equals NULL); undefined when one has no token. */
function readChoices(values: readonly Value[], kind: TokenKind, given: Placeholders): Choice[] | undefined {
  const choices: Choice[] = []
  for (const read of values) {
    const value = read(given)
    if (value === null && values.length > 1) continue
    const token = value === unknownValue ? undefined : tokenOf(kind, value)
    if (token === undefined) return undefined
    choices.push({ token, value })
  }
  return choices
}

const extend = (key: LookupKey, choice: Choice): LookupKey => ({
  tokens: [...key.tokens, choice.token],
  values: [...key.values, choice.value],
})

const cross = (keys: readonly LookupKey[], choices: readonly Choice[]): LookupKey[] =>
  keys.flatMap((key) => choices.map((choice) => extend(key, choice)))

/** `(a = 1 and b = 2) or (a = 3 and b = 4)`: each branch is one whole key and nothing else. */
function listOfKeys(
  terms: readonly Condition[],
  either: Condition,
  scheme: Scheme,
  columns: readonly number[],
  source: RecordSource,
  given: Placeholders,
): MatchedKeys | BypassReason | undefined {
  const branches = either.kind === 'or' ? either.members : []
  if (branches.length > MAX_LIST) return 'too-many-keys'
  const keys: LookupKey[] = []
  for (const branch of branches) {
    const members = branch.kind === 'and' ? flatten(branch.members) : [branch]
    const used = columns.map((column) => members.find((member) => member.kind === 'compare' && fixes(member, column)))
    if (members.length !== columns.length || used.some((member) => !member)) return undefined
    const match = product(members, used, scheme, source, given)
    if (typeof match === 'string') return match
    keys.push(...match.keys)
  }
  return finish(scheme, true, keys, terms, [either], source, given)
}

function finish(
  scheme: Scheme,
  lists: boolean,
  keys: readonly LookupKey[],
  terms: readonly Condition[],
  used: readonly Condition[],
  source: RecordSource,
  given: Placeholders,
): MatchedKeys | BypassReason {
  const rest = terms.filter((term) => !used.includes(term))
  const tests = rest.map((term) => testOf(term, source, given))
  if (tests.some((test) => test === undefined)) return 'not-a-record'
  const kind: ReadKind = scheme.kind === 'unique' ? 'unique' : lists ? 'in-list' : 'key'
  const accepts =
    tests.length === 0 ? undefined : (valueAt: RowReader) => tests.every((test) => (test as Test)(valueAt))
  return { scheme, kind, keys: lists ? distinct(keys) : keys, accepts }
}

/** A list names each row once, and without ORDER BY rows come in the order of their keys. */
function distinct(keys: readonly LookupKey[]): LookupKey[] {
  const seen = new Map<string, LookupKey>()
  for (const key of keys) {
    const name = key.tokens.length === 1 ? (key.tokens[0] as string) : JSON.stringify(key.tokens)
    if (!seen.has(name)) seen.set(name, key)
  }
  return [...seen.values()].sort(byTokens)
}

function byTokens(a: LookupKey, b: LookupKey): number {
  for (let i = 0; i < a.tokens.length; i++) {
    const order = compareTokens(a.tokens[i] as string, b.tokens[i] as string)
    if (order !== 0) return order
  }
  return 0
}

const digits = /^-?\d+$/
function compareTokens(a: string, b: string): number {
  if (digits.test(a) && digits.test(b)) {
    const difference = BigInt(a) - BigInt(b)
    return difference < 0n ? -1 : difference > 0n ? 1 : 0
  }
  return a < b ? -1 : a > b ? 1 : 0
}

type RowReader = (column: number) => unknown
type Test = (valueAt: RowReader) => boolean

/** A further conjunct as a test on driver values; undefined when it cannot be decided without any doubt. */
function testOf(term: Condition, source: RecordSource, given: Placeholders): Test | undefined {
  if (term.kind === 'null')
    return stored(term.column, source) ? (at) => (at(term.column) === null) !== term.negated : undefined
  if (term.kind !== 'compare' && term.kind !== 'in') return undefined
  const kind = source.kinds[term.column] as TokenKind
  if (!stored(term.column, source) || kind === 'none') return undefined
  const choices = readChoices(valuesOf(term), kind, given)
  if (!choices?.every(({ token }) => isSurelyTaken(token, kind, source.types[term.column]))) return undefined
  const tokens = new Set(choices.map(({ token }) => token))
  const wanted = term.kind === 'in' || term.operator === '='
  return (at) => {
    const value = at(term.column)
    if (value === null) return false
    const token = tokenOf(kind, value)
    if (token === undefined) throw undecided
    return tokens.has(token) === wanted
  }
}

/**
 * Whether PostgreSQL takes the value for one of the column's type: else the statement fails, and no row decides that. Of an
 * enum only the database knows the labels.
 */
function isSurelyTaken(token: string, kind: TokenKind, type: string | undefined): boolean {
  switch (kind) {
    case 'enum':
      return false
    case 'int': {
      const bits = integerBits[type ?? '']
      return bits !== undefined && BigInt.asIntN(bits, BigInt(token)) === BigInt(token)
    }
    case 'date':
      return isDay(token)
    default:
      return true
  }
}

const integerBits: Readonly<Record<string, number>> = { smallint: 16, integer: 32, bigint: 64 }

/** A day of the calendar; there is no year 0. */
function isDay(token: string): boolean {
  const day = new Date(`${token}T00:00:00Z`)
  return !token.startsWith('0000') && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(token)
}

/** Thrown by a test that meets a driver value it cannot read; the caller then asks the database. */
export const undecided: unique symbol = Symbol('undecided')

const stored = (column: number, source: RecordSource): boolean => (source.slots[column] as number) >= 0
