import { FreshReading } from '../catalog/fresh-reading.ts'
import { parseReplica, replicaQuery } from '../catalog/replica-query.ts'
import type { Server } from '../drizzle/on-one-connection.ts'
import { outsideRunner, sampleParsers } from '../drizzle/run-outside.ts'
import type { CatalogFacts } from '../model/facts.ts'
import { digest } from '../model/keys.ts'
import type { BypassReason } from '../model/reasons.ts'
import { type ReplicaSight, sessionText } from '../model/replica.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listener } from '../ports/events.ts'
import type { PayloadIdentity } from '../read/record-source.ts'
import { textOf } from './text-of.ts'

export interface ReplicaWatchWith {
  readonly server: Server
  readonly namespace: string
  /** Names the keys by which answers are sealed. */
  readonly sealing: string
  readonly clock: Clock
  readonly emit: Listener
  readonly rereadMs: number
  readonly staleMs: number
}

/** What was last seen of a replica, and how its answers are named. */
interface Seen {
  readonly sight: ReplicaSight
  readonly session: string
  readonly identity: PayloadIdentity
  readonly textIsExact: boolean
}

/** What a wrap over a replica has of its own: what its server says of itself, read now and again. */
export class ReplicaWatch {
  readonly #with: ReplicaWatchWith
  readonly #seen: FreshReading<Seen>
  #last: Seen | undefined
  #known: { readonly of: CatalogFacts; readonly session: string; readonly facts: CatalogFacts } | undefined

  constructor(given: ReplicaWatchWith) {
    this.#with = given
    const run = outsideRunner(given.server.session)
    this.#seen = new FreshReading({
      read: () => this.#look(run),
      failed: (error) => given.emit({ type: 'replicaFailed', step: 'replica', error }),
      clock: given.clock,
      rereadMs: given.rereadMs,
      staleMs: given.staleMs,
    })
  }

  async #look(run: ReturnType<typeof outsideRunner>): Promise<Seen> {
    const sight = parseReplica(textOf(await run(replicaQuery)))
    const { text, textIsExact } = await sampleParsers(run)
    const parsers = digest(text)
    const session = sessionText(sight)
    const isSame = this.#last?.session === session && this.#last.identity.parsers === parsers
    const { namespace, sealing } = this.#with
    const { kind, instance } = this.#with.server.client
    // The same object for the same names: what was decided for it is kept.
    const identity = isSame ? this.#last?.identity : undefined
    const named = identity ?? { namespace, driver: kind, parsers, instance, sealing }
    const seen = { sight, session, identity: named, textIsExact }
    this.#last = seen
    return seen
  }

  get session(): string | undefined {
    return this.#seen.value?.session
  }

  get identity(): PayloadIdentity | undefined {
    return this.#seen.value?.identity
  }

  /** The primary's facts, as a session of the replica finds them: its settings, and the schemas that it looks into. */
  factsOf(facts: CatalogFacts | undefined): CatalogFacts | undefined {
    const { value } = this.#seen
    if (!facts || !value) return undefined
    if (this.#known?.of !== facts || this.#known.session !== value.session) {
      const { environment, schemas } = value.sight
      const same = sessionText(facts) === value.session
      this.#known = { of: facts, session: value.session, facts: same ? facts : { ...facts, environment, schemas } }
    }
    return this.#known.facts
  }

  /** Why nothing is served to its readers, by the primary's facts. */
  gate(facts: CatalogFacts | undefined): BypassReason | undefined {
    this.#seen.want()
    const { value } = this.#seen
    if (!value || !facts) return 'starting'
    if (this.isUnfit(facts)) return 'replica-unfit'
    return value.textIsExact ? undefined : 'catalog-unknown'
  }

  /** It can never be current: where it is in the log of another cluster, or in one that it writes itself, says nothing. */
  isUnfit({ systemIdentifier }: CatalogFacts): boolean {
    const sight = this.#seen.value?.sight
    return sight !== undefined && (!sight.standby || sight.systemIdentifier !== systemIdentifier)
  }

  /** True where the same question has the same name over both servers, and so the same answer. */
  namesAlike(facts: CatalogFacts | undefined, primary: PayloadIdentity | undefined): boolean {
    const { value } = this.#seen
    if (!value || !facts || !primary || value.session !== sessionText(facts)) return false
    const { driver, parsers, instance } = value.identity
    return driver === primary.driver && parsers === primary.parsers && instance === primary.instance
  }

  /** With `reload`, or where nothing is known yet. */
  async ready(reload: boolean): Promise<void> {
    if (reload || !this.#seen.value) await this.#seen.renew()
  }

  doubt(): void {
    this.#seen.expire()
  }

  close(): void {
    this.#seen.close()
  }
}
