import type { Clock } from 'drizzle-aside/store'
import { ClusterIncarnations } from './cluster-incarnations.ts'
import { asError, type Command, type Connection, type NodeConnection, withoutErrors } from './connection.ts'
import { type Fallback, ServerIncarnation } from './incarnation.ts'
import { keySlot } from './key-slot.ts'

/** Over how many groups each table is spread (PROTOCOL 3.1). All processes must say the same, so it is no option. */
const BUCKETS = 16

/** How long one node is waited for when it is asked where the slots are. */
const PATIENCE_MS = 500

/** How long the app's settings are tried: a client may wait for ever for a node that takes a connection and says nothing. */
const DISCOVER_MS = 5_000

/** How often the slots are asked for in any case: a node that hangs says nothing, and its replica takes its place. */
const REFRESH_MS = 1_000

/** How soon after an answer they are asked for again, however many commands fail meanwhile. */
const SOONEST_REFRESH_MS = 100

/** How often one command follows a node that sends it on. */
const MOST_REDIRECTS = 5

/** How many nodes are asked at once. */
const ASKED_AT_ONCE = 3

/** Where a node of the cluster can be reached, as the cluster announces it. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What differs between the client libraries. */
export interface ClusterNodes {
  readonly keyPrefix: string
  /** Masters as the app's client finds them from the nodes that it was given. */
  discover(): Promise<readonly Address[]>
  /** A connection of its own to one node, without prefix. Only after `discover` has succeeded once. */
  open(address: Address): NodeConnection
}

interface Node extends Address {
  readonly connection: NodeConnection
  readonly incarnation: ServerIncarnation
  /** A command was sent on to it since the slots were asked for last. */
  guest: boolean
}

/** What is done about failovers, see `redisStore`. */
export interface GuardOptions {
  readonly clock: Clock
  readonly fallback: Fallback | undefined
}

/** A part of a command whose keys are all in one slot. */
interface Part {
  readonly command: Command
  readonly slot: number
}

/**
 * Commands to the masters of a Redis Cluster. Keys are told apart by their slots here, and what goes to one node goes
 * together; nodes are asked side by side and replicas never.
 *
 * The clients' own routing is not used: ioredis sends a command again after its connection was lost, when nobody knows
 * whether it ran, and a repeated `SET … NX` brings back a stamp that was removed meanwhile; node-redis 5 does not ask for the
 * slots when a master is gone. Here a command is sent again only where a node has said that it did not run it: MOVED, ASK and
 * TRYAGAIN. All else is an error, which is a miss for a read and a queue for a removal.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ (redirection and resharding)
 */
export class ClusterConnection implements Connection {
  readonly buckets = BUCKETS
  readonly keyPrefix: string
  /** Who answers for which key. */
  readonly incarnations = new ClusterIncarnations({
    opening: () => (this.#isOpen ? undefined : this.#open()),
    nodeOf: (key) => this.#slots[keySlot(this.keyPrefix + key)]?.incarnation,
  })
  readonly #source: ClusterNodes
  readonly #guard: GuardOptions
  readonly #nodes = new Map<string, Node>()
  #slots: (Node | undefined)[] = []
  /** Replicas: where every master is gone, they know who took their places. */
  #replicas: readonly Address[] = []
  #first: Promise<void> | undefined
  #isOpen = false
  #refreshing: Promise<void> | undefined
  #refreshedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(source: ClusterNodes, guard: GuardOptions) {
    this.#source = source
    this.#guard = guard
    this.keyPrefix = source.keyPrefix
  }

  run(command: Command): Promise<unknown> {
    if (!this.#isOpen) return this.#open().then(() => this.#run(command))
    return this.#run(command)
  }

  async runAll(commands: readonly Command[]): Promise<unknown[]> {
    if (!this.#isOpen) await this.#open()
    return this.#runAll(commands)
  }

  async nodes(): Promise<readonly Pick<Connection, 'run'>[]> {
    if (!this.#isOpen) await this.#open()
    await this.#refresh()
    return [...this.#masters()].map(({ connection }) => connection)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    for (const { connection } of this.#nodes.values()) await connection.close()
    this.#nodes.clear()
  }

  // —— routing ——

  /** Most commands are for one slot; then nothing is taken apart. */
  #run(command: Command): Promise<unknown> {
    const slot = this.#slotOf(command)
    if (slot === undefined) return this.#runAll([command]).then(([answer]) => answer)
    const node = this.#slots[slot]
    if (!node) return Promise.reject(this.#nobodyHas(slot))
    const prefixed = this.#prefixed(command)
    return node.connection.run(prefixed).catch((error) => this.#follow({ command: prefixed, slot }, node, error, 0))
  }

  async #runAll(commands: readonly Command[]): Promise<unknown[]> {
    const parts = commands.map((command) => this.#partsOf(command))
    const answers = await this.#sendParts(parts.flat())
    let next = 0
    return parts.map((own, at) => {
      const mine = withoutErrors(answers.slice(next, next + own.length))
      next += own.length
      return own.length === 1 ? mine[0] : this.#joined(commands[at] as Command, own, mine)
    })
  }

  /** Undefined: its keys are in several. */
  #slotOf({ keys, near }: Command): number | undefined {
    const [first, ...others] = keys.length > 0 ? keys : [near ?? '']
    const slot = keySlot(this.keyPrefix + first)
    return others.every((key) => keySlot(this.keyPrefix + key) === slot) ? slot : undefined
  }

  #prefixed(command: Command): Command {
    const { keyPrefix } = this
    return keyPrefix === '' ? command : { ...command, keys: command.keys.map((key) => keyPrefix + key) }
  }

  #partsOf(command: Command): Part[] {
    const slot = this.#slotOf(command)
    if (slot !== undefined) return [{ command: this.#prefixed(command), slot }]
    const bySlot = new Map<number, string[]>()
    for (const key of this.#prefixed(command).keys) {
      const own = keySlot(key)
      const group = bySlot.get(own)
      if (group) group.push(key)
      else bySlot.set(own, [key])
    }
    return [...bySlot].map(([own, keys]) => ({ command: { ...command, keys }, slot: own }))
  }

  /** One answer again, from those of its parts: values in the order of the keys; a number of keys as their sum. */
  #joined({ name, keys }: Command, parts: readonly Part[], answers: readonly unknown[]): unknown {
    if (name !== 'MGET') return answers.reduce<number>((sum, answer) => sum + Number(answer), 0)
    const values = new Map<string, unknown>()
    parts.forEach(({ command }, at) => {
      command.keys.forEach((key, i) => {
        values.set(key, (answers[at] as unknown[])[i])
      })
    })
    return keys.map((key) => values.get(this.keyPrefix + key))
  }

  /** Node by node, all at once; in the order of the parts, with errors in the places of answers. */
  async #sendParts(parts: readonly Part[]): Promise<unknown[]> {
    const answers: unknown[] = new Array(parts.length)
    const byNode = new Map<Node, number[]>()
    parts.forEach(({ slot }, at) => {
      const node = this.#slots[slot]
      if (!node) answers[at] = this.#nobodyHas(slot)
      else byNode.set(node, [...(byNode.get(node) ?? []), at])
    })
    const sending = [...byNode].map(async ([node, own]) => {
      const found = await node.connection.runEach(own.map((at) => (parts[at] as Part).command))
      const followed = own.map(async (at, i) => {
        const answer = found[i]
        answers[at] =
          answer instanceof Error ? await this.#follow(parts[at] as Part, node, answer, 0).catch(asError) : answer
      })
      await Promise.all(followed)
    })
    await Promise.all(sending)
    return answers
  }

  #nobodyHas(slot: number): Error {
    this.#refreshSoon()
    return new Error(`no node of the Redis Cluster is known for slot ${slot}`)
  }

  // —— what a node sends on ——

  /** Goes where the node says, a few times; an error that says nothing of the kind is the answer. */
  async #follow(part: Part, node: Node, error: unknown, times: number): Promise<unknown> {
    const told = redirectOf(error, node)
    if (!told) {
      if (!isReply(error)) this.#refreshSoon()
      throw error
    }
    if (told.kind !== 'ask') this.#refreshSoon()
    if (told.kind === 'down' || times >= MOST_REDIRECTS) throw error
    if (told.kind === 'moved') {
      const there = this.#nodeAt(told.address)
      there.guest = true
      this.#slots[part.slot] = there
      return there.connection.run(part.command).catch((next) => this.#follow(part, there, next, times + 1))
    }
    // While a slot moves, some of its keys are here and some there; of one alone somebody can always say.
    if (part.command.keys.length > 1) return this.#oneByOne(part, node, times + 1)
    if (told.kind !== 'ask') throw error
    const there = this.#nodeAt(told.address)
    there.guest = true
    const [, answer] = await there.connection.runEach([ASKING, part.command])
    return answer instanceof Error ? this.#follow(part, there, answer, times + 1) : answer
  }

  async #oneByOne({ command, slot }: Part, node: Node, times: number): Promise<unknown> {
    const single = command.keys.map((key) => ({ ...command, keys: [key] }))
    const answers = await node.connection.runEach(single)
    const followed = answers.map((answer, at) =>
      answer instanceof Error ? this.#follow({ command: single[at] as Command, slot }, node, answer, times) : answer,
    )
    const found = await Promise.all(followed)
    return command.name === 'MGET' ? found.flat() : found.reduce<number>((sum, answer) => sum + Number(answer), 0)
  }

  // —— who has which slots ——

  #masters(): Set<Node> {
    return new Set(this.#slots.filter((node) => node !== undefined))
  }

  #nodeAt({ host, port }: Address): Node {
    // A question that was on its way when the store was closed may open nothing any more.
    if (this.#closed) throw new Error('the connection to the Redis Cluster was closed')
    const name = `${host}:${port}`
    const node = this.#nodes.get(name) ?? this.#newNode({ host, port })
    this.#nodes.set(name, node)
    return node
  }

  #newNode({ host, port }: Address): Node {
    const connection = this.#source.open({ host, port })
    const incarnation = new ServerIncarnation({ ...this.#guard, connection, otherwise: 'none' })
    this.incarnations.add(incarnation)
    return { host, port, connection: incarnation.watch(connection), incarnation, guest: false }
  }

  /** Commands wait for the first attempt only; from then on they fail at once while no node is known. */
  #open(): Promise<void> {
    this.#first ??= this.#begin()
    return this.#first
  }

  async #begin(): Promise<void> {
    await inTime(this.#refresh(), 2 * PATIENCE_MS).catch(() => {})
    this.#isOpen = true
    if (this.#closed) return
    this.#timer = setInterval(() => this.#refreshSoon(), REFRESH_MS)
    this.#timer.unref()
  }

  #refreshSoon(): void {
    if (this.#closed || performance.now() - this.#refreshedAt < SOONEST_REFRESH_MS) return
    // Whoever needs a node that is not known hears of it from his command.
    this.#refresh().catch(() => {})
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#load().finally(() => {
      this.#refreshedAt = performance.now()
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #load(): Promise<void> {
    const known = [...this.#masters()].sort(() => Math.random() - 0.5)
    const learnt = await this.#askAny([...known, ...this.#replicas])
    if (!learnt) this.#learn(await this.#askSeeds())
    else this.#learn(learnt)
  }

  async #askSeeds(): Promise<readonly Shard[]> {
    const seeds = await inTime(this.#source.discover(), DISCOVER_MS)
    const shards = await this.#askAny(seeds)
    if (!shards) throw new Error('no node of the Redis Cluster says which slots it has')
    return shards
  }

  /** The first answer; a few are asked at once, then the next. */
  async #askAny(addresses: readonly Address[]): Promise<readonly Shard[] | undefined> {
    for (let start = 0; start < addresses.length; start += ASKED_AT_ONCE) {
      const asked = addresses.slice(start, start + ASKED_AT_ONCE).map((address) => this.#ask(address))
      const answer = await Promise.any(asked).catch(() => undefined)
      if (answer) return answer
    }
    return undefined
  }

  async #ask(address: Address): Promise<readonly Shard[]> {
    const { connection, host } = this.#nodeAt(address)
    const shards = readSlots(
      await inTime(connection.run({ name: 'CLUSTER', keys: [], args: ['SLOTS'] }), PATIENCE_MS),
      host,
    )
    if (shards.length === 0) throw new Error('this node knows of no slots')
    return shards
  }

  #learn(shards: readonly Shard[]): void {
    if (this.#closed) return
    const slots: (Node | undefined)[] = []
    for (const { from, to, master } of shards) {
      const node = this.#nodeAt(master)
      for (let slot = from; slot <= to; slot++) slots[slot] = node
    }
    this.#slots = slots
    this.#replicas = shards.flatMap(({ replicas }) => replicas)
    this.#forgetOthers()
  }

  /** A node without slots may just be given its first; one that commands were sent on to is kept for another round. */
  #forgetOthers(): void {
    const masters = this.#masters()
    for (const [name, node] of this.#nodes) {
      const kept = masters.has(node) || node.guest
      node.guest = false
      if (kept) continue
      this.#nodes.delete(name)
      void node.connection.close()
    }
  }
}

const ASKING: Command = { name: 'ASKING', keys: [] }

type Redirect = { readonly kind: 'moved' | 'ask'; readonly address: Address } | { readonly kind: 'try-again' | 'down' }

function redirectOf(error: unknown, from: Address): Redirect | undefined {
  const text = error instanceof Error ? error.message : ''
  if (text.startsWith('TRYAGAIN')) return { kind: 'try-again' }
  if (text.startsWith('CLUSTERDOWN')) return { kind: 'down' }
  const [, word, host, port] = /^(MOVED|ASK) \d+ (.*):(\d+)$/.exec(text) ?? []
  if (word === undefined) return undefined
  // Where a cluster does not know its own endpoints, they are on the host that was asked (Redis 7).
  return { kind: word === 'MOVED' ? 'moved' : 'ask', address: { host: host || from.host, port: Number(port) } }
}

/** Errors that a server answers begin with a word in capitals; those of a lost connection do not. */
const isReply = (error: unknown): boolean => error instanceof Error && /^[A-Z]{2,}/.test(error.message)

interface Shard {
  readonly from: number
  readonly to: number
  readonly master: Address
  readonly replicas: readonly Address[]
}

type SlotRange = readonly [from: unknown, to: unknown, ...nodes: (readonly [host: unknown, port: unknown])[]]

/** The answer of CLUSTER SLOTS; a host that is missing is the one that was asked. */
function readSlots(answer: unknown, asked: string): Shard[] {
  return (answer as readonly SlotRange[]).map(([from, to, ...nodes]) => {
    const [master, ...replicas] = nodes.map(([host, port]): Address => {
      return { host: host ? String(host) : asked, port: Number(port) }
    })
    return { from: Number(from), to: Number(to), master: master as Address, replicas }
  })
}

async function inTime<T>(answer: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), ms)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
