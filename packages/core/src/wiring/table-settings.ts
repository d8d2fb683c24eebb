import type { TableShape } from '../drizzle/table-shape.ts'
import { AsideError } from '../errors.ts'
import type { TableSettings } from '../model/record.ts'
import type { RefreshSettings } from '../model/timing.ts'
import { milliseconds, type ResolvedOptions, staleAge, type TableOptions } from '../options.ts'
import type { NamedGroup } from '../watch/advise-groups.ts'

/** One table's entry, found by the name it was declared under. */
export interface Listed {
  readonly shape: TableShape
  readonly cached: boolean
  readonly settings: TableSettings
  /** The column groups of the settings under the user's names for them. */
  readonly groups: readonly NamedGroup[]
  readonly affects: readonly TableShape[] | undefined
}

export const DEFAULT_TTL_MS = 300_000

export function listTables(
  options: ResolvedOptions,
  shapeOf: (table: object) => TableShape,
): readonly Listed[] | 'all' {
  if (options.entries === 'all') return 'all'
  return options.entries.map(({ table, options: own, cached }) => ({
    shape: shapeOf(table),
    cached,
    settings: settingsOf(own, options, shapeOf(table)),
    groups: groupsOf(own, shapeOf(table)),
    affects: own.affects?.map(shapeOf),
  }))
}

export const nothingChosen = { lists: [], sensitive: new Set<string>() }

export function settingsOf(own: TableOptions, options: ResolvedOptions, shape: TableShape | undefined): TableSettings {
  const sensitive = new Set(chosenNames('sensitive', own, shape) ?? [])
  return {
    ttlMs: milliseconds(own.ttl ?? DEFAULT_TTL_MS, 'ttl'),
    negativeTtlMs: milliseconds(own.negativeTtl ?? 30_000, 'negativeTtl'),
    jitter: own.jitter ?? 0.1,
    maxBytes: own.maxBytes ?? 262_144,
    maxTouched: own.maxTouched ?? 1000,
    compose: own.compose ?? true,
    sensitive,
    hidden: options.encryption ? new Set() : sensitive,
    record: shape && own.record && new Set(chosenNames('record', own, shape)),
    scope: own.scope ?? options.scope,
    lists: listsOf(own, shape, options.encryption ? new Set() : sensitive),
    facets: groupsOf(own, shape).map(({ columns }) => columns),
    rows: own.rows ?? false,
    maxRows: own.maxRows ?? 1000,
    refresh: refreshOf(own),
    maxStaleMs: own.serveStaleOnError === undefined ? options.maxStaleMs : staleAge(own.serveStaleOnError),
  }
}

function refreshOf({ refresh }: TableOptions): RefreshSettings | undefined {
  if (!refresh) return undefined
  const { beta = 1, ahead } = refresh === true ? {} : refresh
  return { beta, aheadMs: ahead === undefined ? 0 : milliseconds(ahead, 'ahead') }
}

type ColumnsChosen = Parameters<NonNullable<TableOptions['sensitive']>>[0]
const fieldsOf = (shape: TableShape): ColumnsChosen => shape.fields as ColumnsChosen

function chosenNames(
  option: 'sensitive' | 'record',
  own: TableOptions,
  shape: TableShape | undefined,
): readonly string[] | undefined {
  return shape && own[option]?.(fieldsOf(shape)).map((column) => nameIn(shape, column, option))
}

/** The name of a column in the database; only a column of the table's own has one here. */
function nameIn(shape: TableShape, column: unknown, option: keyof TableOptions): string {
  const found = shape.columns.find((each) => each.column === column)
  if (found) return found.name
  throw new AsideError('ASIDE_UNKNOWN_COLUMN', `${option} of ${shape.name} names a column that is not one of its own.`)
}

/** Most combinations of columns that a table may list. */
const MOST_LISTS = 16

function listsOf(
  own: TableOptions,
  shape: TableShape | undefined,
  unnamed: ReadonlySet<string>,
): readonly (readonly string[])[] {
  if (!own.lists || !shape) return []
  const lists = own
    .lists(fieldsOf(shape))
    .map((list) => (Array.isArray(list) ? list : [list]).map((column) => nameIn(shape, column, 'lists')))
  if (lists.length > MOST_LISTS) refuseOption(`lists of ${shape.name} has more than ${MOST_LISTS} entries.`)
  for (const columns of lists) {
    if (columns.length === 0) refuseOption(`lists of ${shape.name} has an entry without columns.`)
    const secret = columns.find((column) => unnamed.has(column))
    if (secret)
      refuseOption(
        `lists of ${shape.name} names ${secret}, which is sensitive: without encryption its values may stand in no key.`,
      )
  }
  return lists
}

function groupsOf(own: TableOptions, shape: TableShape | undefined): readonly NamedGroup[] {
  if (!own.facets || !shape) return []
  const groups = Object.entries(own.facets(fieldsOf(shape))).map(([name, columns]) => ({
    name,
    columns: [...new Set(columns.map((column) => nameIn(shape, column, 'facets')))],
  }))
  if (groups.some(({ columns }) => columns.length === 0))
    refuseOption(`facets of ${shape.name} has a group without columns.`)
  const all = groups.flatMap(({ columns }) => columns)
  const twice = all.find((column, at) => all.indexOf(column) !== at)
  if (twice) refuseOption(`facets of ${shape.name} names ${twice} in two groups; a column belongs to one at most.`)
  return groups
}

function refuseOption(message: string): never {
  throw new AsideError('ASIDE_BAD_OPTION', message)
}
