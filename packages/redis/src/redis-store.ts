import { AsideError, type NewStamp, type Store } from 'drizzle-aside/store'
import type { Command, Connection } from './connection.ts'
import { EntryWriter, wholeMs } from './expiry.ts'
import type { KnownIncarnations } from './incarnation.ts'
import { enterRegister, RegisterLooks } from './register.ts'

// A command of many keys holds up everybody else on the server; several of them let others in between.
const KEYS_PER_UNLINK = 512
const KEYS_PER_SCAN = '1000'

/** The {@link Store} verbs as Redis commands. */
export function storeOver(connection: Connection, incarnations: KnownIncarnations): Store {
  const entries = new EntryWriter(connection)
  const looks = new RegisterLooks()
  const incarnationOf = (key: string) => incarnations.of(key)
  let closed = false
  const open = () => {
    if (closed) throw closedError()
    return connection
  }
  return {
    name: 'redis',
    processLocal: false,
    buckets: connection.buckets,
    incarnations,
    // Not async: each promise between the reply and the reader is a turn that a lone hit waits for.
    read(keys) {
      if (closed) return Promise.reject(closedError())
      if (keys.length === 0) return Promise.resolve([])
      const values = connection.run({ name: 'MGET', keys }) as Promise<(string | null)[]>
      const confirmed = incarnations.confirm(keys)
      return confirmed ? behind(values, confirmed) : values
    },
    async mint(stamps, ttlMs) {
      if (stamps.length === 0) return []
      const minted = open().runAll(mintCommands(stamps, wholeMs(ttlMs)))
      const confirmed = incarnations.confirm(stamps.map(({ key }) => key))
      const answers = await behind(minted, confirmed)
      return answers.at(-1) as (string | null)[]
    },
    async write(key, text, ttlMs, keepAlive, stampTtlMs) {
      open()
      await entries.write({ name: 'SET', keys: [key], args: [text, 'PX', wholeMs(ttlMs)] }, keepAlive, stampTtlMs)
    },
    async remove(keys) {
      await unlink(open(), keys)
    },
    async enter(register, visit) {
      const to = open()
      await incarnations.confirm([register])
      const tag = incarnations.of(register)
      if (tag === undefined) throw new Error('this Redis is a replica: it keeps no register')
      return enterRegister(to, register, visit, tag)
    },
    async removeAndLook(keys, registers) {
      const look = looks.at(registers)
      const removed = open().runAll([...unlinkCommands(keys), ...look.commands])
      // What is removed is removed, whoever it was that did it: then there is no register to go by.
      const confirmed = incarnations.confirm(registers)?.catch(() => undefined)
      const answers = await behind(removed, confirmed)
      return look.read(answers.slice(answers.length - look.commands.length), incarnationOf)
    },
    async clear(prefix) {
      await clearPrefix(open(), prefix)
    },
    async close() {
      closed = true
      await connection.close()
    },
  }
}

/** The answer, once it is also known who gave it: both are in one round trip. */
async function behind<T>(answer: Promise<T>, confirmed: Promise<void> | undefined): Promise<T> {
  const [value] = await Promise.all([answer, confirmed])
  return value
}

const closedError = () => new AsideError('ASIDE_CLOSED', 'this Redis store was closed; create a new one.')

/** As SET NX, for which one text counts as none. */
const REPLACE = `
if redis.call('GET', KEYS[1]) == ARGV[3] then return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
`

/**
 * SET NX for each stamp and one MGET behind them: whoever minted first, all answers agree. `SET … NX GET` would save
 * the MGET but needs Redis 7.0.
 */
function mintCommands(stamps: readonly NewStamp[], ttl: string): Command[] {
  const sets = stamps.map(({ key, text, over }) =>
    over === undefined
      ? { name: 'SET', keys: [key], args: [text, 'NX', 'PX', ttl] }
      : { name: 'EVAL', before: [REPLACE, '1'], keys: [key], args: [text, ttl, over] },
  )
  return [...sets, { name: 'MGET', keys: stamps.map(({ key }) => key) }]
}

async function unlink(connection: Connection, keys: readonly string[]): Promise<void> {
  const commands = unlinkCommands(keys)
  const [only] = commands
  if (commands.length === 1 && only) await connection.run(only)
  else if (commands.length > 1) await connection.runAll(commands)
}

function unlinkCommands(keys: readonly string[]): Command[] {
  const commands: Command[] = []
  for (let start = 0; start < keys.length; start += KEYS_PER_UNLINK) {
    commands.push({ name: 'UNLINK', keys: keys.slice(start, start + KEYS_PER_UNLINK) })
  }
  return commands
}

async function clearPrefix(connection: Connection, prefix: string): Promise<void> {
  for (const node of await connection.nodes()) await clearNode(connection, node, prefix)
}

/** SCAN may answer a key twice and always answers those that stay throughout, which is all that is asked for here. */
async function clearNode(connection: Connection, node: Pick<Connection, 'run'>, prefix: string): Promise<void> {
  const args = ['MATCH', `${literal(connection.keyPrefix + prefix)}*`, 'COUNT', KEYS_PER_SCAN]
  let cursor = '0'
  do {
    const answer = await node.run({ name: 'SCAN', keys: [], args: [cursor, ...args] })
    const [next, found] = answer as [string, string[]]
    await unlink(
      connection,
      found.map((key) => key.slice(connection.keyPrefix.length)),
    )
    cursor = String(next)
  } while (cursor !== '0')
}

/** The text as a glob that matches only itself. */
const literal = (text: string) => text.replace(/[\\*?[\]^-]/g, '\\$&')
