/**
 * Removal of a test's keys from a Redis that others use too.
 *
 * Promises: `removeKeys(url, part)` removes every key whose name contains `part`, and nothing else; `keptIn(url, part)`
 * tells everything that Redis keeps under such keys.
 */
import { createClient } from 'redis'
import { readInfo } from '../../packages/redis/src/incarnation.ts'

export async function removeKeys(url: string, part: string): Promise<void> {
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  try {
    for await (const keys of client.scanIterator({ MATCH: `*${part}*`, COUNT: 1_000 })) {
      if (keys.length > 0) await client.unlink(keys)
    }
  } finally {
    client.destroy()
  }
}

/**
 * Gives a namespace and database a register that is old and empty, as one has after the first seconds of a deployment:
 * in a new one writes drop whole tables until everybody may be known (docs/guarantees.md).
 */
export async function ageRegister(url: string, namespace: string, database: string): Promise<void> {
  const client = createClient({ url })
  await client.connect()
  try {
    const within = readInfo(await client.info())?.tag as string
    await client.hSet(`da1:${namespace}:${database.length}:${database}:F{f}`, { v: 'first', b: '1000', i: within })
  } finally {
    client.destroy()
  }
}

/** All keys whose names contain `part`, with their values as texts; of hashes and sets the members, line by line. */
export async function keptIn(url: string, part: string): Promise<Map<string, string>> {
  const client = createClient({ url })
  await client.connect()
  try {
    const kept = new Map<string, string>()
    for (const key of await client.keys(`*${part}*`)) {
      const type = await client.type(key)
      if (type === 'string') kept.set(key, (await client.get(key)) ?? '')
      else if (type === 'hash') kept.set(key, Object.entries(await client.hGetAll(key)).join('\n'))
      else if (type === 'set') kept.set(key, (await client.sMembers(key)).join('\n'))
      else if (type === 'zset') kept.set(key, (await client.zRange(key, 0, -1)).join('\n'))
      else throw new Error(`${key} is a ${type}`)
    }
    return kept
  } finally {
    client.destroy()
  }
}
