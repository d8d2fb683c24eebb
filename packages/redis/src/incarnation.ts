import { createHash, randomBytes } from 'node:crypto'
import type { Clock, FailoverGuard, GuardLowered, IncarnationNews, Incarnations } from 'drizzle-aside/store'
import type { Command, Connection, NodeConnection, SingleConnection } from './connection.ts'

/** How long what the server said of itself counts: a connection may outlive a demotion and a promotion of its node. */
const CONFIRM_MS = 1_000

/** Questions to who answers, while connections are lost meanwhile. */
const MOST_ASKED = 3

/** The tag where nothing is done about failovers. */
const NO_TAG = '000000'

const TAG_LENGTH = 6

/** Where a server does not say who it is, its name lies under this key (`reconnect-flush`). */
export const GENERATION_KEY = 'da1:incarnation'

/** What is done where the server does not say who it is. */
export type Fallback = Exclude<FailoverGuard, 'incarnation'>

/** Whose answers are whose, and when that has to be asked again. */
export interface KnownIncarnations extends Incarnations {
  /**
   * Undefined while what is known of the nodes that keep these keys is young enough. To be called when the command is sent
   * that it is about, behind it.
   */
  confirm(keys: readonly string[]): Promise<void> | undefined
}

export interface IncarnationWith {
  readonly connection: Pick<SingleConnection, 'runAll' | 'onReady' | 'reopen'>
  readonly clock: Clock
  /** Undefined: `reconnect-flush`, and it is told. */
  readonly fallback: Fallback | undefined
  /** What is done, and told, where nothing else was said. Default: `reconnect-flush`. */
  readonly otherwise?: Fallback
}

/**
 * Which incarnation of one Redis answers on one connection (PROTOCOL 3.10). Its name is made of the run id, which a restart
 * changes, and the replication id, which a promotion changes; so a node that is demoted and promoted again has another one.
 *
 * It is learnt by INFO: with the first command of a connection, after an answer by which a node says that it is no primary
 * or has just started, and once a second while commands are sent, behind one of them in the same round trip. There is no
 * timer. A stamp is minted only under a name that was learnt, so none that carries the name which INFO tells *behind* a
 * read is older than that incarnation; a read without an INFO of its own may be wrong about it for {@link CONFIRM_MS}.
 */
export class ServerIncarnation implements KnownIncarnations {
  readonly #with: IncarnationWith
  readonly #listeners = new Set<(news: IncarnationNews) => void>()
  readonly #unhear: () => void
  #guard: FailoverGuard = 'incarnation'
  #lowered: GuardLowered | undefined
  #tag: string | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined
  /** How often what is known was given up: an answer from before is no answer. */
  #doubts = 0
  /** The last name that was learnt, and those before it. */
  #last: string | undefined
  readonly #before = new Set<string>()
  /** A connection was lost since the generation was replaced. */
  #replace = false
  #reopenedAt = Number.NEGATIVE_INFINITY

  constructor(tools: IncarnationWith) {
    this.#with = tools
    this.#unhear = tools.connection.onReady(() => {
      this.#replace = this.#last !== undefined
      this.doubt()
    })
  }

  get guard(): FailoverGuard {
    return this.#guard
  }

  get lowered(): GuardLowered | undefined {
    return this.#lowered
  }

  of(): string | undefined {
    return this.#tag
  }

  listen(hear: (news: IncarnationNews) => void): () => void {
    this.#listeners.add(hear)
    return () => this.#listeners.delete(hear)
  }

  confirm(): Promise<void> | undefined {
    if (this.#with.clock.now() - this.#askedAt < CONFIRM_MS) return undefined
    this.#asking ??= this.#ask()
    return this.#asking
  }

  /** Forgets what is known: the next command asks. */
  doubt(): void {
    this.#doubts += 1
    this.#tag = undefined
    this.#askedAt = Number.NEGATIVE_INFINITY
  }

  /** The same connection; errors by which a node tells that it has changed are heard. */
  watch<C extends Connection>(connection: C): C {
    const heard = <T>(answer: Promise<T>): Promise<T> => {
      answer.catch(this.#hear)
      return answer
    }
    const runEach = (connection as Partial<NodeConnection>).runEach
    return {
      ...connection,
      run: (command: Command) => heard(connection.run(command)),
      runAll: (commands: readonly Command[]) => heard(connection.runAll(commands)),
      ...(runEach && { runEach: (commands: readonly Command[]) => runEach(commands).then(this.#hearEach) }),
      close: async () => {
        this.#unhear()
        await connection.close()
      },
    }
  }

  readonly #hearEach = (answers: unknown[]): unknown[] => {
    for (const answer of answers) if (answer instanceof Error) this.#hear(answer)
    return answers
  }

  readonly #hear = (error: unknown): void => {
    const [, word] = /^(READONLY|LOADING|MOVED|MASTERDOWN)\b/.exec((error as Error | undefined)?.message ?? '') ?? []
    if (!word) return
    this.doubt()
    if (word === 'READONLY') this.#leaveReplica()
  }

  /**
   * Whatever order a client settles its commands in when it has lost a connection: who answered before is not believed
   * afterwards. A client that is lost again and again leaves it unknown; the next command asks anew.
   */
  async #ask(): Promise<void> {
    try {
      for (let time = 0; time < MOST_ASKED; time++) {
        const [askedAt, doubts] = [this.#with.clock.now(), this.#doubts]
        const tag = await this.#learn()
        const isDoubtful = doubts !== this.#doubts
        // A replica, whose connection is given up: there is nobody to ask again.
        if (tag !== undefined && isDoubtful) continue
        this.#tag = tag
        if (!isDoubtful) this.#askedAt = askedAt
        return
      }
    } catch (error) {
      this.doubt()
      throw error
    } finally {
      this.#asking = undefined
    }
  }

  async #learn(): Promise<string | undefined> {
    if (this.#guard === 'incarnation') {
      const told = await this.#askServer()
      if (told?.isReplica) return this.#leaveReplica()
      if (told && !this.#before.has(told.tag)) return this.#remember(told.tag)
      this.#lower(told ? 'not-unique' : 'not-told')
    }
    return this.#guard === 'none' ? NO_TAG : this.#remember(await this.#askGeneration())
  }

  /** Undefined where the server does not say who it is. */
  async #askServer(): Promise<Told | undefined> {
    try {
      const answers = await this.#with.connection.runAll(['server', 'replication'].map(info))
      return readInfo(answers.join('\n'))
    } catch (error) {
      if (isNotAllowed(error)) return undefined
      throw error
    }
  }

  #remember(tag: string | undefined): string | undefined {
    const from = this.#last
    if (tag === undefined || tag === from) return tag
    this.#last = tag
    if (from === undefined) return tag
    if (this.#guard === 'incarnation') this.#before.add(from)
    this.#tell({ type: 'incarnationChanged', from, to: tag })
    return tag
  }

  /** A replica has no name. Where the address has moved to another node, only a new connection finds it. */
  #leaveReplica(): undefined {
    const now = this.#with.clock.now()
    if (now - this.#reopenedAt < CONFIRM_MS) return
    this.#reopenedAt = now
    this.#with.connection.reopen()
  }

  #lower(reason: GuardLowered): void {
    const { fallback } = this.#with
    this.#guard = fallback ?? this.#with.otherwise ?? 'reconnect-flush'
    // Who answered before, and what has been lost since, nobody knows.
    this.#replace = this.#last !== undefined
    if (fallback) return
    this.#lowered = reason
    this.#tell({ type: 'failoverGuardLowered', guard: this.#guard, reason })
  }

  /**
   * A name that all clients share, kept in the store and replaced by each after it had lost its connection: what comes
   * back by a failover carries an older one. One key, where replacing the epochs of all tables would be many.
   */
  async #askGeneration(): Promise<string | undefined> {
    const [kept] = await this.#with.connection.runAll([getGeneration])
    if (isTag(kept) && !this.#replace) return kept
    const replace = this.#replace
    const set = { name: 'SET', keys: [GENERATION_KEY], args: [newTag(), ...(replace ? [] : ['NX'])] }
    // Set again by a connection that is lost from here on.
    this.#replace = false
    try {
      const [, now] = await this.#with.connection.runAll([set, getGeneration])
      return isTag(now) ? now : undefined
    } catch (error) {
      this.#replace ||= replace
      throw error
    }
  }

  #tell(news: IncarnationNews): void {
    for (const hear of this.#listeners) hear(news)
  }
}

interface Told {
  readonly tag: string
  readonly isReplica: boolean
}

const info = (section: string): Command => ({ name: 'INFO', keys: [], args: [section] })

const getGeneration: Command = { name: 'GET', keys: [GENERATION_KEY] }

/** What INFO says of who answers; undefined where it leaves that out. */
export function readInfo(text: string): Told | undefined {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, 'm').exec(text)?.[1]
  const [run, replication] = [field('run_id'), field('master_replid')]
  if (!run || !replication) return undefined
  return { tag: tagOf(`${run} ${replication}`), isReplica: field('role') === 'slave' }
}

const tagOf = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, TAG_LENGTH)

const newTag = (): string => randomBytes(TAG_LENGTH).toString('base64url').slice(0, TAG_LENGTH)

const isTag = (text: unknown): text is string => typeof text === 'string' && /^[\w-]{6}$/.test(text)

/** No right to run INFO, or a server or proxy that has none; and not a lost connection, nor a server that is busy. */
const isNotAllowed = (error: unknown): boolean =>
  error instanceof Error && /^(NOPERM|ERR)\b|unknown command|not supported|unsupported/i.test(error.message)
