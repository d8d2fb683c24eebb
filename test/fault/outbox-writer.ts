/**
 * A writer that never gets to its invalidation:
 * `outbox-writer.ts <database> <redis> <namespace> transaction|autocommit outbox|none`.
 * Prints `committed` when the first removal would be sent, and waits there until it is killed.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { gate, gatedStore } from '../harness/gates.ts'
import { items, notes } from '../support/items.ts'

const [database, redis, namespace, way, outbox] = process.argv.slice(2)
const pool = new Pool({ connectionString: database })
const client = createClient({ url: redis as string })
await client.connect()
const closed = gate()
let writes = false
const store = gatedStore(redisStore(client), (point, { method }) => {
  if (point !== 'before' || !writes || (method !== 'remove' && method !== 'removeAndLook')) return
  process.stdout.write('committed')
  return closed.pass()
})
const tables = [cached(items), cached(notes)]
const kept = outbox === 'outbox' ? ({ outbox: 'always' } as const) : {}
const options = { store, namespace: namespace as string, tables, invalidateDeadline: '1h', ...kept } as const
const db = withCache(drizzle(pool), options)
await db.$aside.ready()
writes = true
const rename = (on: Pick<typeof db, 'update'>) => on.update(items).set({ label: 'new' }).where(eq(items.id, 1))
if (way === 'transaction') await db.transaction((tx) => rename(tx))
else await rename(db)
