import type { Store } from 'drizzle-aside/store'

/** A store opened for one case. */
export interface OpenedStore {
  readonly store: Store
  /**
   * Another user of the same data: another process's store over the same server, or what comes closest. Without one
   * (`lacks.second`) the cases run against one instance.
   */
  readonly second?: Store
  /** Begins every key of this case; nobody else has it. */
  readonly prefix: string
  /** Lets so many milliseconds go by for what is kept, without sleeping. */
  advance?(ms: number): Promise<void>
  /** Closes what is left open. The case may have closed `store` before. */
  close(): Promise<void>
}

/**
 * What a store, or the test of one, may do without.
 *
 * - `second`: two instances over the same data.
 * - `clock`: time that is moved by hand. Without it only very short times to live are tried, by waiting for their end.
 * - `register`: `enter` and `removeAndLook`; only where every user of the store lives in one process.
 * - `bound`: a store that holds a given number of bytes and no more.
 */
export type Capability = 'second' | 'clock' | 'register' | 'bound'

/** What is tested. */
export interface StoreSubject {
  /** Names the store in the output. */
  readonly name: string
  /** Opens it, empty below a prefix of its own; called once per case. */
  open(): Promise<OpenedStore>
  /** The same with room for about so many bytes of text. */
  openBounded?(maxBytes: number): Promise<OpenedStore>
  /**
   * What there is not, each with the reason. Cases that need it are not asked, and {@link describeStore} prints them.
   * What is neither there nor declared is a failure; so is what is declared and there.
   */
  readonly lacks?: Readonly<Partial<Record<Capability, string>>>
}
