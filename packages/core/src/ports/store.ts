import type { RegisterSight } from '../model/register.ts'

export type { RegisterSight } from '../model/register.ts'

/**
 * What a store must do: keep texts under keys for a while. It knows nothing of tables, rows or queries.
 *
 * Two kinds of key live in it. *Entries* hold cached answers. *Stamps* are random texts that the entries were filled
 * under; removing a stamp kills every entry that names it. A store may lose anything at any time (eviction, restart,
 * flush): that costs misses, never a wrong answer. What it may not do is bring a removed value back, or answer
 * {@link Store.read} with a value older than a {@link Store.remove} that had resolved before the read was called.
 */
export interface Store {
  /** Names the kind of store in events and `health()`, e.g. `'memory'` or `'redis'`. */
  readonly name: string
  /** True when every user of the store lives in this process (memory). A shared store needs a namespace. */
  readonly processLocal: boolean
  /**
   * Over how many groups of keys each table is spread, 1 to 64. A key's group is the text in its first braces, which is how
   * the nodes of a Redis Cluster share keys among them: what a read by key or a list of one class needs is in one group.
   * Each group more is a key more to remove where a table falls as a whole. All processes that share a store must say the
   * same. Default: 1, all keys of a table are in one group.
   */
  readonly buckets?: number
  /** Values of the keys, in their order; `null` where nothing is kept. One round trip, whatever the number of keys. */
  read(keys: readonly string[]): Promise<(string | null)[]>
  /**
   * Take or mint: for each key, keep the given text if none is kept, and answer what is kept now. `null` where the
   * store cannot say (a fill that meets it is given up). The time to live starts anew for a minted stamp only.
   */
  mint(stamps: readonly NewStamp[], ttlMs: number): Promise<(string | null)[]>
  /** Keep an entry for `ttlMs`; `keepAlive` are keys of stamps whose time to live is raised to at least `stampTtlMs`. */
  write(key: string, text: string, ttlMs: number, keepAlive: readonly string[], stampTtlMs: number): Promise<void>
  /** Remove keys. Resolves when no later read, from anywhere, can see their old values. */
  remove(keys: readonly string[]): Promise<void>
  /**
   * Enter a process in a register and answer what the register holds, in one atomic step (see {@link RegisterVisit}).
   * Required of a store that several processes share, together with {@link Store.removeAndLook}; a store whose every
   * user lives in one process needs neither.
   */
  enter?(register: string, visit: RegisterVisit): Promise<RegisterAnswer>
  /**
   * {@link Store.remove}, and in the same round trip a look at registers: what each says, `null` where there is none.
   * A change of a register that had resolved before the call is seen.
   */
  removeAndLook?(keys: readonly string[], registers: readonly string[]): Promise<(RegisterSight | null)[]>
  /**
   * Only of a store that may bring back what was removed, when it fails over or starts from a snapshot: which incarnation
   * of it answers. Without it the store has one for ever, as memory has.
   */
  readonly incarnations?: Incarnations
  /** Remove every key that begins with `prefix`. Housekeeping for tests and operators; never on a query's path. */
  clear(prefix: string): Promise<void>
  /** Give back what the store itself opened (connections, timers); never the caller's own client. */
  close(): Promise<void>
}

export interface NewStamp {
  readonly key: string
  readonly text: string
  /**
   * A text that counts as none, because another incarnation of the store wrote it: where exactly this one is kept, `text`
   * takes its place, in one atomic step. Given to stores with {@link Store.incarnations} only.
   */
  readonly over?: string
}

/**
 * An incarnation of a store ends when the store may have lost removals that it had confirmed: by a failover, or a restart
 * from a snapshot. Stamps carry its name, and those of another count as missing, so nothing that comes back is served. A
 * register of another incarnation is none either: {@link Store.enter} makes a new one, a look answers `null`.
 *
 * Idea: PROTOCOL 3.10; the epochs and generations of replicated logs.
 */
export interface Incarnations {
  /**
   * The name of the incarnation that keeps this key: six characters of `A-Z a-z 0-9 - _`, the same for all processes, never
   * used for another incarnation. Asked when an answer of the store is there, for the node that gave it, and without
   * waiting: what it says must have been learnt by then. Undefined: not known, so that nothing is served or kept.
   *
   * @example
   * of: (key) => nodeOf(key).tag
   */
  of(key: string): string | undefined
  /** How what comes back is kept from being served. */
  readonly guard: FailoverGuard
  /** Why it is not by incarnations, where nobody has asked for less. */
  readonly lowered: GuardLowered | undefined
  /** Tells from now on what is learnt; the answer ends it. */
  listen(hear: (news: IncarnationNews) => void): () => void
}

/**
 * - `incarnation`: the server says who it is;
 * - `reconnect-flush`: it does not, and everything is dropped whenever a connection to it was lost;
 * - `none`: it does not, and nothing is done about it: an old answer may be served until its time to live.
 */
export type FailoverGuard = 'incarnation' | 'reconnect-flush' | 'none'

/** The server does not say who it is; or what it says comes back after something else, as from behind a proxy. */
export type GuardLowered = 'not-told' | 'not-unique'

export type IncarnationNews =
  | { type: 'incarnationChanged'; from: string; to: string }
  | { type: 'failoverGuardLowered'; guard: FailoverGuard; reason: GuardLowered }

/**
 * What a process brings to a register: the texts by which others know what it keeps (its parts), under a name of its
 * own (its party). The steps, all under the store's own clock:
 *
 * 1. where there is no register, one is created, born now, with the version `mint`;
 * 2. parties whose time is over are dropped, with the parts that nobody else has;
 * 3. each of `settled` that still carries its mark loses it;
 * 4. the party gets `parts` and a new time of `lifeMs`; each part that nobody had is marked with `mint`;
 * 5. where the parts of all are others than before, the version becomes `mint`.
 */
export interface RegisterVisit {
  readonly party: string
  readonly parts: readonly string[]
  /** Names `parts`: equal lists have equal digests, so a store may keep them once. */
  readonly digest: string
  /** How long the party stays without a further visit. */
  readonly lifeMs: number
  readonly settled: readonly MarkedPart[]
  /** A random text, never used before. */
  readonly mint: string
  /** The version whose parts the visitor knows: then they need not be sent. */
  readonly known: string | undefined
}

/** A part that is new in the register. The mark tells this time from another time that the part came. */
export interface MarkedPart {
  readonly part: string
  readonly mark: string
}

export interface RegisterAnswer extends RegisterSight {
  /** The visit created the register. */
  readonly created: boolean
  /** No party but the visitor is in it. */
  readonly alone: boolean
  /** The parts of all, each at least once; undefined where the visitor knows them. */
  readonly parts: readonly string[] | undefined
  /** All parts that carry a mark. */
  readonly marked: readonly MarkedPart[]
}
