/** Random selects out of few parts, so that different ones often come out alike. */
import { and, asc, count, desc, eq, exists, gt, inArray, isNull, like, not, or, type SQL, sql } from 'drizzle-orm'
import { type AnyPgColumn, type PgTable, union, unionAll } from 'drizzle-orm/pg-core'
import { type Builder, boss, db, posts, u, users } from './builders.fixture.ts'

/** Makers of builders; one maker makes the same builder each time, out of new objects. */
export function* randomBuilders(seed: number, times: number): Generator<() => Builder> {
  for (let at = 0; at < times; at++) yield () => new RandomBuilder(seed + at * 7919).select(2)
}

/** mulberry32 */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Source = { readonly id: AnyPgColumn } & PgTable

class RandomBuilder {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = random(seed)
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T
  }

  select(depth: number): Builder {
    const from = this.#pick([users, posts, u]) as Source
    const query = this.#start(from, depth)
    if (this.#below(3) === 0) this.#join(query, from, depth)
    if (this.#below(4) > 0) query.where(this.#condition(from, depth))
    if (this.#below(4) === 0) query.orderBy(this.#pick([asc, desc])(from.id))
    if (this.#below(5) === 0) query.limit(this.#below(3))
    if (this.#below(8) === 0) query.offset(this.#below(3))
    return query as unknown as Builder
  }

  #start(from: Source, depth: number) {
    const fields = this.#pick([
      { id: from.id },
      { id: from.id },
      { n: count() },
      { n: sql`${from.id} + ${this.#below(3)}` },
      { n: sql`${from.id}`.as('n') },
    ]) as Record<string, SQL>
    if (depth === 2 && this.#below(6) === 0) return this.#setOperation() as never as ReturnType<typeof this.plain>
    if (this.#below(6) === 0) return db.selectDistinct(fields).from(from).$dynamic() as never
    return this.plain(from, fields)
  }

  plain(from: Source, fields: Record<string, SQL>) {
    return db.select(fields).from(from).$dynamic()
  }

  #setOperation() {
    const part = () =>
      db
        .select({ id: users.id })
        .from(users)
        .where(this.#condition(users as Source, 0))
    const whole = this.#pick([union, unionAll])(part(), part())
    if (this.#below(2) === 0) whole.orderBy(this.#pick([asc, desc])(users.id)).limit(this.#below(3))
    const s = whole.as('s')
    return db.select({ id: s.id }).from(s).$dynamic()
  }

  #join(query: ReturnType<RandomBuilder['plain']>, from: Source, depth: number): void {
    const other = boss as unknown as Source
    const on = this.#below(3) === 0 ? this.#condition(other, depth) : eq(other.id, from.id)
    if (this.#below(2) === 0) query.leftJoin(other, on)
    else query.innerJoin(other, on)
  }

  #condition(from: Source, depth: number): SQL | undefined {
    const column = this.#pick([from.id, posts.likes, users.name])
    const value = this.#below(3)
    const more = () => this.#condition(from, depth - 1)
    switch (this.#below(depth > 0 ? 12 : 7)) {
      case 0:
        return isNull(column)
      case 1:
        return inArray(
          column,
          Array.from({ length: this.#below(4) }, (_, at) => at),
        )
      case 2:
        return gt(column, value)
      case 3:
        return like(column, `a${value}%`)
      case 4:
        return sql`${column} = ${value}`
      case 5:
      case 6:
        return eq(column, value)
      case 7:
        return and(more(), more())
      case 8:
        return or(more(), more(), more())
      case 9: {
        const inner = more()
        return inner && not(inner)
      }
      case 10:
        return exists(this.select(depth - 1) as never)
      default: {
        const one = eq(column, sql.param(value, column as never))
        return and(one, or(one, more()))
      }
    }
  }
}
