import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core'

export const books = pgTable('aside_example_books', {
  id: integer('id').primaryKey(),
  title: text('title').notNull(),
  onLoan: boolean('on_loan').notNull(),
})

export const createTables = [
  'create table aside_example_books (id integer primary key, title text not null, on_loan boolean not null)',
  `insert into aside_example_books select n, 'book ' || n, n % 3 = 0 from generate_series(1, 20) n`,
]
export const dropTables = ['drop table aside_example_books']
