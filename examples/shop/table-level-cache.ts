import { getTableName, is, Table } from 'drizzle-orm'
import { Cache, type MutationOption } from 'drizzle-orm/cache/core'
import type { RedisClientType } from 'redis'

/** Drizzle hands over the driver's result; its rows are what it reads back. */
type Result = { rows: unknown[] }

/** The tables of a write, as Drizzle names them. */
function tableNames({ tables = [] }: MutationOption): string[] {
  return [tables].flat().map((table) => (is(table, Table) ? getTableName(table) : String(table)))
}

/**
 * Drizzle's own cache, as its documentation describes it: every select is kept under the hash of its text and values,
 * and a write to a table drops everything that was read from that table.
 */
export class MapCache extends Cache {
  readonly #results = new Map<string, unknown>()
  readonly #byTable = new Map<string, Set<string>>()

  override strategy(): 'all' {
    return 'all'
  }

  override async get(key: string): Promise<never[] | undefined> {
    return this.#results.get(key) as never[] | undefined
  }

  override async put(key: string, result: unknown, tables: string[]): Promise<void> {
    this.#results.set(key, result)
    for (const table of tables) this.#keysOf(table).add(key)
  }

  override async onMutate(mutation: MutationOption): Promise<void> {
    for (const table of tableNames(mutation)) {
      const keys = this.#keysOf(table)
      for (const key of keys) this.#results.delete(key)
      keys.clear()
    }
  }

  #keysOf(table: string): Set<string> {
    let keys = this.#byTable.get(table)
    if (!keys) {
      keys = new Set()
      this.#byTable.set(table, keys)
    }
    return keys
  }
}

/** The same in Redis: one hash of results for each set of tables that was read, and for each table a set of those. */
export class RedisTableCache extends Cache {
  readonly #redis: RedisClientType
  readonly #prefix: string

  constructor(redis: RedisClientType, prefix: string) {
    super()
    this.#redis = redis
    this.#prefix = prefix
  }

  override strategy(): 'all' {
    return 'all'
  }

  override async get(key: string, tables: string[]): Promise<never[] | undefined> {
    const text = await this.#redis.hGet(this.#hash(tables), key)
    return text === null ? undefined : (JSON.parse(text) as never[])
  }

  override async put(key: string, result: unknown, tables: string[]): Promise<void> {
    const hash = this.#hash(tables)
    const work = this.#redis.multi().hSet(hash, key, JSON.stringify(keptPart(result)))
    for (const table of tables) work.sAdd(this.#set(table), hash)
    await work.exec()
  }

  override async onMutate(mutation: MutationOption): Promise<void> {
    const sets = tableNames(mutation).map((table) => this.#set(table))
    if (sets.length === 0) return
    const hashes = await this.#redis.sUnion(sets)
    await this.#redis.unlink([...hashes, ...sets])
  }

  #hash(tables: readonly string[]): string {
    return `${this.#prefix}:results:${[...tables].sort().join(',')}`
  }

  #set(table: string): string {
    return `${this.#prefix}:table:${table}`
  }
}

const keptPart = (result: unknown): Result => ({ rows: (result as Result).rows })
