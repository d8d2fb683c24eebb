import type { BypassReason } from '../model/reasons.ts'
import {
  type Dialect,
  kindOf,
  type Query,
  type RelationalConfig,
  type SelectConfig,
  SQL,
  type WriteConfig,
} from './internals.ts'
import type { RecordQuestion } from './record-question.ts'

/**
 * What a builder's statement is, carried from `dialect.build…` to `session.prepareQuery` so that nothing is built before
 * somebody needs it. The state is a snapshot: builders are mutable and may be used again.
 */
export type Origin =
  | { readonly kind: 'select'; readonly config: SelectConfig; readonly dialect: Dialect }
  | {
      readonly kind: 'relational'
      readonly config: RelationalConfig
      readonly question: RecordQuestion | BypassReason
      /** How it may be answered as a whole; `relationalReadOf` tells what it is. Read once, when it is asked for. */
      readonly whole: () => KnownByStructure | BypassReason
    }
  | { readonly kind: 'insert' | 'update' | 'delete'; readonly config: WriteConfig; readonly parts: WriteParts }

/** A statement of which another with the same structure may have been built before. */
export interface KnownByStructure {
  readonly isKnown: boolean
  readonly takesValues: boolean
  wasBuilt(): void
}

/** The once-built pieces of a write: default and on-update functions run while building, so nothing is built twice. */
export class WriteParts {
  #with: SQL | undefined
  #core: SQL | undefined
  #set: SQL | undefined
  #whole: SQL | undefined
  readonly #build: (parts: WriteParts) => SQL

  constructor(build: (parts: WriteParts) => SQL) {
    this.#build = build
  }

  /** The statement in one piece, as Drizzle builds it; undefined unless it was built so. Then there are no pieces. */
  get whole(): SQL | undefined {
    return this.#whole
  }

  /** Undefined where pieces have been built already. */
  buildWhole(build: () => SQL): SQL | undefined {
    if (!this.#core) this.#whole ??= build()
    return this.#whole
  }

  /** The statement without its WITH and RETURNING. */
  get core(): SQL {
    this.#core ??= this.#build(this)
    return this.#core
  }

  set(build: () => SQL): SQL {
    this.#set ??= build()
    return this.#set
  }

  withList(build: () => SQL | undefined): SQL | undefined {
    this.#with ??= build()
    return this.#with
  }
}

/** An SQL tree that is built when its chunks are first read. */
export interface LazySql extends SQL {
  readonly origin: Origin
}

interface LazyState {
  origin: Origin
  build: (() => SQL) | undefined
  built: SQL | undefined
  decoder: unknown
  shouldInlineParams: boolean
}

const passThrough = { mapFromDriverValue: (value: unknown) => value }

// The base constructor walks the chunks, which are not there yet; so the prototype chain is made by hand. Running it, or
// keeping the origin in a WeakMap, made misses a third slower in the measurements behind this file.
function LazySqlClass(this: LazyState, origin: Origin, build: () => SQL): void {
  this.origin = origin
  this.build = build
  this.built = undefined
  this.decoder = passThrough
  this.shouldInlineParams = false
}
Object.setPrototypeOf(LazySqlClass, SQL)
LazySqlClass.prototype = Object.create(SQL.prototype, {
  constructor: { value: LazySqlClass },
})

function builtSql(state: LazyState): SQL {
  if (!state.built) {
    state.built = (state.build as () => SQL)()
    state.build = undefined
  }
  return state.built
}

Object.defineProperties(LazySqlClass.prototype, {
  queryChunks: {
    get(this: LazyState) {
      return builtSql(this).queryChunks
    },
  },
  usedTables: {
    get(this: LazyState) {
      return (builtSql(this) as unknown as { usedTables: string[] }).usedTables
    },
  },
})

/** Stands for the SQL that `build` makes; knows what it came from. */
export function lazySql(origin: Origin, build: () => SQL): LazySql {
  return new (LazySqlClass as unknown as new (origin: Origin, build: () => SQL) => LazySql)(origin, build)
}

/** Where a statement came from, if a builder of a wrapped db made it. */
export function originOf(sql: unknown): Origin | undefined {
  return sql instanceof LazySqlClass ? (sql as unknown as LazySql).origin : undefined
}

/** Chunks of an SQL tree; undefined for everything else, and for what a builder has not built yet. */
export const builtChunks = (node: unknown): readonly unknown[] | undefined =>
  kindOf(node) === 'sql' && !originOf(node) ? (node as SQL).queryChunks : undefined

/**
 * A statement that is compiled when its text is first read. `toSQL()` of the builders reads `typings` first and then
 * spreads own properties, so that getter also makes the text and the parameters own.
 */
export class LazyQuery implements Query {
  readonly #sql: SQL
  readonly #dialect: Dialect
  #query: Query | undefined

  constructor(sql: SQL, dialect: Dialect) {
    this.#sql = sql
    this.#dialect = dialect
  }

  get origin(): Origin | undefined {
    return originOf(this.#sql)
  }

  get compiled(): Query {
    this.#query ??= this.#dialect.sqlToQuery(this.#sql)
    return this.#query
  }

  get sql(): string {
    return this.compiled.sql
  }

  get params(): unknown[] {
    return this.compiled.params
  }

  get typings(): unknown[] | undefined {
    const { sql, params, typings } = this.compiled
    const own = { configurable: true, enumerable: true, writable: true }
    Object.defineProperties(this, { sql: { ...own, value: sql }, params: { ...own, value: params } })
    return typings
  }
}

const shared: PropertyDescriptorMap = Object.fromEntries(
  (['sql', 'params', 'typings'] as const).map((name) => [
    name,
    {
      enumerable: true,
      configurable: true,
      get(this: { [lazy]: LazyQuery }) {
        return this[lazy].compiled[name]
      },
    },
  ]),
)
const lazy = Symbol('drizzle-aside.lazy-query')
/** A statement without parameters has none. */
const withoutTypings: PropertyDescriptorMap = { sql: shared.sql as object, params: shared.params as object }

/**
 * As {@link LazyQuery}, for relational queries, whose `toSQL()` returns the object itself and needs own properties. An
 * eager one is compiled now: what is wrong with the query is thrown where plain Drizzle throws it.
 */
export function relationalQuery(query: LazyQuery, eager: boolean, takesValues = true): Query {
  const plain = eager ? { ...query.compiled } : Object.defineProperties({}, takesValues ? shared : withoutTypings)
  Object.defineProperty(plain, lazy, { value: query })
  return plain as Query
}

/** The lazy query behind what `prepareQuery` was given; undefined for a statement that was compiled elsewhere. */
export function lazyQueryOf(query: Query): LazyQuery | undefined {
  if (query instanceof LazyQuery) return query
  return (query as { [lazy]?: LazyQuery })[lazy]
}
