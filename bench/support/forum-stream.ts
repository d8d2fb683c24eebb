import { type Counts, type ForumContender, type Kind, kinds, type Shown } from './forum-contenders.ts'

/** Reads 50 % by key, 30 % lists, 20 % joins; writes 60 % update of a post, 20 % insert of one, 20 % update of an author. */
export type Step = { readonly read: Kind; readonly id: number } | { readonly write: Write; readonly id: number }
export type Write = 'post' | 'author' | 'insert'

export interface Draws {
  readonly random: () => number
  readonly post: () => number
  readonly author: () => number
}

export function createSteps(length: number, writePercent: number, { random, post, author }: Draws): Step[] {
  return Array.from({ length }, (): Step => {
    const die = random()
    if (random() * 100 < writePercent) {
      if (die < 0.6) return { write: 'post', id: post() }
      return die < 0.8 ? { write: 'insert', id: author() } : { write: 'author', id: author() }
    }
    if (die < 0.5) return { read: 'by key', id: post() }
    return die < 0.8 ? { read: 'list', id: author() } : { read: 'join', id: post() }
  })
}

/** When each version of each row was surely committed: the judge of stale reads. Writes to one row wait for each other. */
class Rows {
  readonly #resolvedAt = new Map<number, number[]>()
  readonly #last = new Map<number, Promise<void>>()
  readonly #given = new Map<number, number>()

  write(id: number, send: (version: number) => Promise<unknown>, now: () => number): Promise<void> {
    const version = (this.#given.get(id) ?? 0) + 1
    this.#given.set(id, version)
    const before = this.#last.get(id) ?? Promise.resolve()
    const done = before
      .then(() => send(version))
      .then(() => {
        const times = this.#resolvedAt.get(id) ?? []
        times[version - 1] = now()
        this.#resolvedAt.set(id, times)
      })
    this.#last.set(id, done)
    return done
  }

  /** Whether the next version had resolved by then. */
  isOld({ id, version }: { id: number; version: number }, then: number): boolean {
    return (this.#resolvedAt.get(id)?.[version] ?? Number.POSITIVE_INFINITY) <= then
  }
}

/** What one contender's database must show by now. */
export class Judge {
  readonly posts = new Rows()
  readonly authors = new Rows()
  readonly #newest = new Map<number, number>()
  #clock = 0

  tick = (): number => ++this.#clock

  inserted(author: number, post: number): void {
    this.#newest.set(author, Math.max(post, this.#newest.get(author) ?? 0))
  }

  newestOf(author: number): number {
    return this.#newest.get(author) ?? 0
  }

  isStale({ posts, author }: Shown, began: number, newest: number): boolean {
    if (author && this.authors.isOld(author, began)) return true
    if (newest > 0 && (posts[0]?.id ?? 0) < newest) return true
    return posts.some((post) => this.posts.isOld(post, began))
  }
}

export interface Ran {
  readonly ms: number
  readonly stale: number
  readonly statements: number
  readonly counts: Readonly<Record<Kind, Counts>> | undefined
}

export async function runSteps(
  contender: ForumContender,
  judge: Judge,
  steps: readonly Step[],
  inFlight: number,
): Promise<Ran> {
  let next = 0
  let stale = 0
  const read = async (kind: Kind, id: number): Promise<void> => {
    const began = judge.tick()
    const newest = kind === 'list' ? judge.newestOf(id) : 0
    if (judge.isStale(await contender.read(kind, id), began, newest)) stale++
  }
  const write = async (what: Write, id: number): Promise<void> => {
    if (what === 'post') await judge.posts.write(id, (version) => contender.updatePost(id, version), judge.tick)
    else if (what === 'author')
      await judge.authors.write(id, (version) => contender.updateAuthor(id, version), judge.tick)
    else judge.inserted(id, await contender.insertPost(id))
  }
  const worker = async (): Promise<void> => {
    while (next < steps.length) {
      const step = steps[next++] as Step
      await ('read' in step ? read(step.read, step.id) : write(step.write, step.id))
    }
  }
  const statements = contender.statements()
  const before = contender.counts?.()
  const began = performance.now()
  await Promise.all(Array.from({ length: inFlight }, worker))
  const ms = performance.now() - began
  const after = contender.counts?.()
  return { ms, stale, statements: contender.statements() - statements, counts: before && after && less(after, before) }
}

function less(after: Readonly<Record<Kind, Counts>>, before: Readonly<Record<Kind, Counts>>): Record<Kind, Counts> {
  const of = (kind: Kind): Counts => ({
    hits: after[kind].hits - before[kind].hits,
    misses: after[kind].misses - before[kind].misses,
  })
  return Object.fromEntries(kinds.map((kind) => [kind, of(kind)])) as Record<Kind, Counts>
}

/**
 * A cache of any size by equality class, of one reader: a post by its key, a list by its author and the author's posts,
 * a join by its post and that post's author. It follows the same steps.
 */
export class EqualityClasses {
  readonly #held: Readonly<Record<Kind, Set<number>>> = { 'by key': new Set(), list: new Set(), join: new Set() }
  readonly #joinsOf = new Map<number, Set<number>>()

  constructor(readonly authorOf: (post: number) => number) {}

  follow(steps: readonly Step[]): Record<Kind, Counts> {
    const counts = { 'by key': { hits: 0, misses: 0 }, list: { hits: 0, misses: 0 }, join: { hits: 0, misses: 0 } }
    for (const step of steps) {
      if ('write' in step) this.#write(step.write, step.id)
      else counts[step.read][this.#read(step.read, step.id) ? 'hits' : 'misses']++
    }
    return counts
  }

  #read(kind: Kind, id: number): boolean {
    const held = this.#held[kind]
    if (held.has(id)) return true
    held.add(id)
    if (kind === 'join') this.#ofAuthor(this.authorOf(id)).add(id)
    return false
  }

  #write(what: Write, id: number): void {
    const { list, join } = this.#held
    const author = what === 'post' ? this.authorOf(id) : id
    list.delete(author)
    if (what === 'post') {
      this.#held['by key'].delete(id)
      join.delete(id)
    }
    if (what === 'author') {
      for (const post of this.#ofAuthor(id)) join.delete(post)
      this.#joinsOf.delete(id)
    }
  }

  #ofAuthor(author: number): Set<number> {
    const joins = this.#joinsOf.get(author) ?? new Set<number>()
    this.#joinsOf.set(author, joins)
    return joins
  }
}
