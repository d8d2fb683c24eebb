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
  /** Values of the keys, in their order; `null` where nothing is kept. One round trip, whatever the number of keys. */
  read(keys: readonly string[]): Promise<(string | null)[]>
  /**
   * Take or mint: for each key, keep the given text if none is kept, and answer what is kept now. `null` where the
   * store cannot say (a fill that meets it is given up). The time to live starts anew for a minted stamp only.
   */
  mint(stamps: readonly { key: string; text: string }[], ttlMs: number): Promise<(string | null)[]>
  /** Keep an entry for `ttlMs`; `keepAlive` are keys of stamps whose time to live is raised to at least `stampTtlMs`. */
  write(key: string, text: string, ttlMs: number, keepAlive: readonly string[], stampTtlMs: number): Promise<void>
  /** Remove keys. Resolves when no later read, from anywhere, can see their old values. */
  remove(keys: readonly string[]): Promise<void>
  /** Remove every key that begins with `prefix`. Housekeeping for tests and operators; never on a query's path. */
  clear(prefix: string): Promise<void>
  /** Give back what the store itself opened (connections, timers); never the caller's own client. */
  close(): Promise<void>
}
