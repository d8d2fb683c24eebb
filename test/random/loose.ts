/** Drizzle's builders as a test uses them that draws tables and columns: their exact types are tested elsewhere. */
import type { SQL } from 'drizzle-orm'
import type { Db } from './steps.ts'
import type { Values } from './subjects.ts'

export interface Fluent extends PromiseLike<unknown> {
  from(source: unknown): Fluent
  innerJoin(source: unknown, on: SQL): Fluent
  leftJoin(source: unknown, on: SQL): Fluent
  rightJoin(source: unknown, on: SQL): Fluent
  fullJoin(source: unknown, on: SQL): Fluent
  crossJoin(source: unknown): Fluent
  innerJoinLateral(source: unknown, on: SQL): Fluent
  leftJoinLateral(source: unknown, on: SQL): Fluent
  where(condition: SQL | undefined): Fluent
  groupBy(...terms: unknown[]): Fluent
  having(condition: SQL): Fluent
  orderBy(...terms: unknown[]): Fluent
  limit(count: unknown): Fluent
  offset(count: unknown): Fluent
  as(alias: string): Derived
  prepare(name: string): Prepared
  $dynamic(): Fluent
  set(values: Values): Fluent
  values(values: Values | Values[]): Fluent
  returning(fields?: Record<string, unknown>): Fluent
  select(source: unknown): Fluent
  onConflictDoNothing(options?: unknown): Fluent
  onConflictDoUpdate(options: unknown): Fluent
  toSQL(): { sql: string; params: unknown[] }
}

export interface Prepared {
  execute(values?: Values): Promise<unknown>
}

/** A query with a name, to read from: its columns by key. */
export type Derived = Readonly<Record<string, unknown>>

interface Selects {
  select(fields?: Record<string, unknown>): Fluent
  selectDistinct(fields?: Record<string, unknown>): Fluent
  selectDistinctOn(on: unknown[], fields?: Record<string, unknown>): Fluent
}

export interface Loose extends Selects {
  insert(table: unknown): Fluent
  update(table: unknown): Fluent
  delete(table: unknown): Fluent
  $count(source: unknown, where?: SQL): SQL & PromiseLike<number>
  $with(name: string): { as(query: unknown): Derived }
  with(...ctes: unknown[]): Selects
  refreshMaterializedView(view: unknown): Fluent
  query: Record<string, { findFirst(config: object): Fluent; findMany(config: object): Fluent }>
}

export const loose = (db: Db): Loose => db as unknown as Loose
