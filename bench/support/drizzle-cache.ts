import { getTableName, is, Table } from 'drizzle-orm'
import { Cache, type MutationOption } from 'drizzle-orm/cache/core'
import type { createClient } from 'redis'

type Redis = ReturnType<typeof createClient>

/** Deletes every result that rests on one of the tables, whatever else it rests on. */
const forgetTables = `
local found = redis.call('SUNION', unpack(KEYS))
for _, key in ipairs(KEYS) do found[#found + 1] = key end
redis.call('UNLINK', unpack(found))`

/**
 * Drizzle's own cache over a Redis that has no HEXPIRE: what its Upstash adapter does, command by command, over
 * node-redis. Results of one set of tables are one hash; a write to a table deletes the hashes that it is part of.
 * Kinder than the adapter where that costs nothing: it keeps only the rows of a driver's result, and UNLINKs.
 */
export class RedisCache extends Cache {
  hits = 0
  misses = 0
  /** The same by the tables of a query, in the order in which it names them. */
  readonly byTables = new Map<string, { hits: number; misses: number }>()
  #script: string | undefined

  constructor(
    readonly redis: Redis,
    readonly prefix: string,
    readonly ttlSeconds: number,
  ) {
    super()
  }

  override strategy(): 'all' {
    return 'all'
  }

  override async get(key: string, tables: string[]): Promise<unknown[] | undefined> {
    const text = await this.redis.hGet(this.#results(tables), key)
    const hit = text !== null && text !== undefined
    this.#count(tables.join(), hit ? 'hits' : 'misses')
    if (!hit) return undefined
    return JSON.parse(text)
  }

  override async put(key: string, response: { rows: unknown[] }, tables: string[]): Promise<void> {
    const results = this.#results(tables)
    await Promise.all([
      this.redis.hSet(results, key, JSON.stringify({ rows: response.rows })),
      this.redis.expire(results, this.ttlSeconds),
      ...tables.map((table) => this.redis.sAdd(this.#uses(table), results)),
    ])
  }

  override async onMutate({ tables = [] }: MutationOption): Promise<void> {
    const names = [tables].flat().map((table) => (is(table, Table) ? getTableName(table) : (table as string)))
    if (names.length === 0) return
    this.#script ??= await this.redis.scriptLoad(forgetTables)
    await this.redis.evalSha(this.#script, { keys: names.map((name) => this.#uses(name)) })
  }

  #count(tables: string, what: 'hits' | 'misses'): void {
    this[what]++
    const counts = this.byTables.get(tables) ?? { hits: 0, misses: 0 }
    counts[what]++
    this.byTables.set(tables, counts)
  }

  #results(tables: string[]): string {
    return `${this.prefix}results:${[...tables].sort().join(',')}`
  }

  #uses(table: string): string {
    return `${this.prefix}uses:${table}`
  }
}
