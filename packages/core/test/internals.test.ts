/** The contract with Drizzle: what it must have is where we look for it, and whatever moves is named. */
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as overPglite } from 'drizzle-orm/pglite'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { describe, expect, it } from 'vitest'
import { checkDrizzle, movedMembers } from '../src/drizzle/internals.ts'

const dbs = [
  ['node-postgres', overNodePostgres.mock()],
  ['postgres-js', overPostgresJs.mock()],
  ['pglite', overPglite.mock()],
] as const

type Parts = { dialect: Record<string, unknown>; session: Record<string, unknown> }

/** The db with some members of its dialect and session replaced. */
function changed(dialect: object, session: object): unknown {
  const db = overNodePostgres.mock() as unknown as Parts
  const other = Object.create(db) as Parts
  other.dialect = Object.assign(Object.create(db.dialect), dialect)
  other.session = Object.assign(Object.create(db.session), session)
  return other
}

describe.each(dbs)('with %s', (kind, db) => {
  it('this Drizzle has everything where it is looked for', () => {
    expect(movedMembers(db)).toEqual([])
    expect(checkDrizzle(db)).toBe(kind)
  })
})

describe('a Drizzle that differs is told apart by name', () => {
  const cases: [what: string, db: unknown, moved: string[]][] = [
    ['a dialect method is gone', changed({ buildUpdateSet: undefined }, {}), ['dialect.buildUpdateSet']],
    [
      'two are gone',
      changed({ buildSelection: 1, sqlToQuery: null }, {}),
      ['dialect.buildSelection', 'dialect.sqlToQuery'],
    ],
    ['casing is elsewhere', changed({ casing: {} }, {}), ['dialect.casing.getColumnCasing', 'dialect.casing.convert']],
    [
      'prepareQuery takes other parameters',
      changed({}, { prepareQuery: (_a: unknown, _b: unknown, _c: unknown) => undefined }),
      ['session.prepareQuery with seven parameters'],
    ],
    ['transactions are elsewhere', changed({}, { transaction: undefined }), ['session.transaction']],
  ]
  it.each(cases)('%s', (_, db, moved) => {
    expect(movedMembers(db)).toEqual(moved)
    expect(() => checkDrizzle(db)).toThrow(
      expect.objectContaining({
        code: 'ASIDE_UNSUPPORTED_DRIZZLE',
        message: expect.stringContaining(moved.join(', ')),
      }),
    )
  })

  it.each(['0.43.1', '0.46.0', '1.0.0-rc.5'])('version %s is not a known one', (version) => {
    expect(movedMembers(overNodePostgres.mock(), version)).toEqual([`version ${version}`])
  })

  it('an object that is no db at all', () => {
    expect(movedMembers({})).toContain('db is not a PgDatabase')
    expect(movedMembers({})).toContain('session.transaction')
  })
})
