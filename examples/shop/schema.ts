import { boolean, index, integer, jsonb, numeric, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core'

export const categories = pgTable('categories', {
  id: integer('id').primaryKey(),
  slug: text('slug').notNull().unique(),
  name: text('name').notNull(),
})

export const products = pgTable(
  'products',
  {
    id: integer('id').primaryKey(),
    sku: text('sku').notNull().unique(),
    slug: text('slug').notNull().unique(),
    name: text('name').notNull(),
    categoryId: integer('category_id')
      .notNull()
      .references(() => categories.id),
    /** The list price; what is paid in a region stands in `prices`. */
    price: numeric('price', { precision: 10, scale: 2 }).notNull(),
    description: text('description').notNull(),
    attributes: jsonb('attributes').$type<{ colour: string; sizes: string[] }>().notNull(),
    active: boolean('active').notNull(),
    updatedAt: timestamp('updated_at', { withTimezone: true }).notNull(),
  },
  (t) => [index('products_category_id').on(t.categoryId, t.id)],
)

export const regions = pgTable('regions', {
  id: text('id').primaryKey(),
  currency: text('currency').notNull(),
})

export const prices = pgTable(
  'prices',
  {
    productId: integer('product_id')
      .notNull()
      .references(() => products.id),
    regionId: text('region_id')
      .notNull()
      .references(() => regions.id),
    amount: numeric('amount', { precision: 10, scale: 2 }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.productId, t.regionId] })],
)

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

export const follows = pgTable(
  'follows',
  {
    customerId: integer('customer_id')
      .notNull()
      .references(() => customers.id),
    categoryId: integer('category_id')
      .notNull()
      .references(() => categories.id),
  },
  (t) => [primaryKey({ columns: [t.customerId, t.categoryId] })],
)

export const cartItems = pgTable(
  'cart_items',
  {
    customerId: integer('customer_id')
      .notNull()
      .references(() => customers.id),
    productId: integer('product_id')
      .notNull()
      .references(() => products.id),
    quantity: integer('quantity').notNull(),
  },
  (t) => [primaryKey({ columns: [t.customerId, t.productId] })],
)

export const schema = { categories, products, regions, prices, stock, customers, follows, cartItems, orders }

export const createTables = `
  create table categories (id integer primary key, slug text not null unique, name text not null);
  create table products (
    id integer primary key, sku text not null unique, slug text not null unique, name text not null,
    category_id integer not null references categories (id), price numeric(10, 2) not null, description text not null,
    attributes jsonb not null, active boolean not null, updated_at timestamptz not null
  );
  create index products_category_id on products (category_id, id);
  create table regions (id text primary key, currency text not null);
  create table prices (
    product_id integer not null references products (id), region_id text not null references regions (id),
    amount numeric(10, 2) not null, primary key (product_id, region_id)
  );
  create table stock (
    sku text primary key references products (sku), quantity integer not null, warehouse text not null
  );
  create table customers (id integer primary key, email text not null unique, name text not null, since timestamptz not null);
  create table follows (
    customer_id integer not null references customers (id), category_id integer not null references categories (id),
    primary key (customer_id, category_id)
  );
  create table cart_items (
    customer_id integer not null references customers (id), product_id integer not null references products (id),
    quantity integer not null, primary key (customer_id, product_id)
  );
  create table orders (
    id integer primary key, customer_id integer not null references customers (id), total numeric(12, 2) not null,
    placed_at timestamptz not null
  );
`

export type Product = typeof products.$inferSelect
export type Stock = typeof stock.$inferSelect
export type Customer = typeof customers.$inferSelect
export type Category = typeof categories.$inferSelect
export type Region = typeof regions.$inferSelect
export type Price = typeof prices.$inferSelect
export type Follow = typeof follows.$inferSelect
export type CartItem = typeof cartItems.$inferSelect
export type Row = Product | Stock | Customer | Category | Region | Price
