import type { AsideEvent } from 'drizzle-aside'
import type { Forum } from './forum.ts'
import { best, comment, commentsBy, type ForumDb, frontPage, thread, unread, unreadBelow, voters } from './queries.ts'
import { asJson, compare } from './walk.ts'

/** A page that is watched, and the query behind it. */
interface Watched {
  readonly name: string
  readonly path: string
  query(db: ForumDb): Parameters<Forum['db']['$aside']['explain']>[0]
}

const watched: readonly Watched[] = [
  { name: 'front page', path: '/', query: (db) => frontPage(db) },
  { name: 'thread of post 1', path: '/posts/1', query: (db) => thread(db, 1) },
  { name: 'thread of post 2', path: '/posts/2', query: (db) => thread(db, 2) },
  { name: 'best of post 1', path: '/posts/1/best', query: (db) => best(db, 1) },
  { name: 'best of post 2', path: '/posts/2/best', query: (db) => best(db, 2) },
  { name: 'comment 3, between its parent and answers', path: '/comments/3', query: (db) => comment(db, 3) },
  { name: 'comment 9, of post 2', path: '/comments/9', query: (db) => comment(db, 9) },
  { name: 'who voted for comment 3', path: '/comments/3/voters', query: (db) => voters(db, 3) },
  { name: 'comments by user 5, who wrote 3', path: '/users/5/comments', query: (db) => commentsBy(db, 5) },
  { name: 'comments by user 11', path: '/users/11/comments', query: (db) => commentsBy(db, 11) },
  { name: 'unread by user 2 below post 1', path: '/users/2/unread/1', query: (db) => unreadBelow(db, 2, 1) },
  { name: 'unread by user 2 below post 4', path: '/users/2/unread/4', query: (db) => unreadBelow(db, 2, 4) },
  { name: 'unread by user 2, all posts', path: '/users/2/unread', query: (db) => unread(db, 2) },
]

interface Change {
  readonly title: string
  readonly path: string
  readonly init: RequestInit
}

const changes: readonly Change[] = [
  { title: 'user 7 votes for comment 3 of post 1', path: '/comments/3/votes/7', init: { method: 'PUT' } },
  { title: 'comment 3 is edited', path: '/comments/3', init: asJson('PATCH', { body: 'a better comment' }) },
  { title: 'comment 3 is deleted, and with it its answer 4', path: '/comments/3', init: { method: 'DELETE' } },
]

/** What the watched pages rest on. */
export async function restsOn({ db, cached }: Forum): Promise<string> {
  const lines: string[] = []
  for (const { name, path, query } of watched) {
    await cached.ask(path)
    const { dependsOn } = await db.$aside.explain(query(db))
    lines.push(`  ${name.padEnd(WIDTH)}${dependsOn.join(', ')}`)
  }
  return lines.join('\n')
}

const WIDTH = 44

/** Makes each change and prints what it dropped; yields what differs from the uncached site afterwards. */
export async function showChanges(forum: Forum): Promise<string[]> {
  const differences: string[] = []
  for (const change of changes) {
    console.log(`${await pictureOf(forum, change)}\n`)
    for (const { path } of watched) differences.push(...(await compare(forum, path)))
  }
  return differences
}

async function pictureOf(forum: Forum, { title, path, init }: Change): Promise<string> {
  // Twice: what a first answer has shown of its partners, the second one is kept by.
  for (const _ of [1, 2]) for (const page of watched) await forum.cached.ask(page.path)
  const before = await states(forum)
  const told: AsideEvent[] = []
  const silence = forum.db.$aside.on((event) => void told.push(event))
  const { status } = await forum.cached.ask(path, init)
  silence()
  const after = await states(forum)
  const lines = watched.map(({ name }, at) => `  ${fate(before[at], after[at]).padEnd(10)}${name}`)
  return [`${title}: ${init.method} ${path} → ${status}`, ...told.flatMap(inWords), ...lines.sort()].join('\n')
}

const states = ({ db }: Forum): Promise<string[]> =>
  Promise.all(watched.map(async ({ query }) => (await db.$aside.explain(query(db))).state))

function fate(before: string | undefined, after: string | undefined): string {
  if (before !== 'hit') return 'not kept'
  return after === 'hit' ? 'stays' : 'DROPPED'
}

function inWords(event: AsideEvent): string[] {
  if (event.type === 'invalidate')
    return [`  event     invalidate: ${event.keys} stamps and ${event.epochs} epochs of ${event.tables.join(', ')}`]
  return event.type === 'epochReplaced' ? [`  event     epochReplaced: ${event.table}, ${event.reason}`] : []
}
