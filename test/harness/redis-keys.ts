/**
 * Removal of a test's keys from a Redis that others use too.
 *
 * Promises: `removeKeys(url, part)` removes every key whose name contains `part`, and nothing else.
 */
import { createClient } from 'redis'

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
