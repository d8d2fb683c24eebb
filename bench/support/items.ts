import { sql } from 'drizzle-orm'
import { boolean, integer, jsonb, numeric, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

const date = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' }).notNull()

/** The row that all figures are about: twelve columns of the usual kinds, about 500 bytes as JSON. */
const columns = {
  id: integer('id').primaryKey(),
  ref: uuid('ref').notNull(),
  name: text('name').notNull(),
  brand: text('brand').notNull(),
  description: text('description').notNull(),
  note: text('note'),
  active: boolean('active').notNull(),
  version: integer('version').notNull(),
  price: numeric('price', { precision: 10, scale: 2 }).notNull(),
  attributes: jsonb('attributes').$type<{ color: string; sizes: number[]; weight: number }>().notNull(),
  createdAt: date('created_at'),
  updatedAt: date('updated_at'),
}

export const items = pgTable('items', columns)
/** The same beside it, for the question what tables cost that are not cached. */
export const others = pgTable('others', columns)

export type Item = typeof items.$inferSelect

export const ROWS = 10_000

const tableSql = (name: string): string => `
  create table ${name} (
    id int primary key, ref uuid not null, name text not null, brand text not null, description text not null,
    note text, active boolean not null, version int not null, price numeric(10, 2) not null,
    attributes jsonb not null, created_at timestamptz not null, updated_at timestamptz not null
  ) with (fillfactor = 70);
  insert into ${name}
  select i, md5(i::text)::uuid, 'Product number ' || i, 'Brand ' || i % 97, repeat('A sentence on product ' || i || '. ', 6),
    null, true, 0, (i % 1000) + 0.99, jsonb_build_object('color', 'blue', 'sizes', '[1, 2, 3]'::jsonb, 'weight', i),
    now(), now()
  from generate_series(1, ${ROWS}) i;
  analyze ${name};`

export const itemsSql: string = tableSql('items') + tableSql('others')

/** A row as JSON gives it back, made what Drizzle returns: the two dates. */
export function reviveItem(text: string): Item {
  const item = JSON.parse(text) as Item
  item.createdAt = new Date(item.createdAt)
  item.updatedAt = new Date(item.updatedAt)
  return item
}

export function newItem(id: number): typeof items.$inferInsert {
  const now = new Date()
  return {
    id,
    ref: '0b0e7a52-8e0b-4f0f-9d52-0e5c8f3a7d11',
    name: `New ${id}`,
    brand: 'Brand new',
    description: 'Just arrived',
    note: null,
    active: true,
    version: 0,
    price: '1.99',
    attributes: { color: 'red', sizes: [1], weight: id },
    createdAt: now,
    updatedAt: now,
  }
}

export const idPlaceholder = sql.placeholder('id')
