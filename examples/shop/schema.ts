import { boolean, integer, jsonb, numeric, pgTable, text, timestamp } from 'drizzle-orm/pg-core'

export const categories = pgTable('categories', {
  id: integer('id').primaryKey(),
  slug: text('slug').notNull().unique(),
  name: text('name').notNull(),
})

export const products = pgTable('products', {
  id: integer('id').primaryKey(),
  sku: text('sku').notNull().unique(),
  slug: text('slug').notNull().unique(),
  name: text('name').notNull(),
  categoryId: integer('category_id')
    .notNull()
    .references(() => categories.id),
  price: numeric('price', { precision: 10, scale: 2 }).notNull(),
  description: text('description').notNull(),
  attributes: jsonb('attributes').$type<{ colour: string; sizes: string[] }>().notNull(),
  active: boolean('active').notNull(),
  updatedAt: timestamp('updated_at', { withTimezone: true }).notNull(),
})

export const stock = pgTable('stock', {
  sku: text('sku')
    .primaryKey()
    .references(() => products.sku),
  quantity: integer('quantity').notNull(),
  warehouse: text('warehouse').notNull(),
})

export const customers = pgTable('customers', {
  id: integer('id').primaryKey(),
  email: text('email').notNull().unique(),
  name: text('name').notNull(),
  since: timestamp('since', { withTimezone: true }).notNull(),
})

export const orders = pgTable('orders', {
  id: integer('id').primaryKey(),
  customerId: integer('customer_id')
    .notNull()
    .references(() => customers.id),
  total: numeric('total', { precision: 12, scale: 2 }).notNull(),
  placedAt: timestamp('placed_at', { withTimezone: true }).notNull(),
})

export const schema = { categories, products, stock, customers, orders }

export const createTables = `
  create table categories (id integer primary key, slug text not null unique, name text not null);
  create table products (
    id integer primary key, sku text not null unique, slug text not null unique, name text not null,
    category_id integer not null references categories (id), price numeric(10, 2) not null, description text not null,
    attributes jsonb not null, active boolean not null, updated_at timestamptz not null
  );
  create table stock (
    sku text primary key references products (sku), quantity integer not null, warehouse text not null
  );
  create table customers (id integer primary key, email text not null unique, name text not null, since timestamptz not null);
  create table orders (
    id integer primary key, customer_id integer not null references customers (id), total numeric(12, 2) not null,
    placed_at timestamptz not null
  );
`

export type Product = typeof products.$inferSelect
export type Stock = typeof stock.$inferSelect
export type Customer = typeof customers.$inferSelect
export type Category = typeof categories.$inferSelect
export type Order = typeof orders.$inferSelect
export type Row = Product | Stock | Customer | Category | Order
