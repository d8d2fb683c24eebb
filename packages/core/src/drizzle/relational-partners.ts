import type { Term } from '../model/query-shape.ts'
import { Column, chunksOf, is, Param, Placeholder, textOf } from './internals.ts'
import { type Below, type Level, type LevelColumn, numberLevels } from './relational-levels.ts'

/**
 * A single partner of which each row that a relational answer rests on can be told from the answer itself (DESIGN 3.3):
 * nothing but the relation decides which row it is, and nothing above it looks at it. Whether the matched columns are
 * the partner's whole primary key is for the catalog to say.
 */
export interface RelationalPartner {
  /** The partner, among the shape's `refs`. */
  readonly ref: number
  /** The partner's columns that the relation matches, and beside them the owner's columns that they equal. */
  readonly references: readonly string[]
  readonly from: readonly Term[]
  /**
   * Where the values stand: in the rows of the owner, or only in those of the partner. The latter tells nothing of a
   * partner that is missing: it counts only where the catalog proves that none can be, by a validated, enforced foreign
   * key on columns that are NOT NULL.
   */
  readonly seenIn: 'owner' | 'partner'
  /** True when the values were read from JSON: no column of type bigint in the database may be read so. */
  readonly inJson: boolean
  /**
   * The values of a row of the answer, one tuple for each partner in the order of `references`; NULL has no partner and
   * is left out. Undefined when the row cannot be read: then nothing may be learned from it.
   */
  read(row: readonly unknown[]): readonly (readonly unknown[])[] | undefined
}

/** Partners of a relational query that may be learned, as far as its structure says. */
export function relationalPartners(root: Level): readonly RelationalPartner[] {
  const found: RelationalPartner[] = []
  const refs = numberLevels(root)
  const visit = (level: Level, path: readonly Step[], secluded: boolean): void => {
    const ref = refs.get(level) as number
    // What is written at a level may look at everything that hangs below it.
    const unseen = secluded && looksAtItselfOnly(level)
    level.below.forEach((below, at) => {
      const owner: Owner = { level, ref, path, position: level.columns.length + level.extras.length + at }
      const partner = unseen ? partnerOf(below, owner, refs.get(below.level) as number) : undefined
      if (partner) found.push(partner)
      visit(below.level, [...path, { position: owner.position, many: below.tie.many }], unseen)
    })
  }
  visit(root, [], true)
  return found
}

/** The level that a relation starts from, and where the relation's rows stand in its rows. */
interface Owner {
  readonly level: Level
  readonly ref: number
  readonly path: readonly Step[]
  readonly position: number
}

/** One step down in an answer's row: into the JSON of a relation. */
interface Step {
  readonly position: number
  readonly many: boolean
}

function partnerOf({ tie, level }: Below, owner: Owner, ref: number): RelationalPartner | undefined {
  if (tie.many || tie.fields.length === 0 || !isPlain(level)) return undefined
  const { references } = tie
  const from = tie.fields.map((column) => ({ ref: owner.ref, column }))
  const known = { ref, references, from }
  const owned = positionsOf(tie.fields, owner.level.columns)
  const inJson = owner.path.length > 0
  if (owned && !(inJson && holdsBigint(owned, owner.level.columns))) {
    return { ...known, seenIn: 'owner', inJson, read: (row) => valuesOf(rowsAt(row, owner.path), owned, inJson) }
  }
  const own = positionsOf(references, level.columns)
  if (!own || holdsBigint(own, level.columns)) return undefined
  const path = [...owner.path, { position: owner.position, many: false }]
  return { ...known, seenIn: 'partner', inJson: true, read: (row) => valuesOf(rowsAt(row, path, true), own, true) }
}

/**
 * True when everything that is written at a level is about the level's own columns and values: Drizzle puts each column
 * of its conditions under the level's alias. Free text and sub-queries could name what a relation below it holds.
 */
function looksAtItselfOnly({ where, orderBy, extras, limit, offset }: Level): boolean {
  return extras.length === 0 && [where, limit, offset, ...orderBy].every(namesNothing)
}

function namesNothing(chunk: unknown): boolean {
  if (typeof chunk !== 'object' || chunk === null) return typeof chunk !== 'function'
  if (Array.isArray(chunk)) return chunk.every(namesNothing)
  const text = textOf(chunk)
  if (text !== undefined) return operatorTexts.has(text)
  return chunksOf(chunk)?.every(namesNothing) ?? (is(chunk, Column) || is(chunk, Param) || is(chunk, Placeholder))
}

/** The texts of Drizzle's operators that stand between columns and values. */
const comparisons = ['=', '<>', '>', '>=', '<', '<=', 'in', 'not in', 'between', 'not between', 'and', 'or']
const patterns = ['like', 'not like', 'ilike', 'not ilike']
const operatorTexts: ReadonlySet<string> = new Set([
  ...['', '(', ')', ', ', 'not ', ' is null', ' is not null', ' asc', ' desc', 'true', 'false'],
  ...[...comparisons, ...patterns].map((word) => ` ${word} `),
])

/** Nothing but the relation chooses the row, and nothing but its columns is asked of it. */
function isPlain({ where, orderBy, extras, offset }: Level): boolean {
  return where === undefined && orderBy.length === 0 && extras.length === 0 && offset === undefined
}

function positionsOf(names: readonly string[], columns: readonly LevelColumn[]): number[] | undefined {
  const positions = names.map((wanted) => columns.findIndex(({ name }) => name === wanted))
  return positions.includes(-1) ? undefined : positions
}

const bigintTypes = /^(?:bigint|bigserial|int8|serial8)$/i

const holdsBigint = (positions: readonly number[], columns: readonly LevelColumn[]): boolean =>
  positions.some((at) => bigintTypes.test((columns[at] as LevelColumn).column.getSQLType()))

type Rows = readonly (readonly unknown[])[]

/** All rows of the level that the path leads to; undefined for JSON that is not as Drizzle asked for it. */
function rowsAt(row: readonly unknown[], path: readonly Step[], complete = false): Rows | undefined {
  let rows: Rows | undefined = [row]
  path.forEach((step, at) => {
    rows = rows && rowsBelow(rows, step, complete && at === path.length - 1)
  })
  return rows
}

function rowsBelow(rows: Rows, { position, many }: Step, complete: boolean): Rows | undefined {
  const found: (readonly unknown[])[] = []
  for (const row of rows) {
    const value = parsed(row[position])
    if (value === null && !many && !complete) continue
    if (!Array.isArray(value) || (many && !value.every(Array.isArray))) return undefined
    if (many) found.push(...(value as unknown[][]))
    else found.push(value)
  }
  return found
}

/** Drizzle takes JSON as text, too: parsers are the user's to set. */
function parsed(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}

function valuesOf(rows: Rows | undefined, positions: readonly number[], inJson: boolean): Rows | undefined {
  if (!rows) return undefined
  const tuples = rows.map((row) => positions.map((at) => row[at]))
  if (!tuples.every((tuple) => tuple.every((value) => isExact(value, inJson)))) return undefined
  return tuples.filter((tuple) => !tuple.includes(null))
}

/** JSON numbers beyond 2^53 are rounded; one that is safe was never rounded. */
function isExact(value: unknown, inJson: boolean): boolean {
  return inJson && typeof value === 'number' ? Number.isSafeInteger(value) : value !== undefined
}
