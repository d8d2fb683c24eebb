import { type Forum, type Page, POSTS, USERS } from './forum.ts'

export interface WalkResult {
  readonly requests: number
  readonly changes: number
  readonly lastComment: number
  readonly differences: readonly string[]
}

/** Share of the requests that change something. */
const CHANGES = 0.05

/**
 * Asks both sites for the same pages, at random and popular ones more often, and lets the cached one change things in
 * between. Every answer of the cached site has to be the other's, to the letter.
 */
export async function walk(forum: Forum, requests: number, seed: number): Promise<WalkResult> {
  const visitor = new Visitor(seed)
  const differences: string[] = []
  let changes = 0
  for (let at = 0; at < requests; at++) {
    if (visitor.chance() < CHANGES) {
      changes++
      const { path, ...init } = visitor.change()
      const { status } = await forum.cached.ask(path, init)
      if (status >= 400) differences.push(`${init.method} ${path}: ${status}`)
    } else differences.push(...(await compare(forum, visitor.page())))
  }
  return { requests, changes, lastComment: visitor.lastComment, differences }
}

/** Asks for every page that the forum has. */
export async function compareAll(forum: Forum, lastComment: number): Promise<string[]> {
  const differences: string[] = []
  for (const path of everyPage(lastComment)) differences.push(...(await compare(forum, path)))
  return differences
}

function everyPage(lastComment: number): string[] {
  const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1)
  return [
    '/',
    ...upTo(POSTS).flatMap((id) => [`/posts/${id}`, `/posts/${id}/best`]),
    ...upTo(lastComment).flatMap((id) => [`/comments/${id}`, `/comments/${id}/voters`]),
    ...upTo(USERS).flatMap((id) => [`/users/${id}/comments`, `/users/${id}/unread`]),
    ...upTo(USERS).flatMap((id) => upTo(POSTS).map((post) => `/users/${id}/unread/${post}`)),
  ]
}

/** What differs between the two sites' answers: nothing, or one line. */
export async function compare({ cached, plain }: Forum, path: string): Promise<string[]> {
  const [ours, theirs] = [await cached.ask(path), await plain.ask(path)]
  return isSame(ours, theirs) ? [] : [`GET ${path}\n    cached   ${text(ours)}\n    uncached ${text(theirs)}`]
}

const isSame = (one: Page, other: Page): boolean => one.status === other.status && one.body === other.body
const text = ({ status, body }: Page): string => `${status} ${body.slice(0, 400)}`

export const asJson = (method: string, body: object): RequestInit & { method: string } => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

/** Somebody who clicks at random; the same seed makes the same clicks. */
class Visitor {
  #state: number
  lastComment = 6 * POSTS

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** Mulberry32. */
  chance(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  page(): string {
    const pages = [
      () => '/',
      () => `/posts/${this.#post()}`,
      () => `/posts/${this.#post()}/best`,
      () => `/comments/${this.#comment()}`,
      () => `/comments/${this.#comment()}/voters`,
      () => `/users/${this.#user()}/comments`,
      () => `/users/${this.#user()}/unread`,
      () => `/users/${this.#user()}/unread/${this.#post()}`,
    ]
    return (pages[this.#below(pages.length)] as () => string)()
  }

  change(): RequestInit & { path: string; method: string } {
    const kind = this.chance()
    if (kind < 0.45) return { path: `/comments/${this.#original()}/votes/${this.#user()}`, method: 'PUT' }
    if (kind < 0.65) return { path: '/comments', ...asJson('POST', this.#answer()) }
    if (kind < 0.8) return { path: `/comments/${this.#comment()}`, ...asJson('PATCH', { body: `edited ${kind}` }) }
    if (kind < 0.85) return { path: `/comments/${this.#recentAnswer()}`, method: 'DELETE' }
    const path = `/users/${this.#user()}/visits/${this.#post()}`
    return { path, ...asJson('PUT', { lastCommentId: this.#below(this.lastComment) }) }
  }

  #answer() {
    const parentId = this.#original()
    this.lastComment++
    const postId = Math.ceil(parentId / 6)
    return { id: this.lastComment, postId, parentId, authorId: this.#user(), body: `answer ${this.lastComment}` }
  }

  #below(limit: number): number {
    return Math.floor(this.chance() * limit)
  }

  #popular(limit: number): number {
    return 1 + Math.floor(this.chance() ** 3 * limit)
  }

  #post = (): number => this.#popular(POSTS)
  #user = (): number => 1 + this.#below(USERS)
  #comment = (): number => this.#popular(this.lastComment)
  /** One that was there from the start, not of post 1: the walk deletes only answers of its own. */
  #original = (): number => 6 + this.#popular(6 * (POSTS - 1))
  #recentAnswer = (): number => Math.max(6 * POSTS + 1, this.lastComment - this.#below(5))
}
