import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PGlite } from '@electric-sql/pglite'
import { serve } from '@hono/node-server'
import { cached, memoryStore, type WithAside, withCache } from 'drizzle-aside'
import { drizzle } from 'drizzle-orm/pglite'
import { createApp } from './app.ts'
import type { ForumDb } from './queries.ts'
import { comments, createTables, posts, schema, users, visits, votes } from './schema.ts'

/** One way to run the forum. */
export interface Site {
  ask(path: string, init?: RequestInit): Promise<Page>
  /** SQL statements that it has sent. */
  statements(): number
}

export interface Page {
  readonly status: number
  readonly body: string
}

export interface Forum {
  readonly db: WithAside<ForumDb>
  /** The same app over the same database: with the cache, and without. */
  readonly cached: Site
  readonly plain: Site
  close(): Promise<void>
}

export const USERS = 12
export const POSTS = 20

export async function openForum(): Promise<Forum> {
  const client = await PGlite.create()
  await client.exec(createTables)
  await fill(client)
  const [ours, others] = [countStatements(), countStatements()]

  // This is all that an app changes.
  const db = withCache(drizzle(client, { schema, logger: ours }), {
    store: memoryStore(),
    namespace: 'threads',
    tables: [
      cached(users, { ttl: '1h' }),
      cached(posts),
      // Votes come often, and few pages show them; nor does a count of comments care what they say.
      cached(comments, { facets: (t) => ({ votes: [t.score], text: [t.body] }) }),
      cached(votes),
      cached(visits),
    ],
  })
  await db.$aside.ready()
  const plainDb = drizzle(client, { schema, logger: others })

  const sites = [await openSite(db, ours), await openSite(plainDb, others)] as const
  return {
    db,
    cached: sites[0],
    plain: sites[1],
    close: async () => {
      for (const site of sites) await site.close()
      await db.$aside.close()
      await client.close()
    },
  }
}

function countStatements() {
  const counter = { count: 0, logQuery: () => void counter.count++ }
  return counter
}

async function openSite(db: ForumDb, sql: { readonly count: number }) {
  const server = await listen(createApp(db))
  const { port } = server.address() as AddressInfo
  return {
    ask: async (path: string, init?: RequestInit): Promise<Page> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
      return { status: response.status, body: await response.text() }
    },
    statements: () => sql.count,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(app: ReturnType<typeof createApp>): Promise<Server> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(server as Server))
  })
}

/** Each post has six comments: the third answers the second, the fourth the third. */
async function fill(client: PGlite): Promise<void> {
  await client.exec(`
    insert into users select n, 'user ' || n from generate_series(1, ${USERS}) n;
    insert into posts select n, 1 + n % ${USERS}, 'post ' || n from generate_series(1, ${POSTS}) n;
    insert into comments
      select 6 * (p - 1) + n, p, case when n in (3, 4) then 6 * (p - 1) + n - 1 end, 1 + (p + n) % ${USERS}, 'comment ' || n, 0
      from generate_series(1, ${POSTS}) p, generate_series(1, 6) n;
    insert into visits select u, p, 6 * p - u % 4 from generate_series(1, ${USERS}) u, generate_series(1, ${POSTS}) p
      where (u + p) % 3 = 0;
  `)
}
