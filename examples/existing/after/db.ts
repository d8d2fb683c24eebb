import { PGlite } from '@electric-sql/pglite'
import { cached, withCache } from 'drizzle-aside'
import { drizzle } from 'drizzle-orm/pglite'
import * as schema from './schema.ts'

export const client = new PGlite()

export const db = withCache(drizzle(client, { schema }), {
  tables: [cached(schema.users), cached(schema.posts, { ttl: '1m' })],
})
