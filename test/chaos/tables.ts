/**
 * The tables of a chaos run. Every write leaves its own name in the rows that it changes, so that each state of a row can
 * be told from all others, and who made it.
 */
import { cached } from 'drizzle-aside'
import { relations } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { Random } from '../random/random.ts'

export const teams = pgTable('teams', { id: integer('id').primaryKey(), at: text('at').notNull() })

export const accounts = pgTable('accounts', {
  id: integer('id').primaryKey(),
  /** `id/place`: the places of a row are its own, so that no two rows ever want the same. */
  slot: text('slot').notNull().unique(),
  team: integer('team')
    .notNull()
    .references(() => teams.id),
  kind: integer('kind').notNull(),
  /** The last write that changed anything but the views. */
  at: text('at').notNull(),
  views: integer('views').notNull(),
  /** The last write that changed the views. */
  viewedBy: text('viewed_by').notNull(),
})

export const notes = pgTable('notes', {
  id: integer('id').primaryKey(),
  accountId: integer('account_id')
    .notNull()
    .references(() => accounts.id),
  at: text('at').notNull(),
})

export const accountRelations = relations(accounts, ({ many, one }) => ({
  notes: many(notes),
  team: one(teams, { fields: [accounts.team], references: [teams.id] }),
}))
export const noteRelations = relations(notes, ({ one }) => ({
  account: one(accounts, { fields: [notes.accountId], references: [accounts.id] }),
}))
export const schema = { teams, accounts, notes, accountRelations, noteRelations }

export const sizes = { teams: 4, accounts: 20, kinds: 3, places: 3 } as const

/** Two accounts are wanted, and written, more than others: there races meet. `hot`: by what share of all. */
export const anyAccount = (random: Random, hot = 0.4): number =>
  random.chance(hot) ? random.below(2) : random.below(sizes.accounts)

/** The same of teams, which are few anyway. */
export const anyTeam = (random: Random, hot = 0): number =>
  random.chance(hot) ? random.below(2) : random.below(sizes.teams)

export const slotName = (row: number, place: number): string => `${row}/${place}`

export const setUp = `
  create table teams (id integer primary key, at text not null);
  create table accounts (id integer primary key, slot text not null unique, team integer not null references teams,
    kind integer not null, at text not null, views integer not null, viewed_by text not null);
  create index on accounts (team);
  create table notes (id integer primary key, account_id integer not null references accounts, at text not null);
  create index on notes (account_id);
  insert into teams select i, 'start' from generate_series(0, ${sizes.teams - 1}) i;
  insert into accounts select i, i || '/0', i % ${sizes.teams}, i % ${sizes.kinds}, 'start', 0, 'start'
    from generate_series(0, ${sizes.accounts - 1}) i;`

/**
 * Two versions of one service, as a deploy has them side by side: other lists, other column groups, other tables. What the
 * first keeps by team and kind, the second only learns from the register, and the other way round.
 */
export const configurations = {
  lists: (ttl: number) => [
    cached(accounts, { ttl, lists: (t) => [[t.team, t.kind]] }),
    cached(teams, { ttl }),
    cached(notes, { ttl }),
  ],
  groups: (ttl: number) => [
    cached(accounts, { ttl, facets: (t) => ({ counters: [t.views, t.viewedBy] }) }),
    cached(notes, { ttl, rows: true }),
  ],
} as const

export type Configuration = keyof typeof configurations
