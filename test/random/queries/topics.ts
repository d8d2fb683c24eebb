/** What a random query needs to know of each table or view: small domains, keys, and what leads from one to another. */
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Random } from '../random.ts'
import { tables, views } from './tables.ts'

export type FieldType = 'int' | 'text' | 'citext' | 'enum' | 'numeric' | 'bool' | 'date' | 'json' | 'time'

/** A column as far as values for it are drawn; those of NOT NULL columns are never null. */
export interface Field {
  readonly type: FieldType
  readonly draw: (random: Random) => unknown
  /** Likely to be asked for: keys and what has an index. */
  readonly likely: boolean
}

/** Where a column's values are found: another topic's key, or a column that refers to this one. */
export interface Edge {
  readonly column: string
  readonly to: string
  readonly toColumn: string
  /** No proven key says that the row is there. */
  readonly mayMiss?: true
}

export interface Relation {
  readonly name: string
  readonly to: string
  readonly many: boolean
}

export interface Topic {
  readonly name: string
  readonly source: unknown
  readonly fields: Readonly<Record<string, Field>>
  /** Tells rows apart; every column where there is no key. */
  readonly key: readonly string[]
  readonly uniques: readonly (readonly string[])[]
  /** Columns that are counted up and down. */
  readonly counters: readonly string[]
  /** Columns that say which row of another table this one belongs to. */
  readonly moves: readonly string[]
  readonly edges: readonly Edge[]
  readonly relations: readonly Relation[]
  readonly written: boolean
  readonly reads: number
  readonly writes: number
}

export const columnsOf = (source: unknown): Readonly<Record<string, PgColumn>> =>
  source as Readonly<Record<string, PgColumn>>

type Draw = Field['draw']

const among =
  (...values: readonly unknown[]): Draw =>
  (random) =>
    random.pick(values)
const upTo =
  (end: number): Draw =>
  (random) =>
    1 + random.below(end)
/** As `draw`, and NULL now and then. */
const orNull =
  (draw: Draw, share = 0.25): Draw =>
  (random) =>
    random.chance(share) ? null : draw(random)

const field = (type: FieldType, draw: Draw): Field => ({ type, draw, likely: false })
const likely = (type: FieldType, draw: Draw): Field => ({ type, draw, likely: true })

const userId = upTo(6)
const postId = upTo(9)
const teamId = upTo(3)
const count = upTo(4)
const amount = among('1.00', '1.0', '2.5', '10')
const phases = among('draft', 'live', 'gone')
const label = among('a', 'b', 'A', 'a:b', '')

type Given = Pick<Topic, 'fields' | 'key'> & Partial<Omit<Topic, 'name' | 'source'>>

function topic(name: keyof typeof tables | keyof typeof views, given: Given): Topic {
  const source = name in tables ? tables[name as keyof typeof tables] : views[name as keyof typeof views]
  const none = { uniques: [], counters: [], moves: [], edges: [], relations: [] }
  return { ...none, reads: 4, writes: 4, written: name in tables, ...given, name, source }
}

const to = (column: string, other: string, toColumn = 'id'): Edge => ({ column, to: other, toColumn })
const unproven = (column: string, other: string): Edge => ({ ...to(column, other), mayMiss: true })
const one = (name: string, other: string): Relation => ({ name, to: other, many: false })
const many = (name: string, other: string): Relation => ({ name, to: other, many: true })

export const topics: readonly Topic[] = [
  topic('teams', {
    fields: {
      id: likely('int', teamId),
      name: likely('text', among('red', 'blue', 'green', null)),
      tier: field('text', among('low', 'high', null)),
      leadId: field('int', orNull(userId)),
      members: field('int', count),
    },
    key: ['id'],
    uniques: [['name']],
    counters: ['members'],
    moves: ['leadId'],
    edges: [to('id', 'users', 'teamId'), to('id', 'posts', 'teamId'), unproven('leadId', 'users')],
    relations: [one('lead', 'users'), many('users', 'users'), many('posts', 'posts')],
    reads: 3,
    writes: 2,
  }),
  topic('users', {
    fields: {
      id: likely('int', userId),
      email: likely('text', among('a@x', 'A@x', 'b@x', "o'b@x", null, null)),
      nick: field('citext', among('Ann', 'ann', 'BOB', null)),
      fullName: field('text', among('Ann', 'Bob', "O'Neill", null)),
      teamId: likely('int', orNull(teamId)),
      phase: field('enum', phases),
      points: field('int', count),
      seen: field('int', count),
      rating: field('numeric', orNull(amount)),
      bornOn: field('date', among('2024-02-29', '1999-12-31', null)),
    },
    key: ['id'],
    uniques: [['email']],
    counters: ['points', 'seen'],
    moves: ['teamId'],
    edges: [
      to('id', 'posts', 'authorId'),
      to('id', 'posts', 'editorId'),
      to('id', 'comments', 'authorId'),
      to('id', 'reviews', 'reviewerId'),
      to('id', 'stock', 'ownerId'),
      to('id', 'livePosts', 'authorId'),
      to('id', 'postTotals', 'authorId'),
      to('teamId', 'teams'),
      to('id', 'teams', 'leadId'),
    ],
    relations: [
      one('team', 'teams'),
      many('leads', 'teams'),
      many('posts', 'posts'),
      many('edited', 'posts'),
      many('comments', 'comments'),
      many('reviews', 'reviews'),
      many('stock', 'stock'),
    ],
    reads: 7,
    writes: 5,
  }),
  topic('posts', {
    fields: {
      id: likely('int', postId),
      authorId: likely('int', userId),
      editorId: likely('int', orNull(userId)),
      teamId: field('int', orNull(teamId)),
      phase: likely('enum', orNull(phases)),
      title: likely('text', orNull(label)),
      slug: likely('text', among('s1', 's2', 's3', null, null)),
      score: field('numeric', orNull(amount)),
      live: field('bool', among(true, true, false, null)),
      views: field('int', count),
      likes: field('int', count),
    },
    key: ['id'],
    uniques: [['slug']],
    counters: ['views', 'likes'],
    moves: ['authorId', 'editorId', 'teamId', 'phase'],
    edges: [
      to('authorId', 'users'),
      to('authorId', 'users'),
      to('editorId', 'users'),
      unproven('teamId', 'teams'),
      to('id', 'comments', 'postId'),
      to('id', 'postTags', 'postId'),
      to('id', 'reviews', 'postId'),
      to('id', 'livePosts'),
    ],
    relations: [
      one('author', 'users'),
      one('editor', 'users'),
      one('team', 'teams'),
      many('comments', 'comments'),
      many('postTags', 'postTags'),
      many('reviews', 'reviews'),
    ],
    reads: 9,
    writes: 8,
  }),
  topic('comments', {
    fields: {
      id: likely('int', upTo(12)),
      postId: likely('int', postId),
      authorId: likely('int', orNull(userId)),
      parentId: likely('int', orNull(upTo(12), 0.5)),
      body: field('text', orNull(label)),
      votes: field('int', count),
    },
    key: ['id'],
    counters: ['votes'],
    moves: ['postId', 'authorId', 'parentId'],
    edges: [
      to('postId', 'posts'),
      to('authorId', 'users'),
      to('parentId', 'comments'),
      to('id', 'comments', 'parentId'),
    ],
    relations: [one('post', 'posts'), one('author', 'users'), one('parent', 'comments'), many('children', 'comments')],
    reads: 6,
    writes: 6,
  }),
  topic('tags', {
    fields: {
      id: likely('int', upTo(4)),
      label: likely('text', among('red', 'hot', 'old', 'new')),
      kind: field('text', among('x', 'y', null)),
    },
    key: ['id'],
    uniques: [['label']],
    edges: [to('id', 'postTags', 'tagId')],
    relations: [many('postTags', 'postTags')],
    reads: 3,
    writes: 2,
  }),
  topic('postTags', {
    fields: { postId: likely('int', postId), tagId: likely('int', upTo(4)), weight: field('int', count) },
    key: ['postId', 'tagId'],
    counters: ['weight'],
    edges: [to('postId', 'posts'), to('tagId', 'tags')],
    relations: [one('post', 'posts'), one('tag', 'tags')],
    writes: 3,
  }),
  topic('reviews', {
    fields: {
      postId: likely('int', upTo(11)),
      reviewerId: likely('int', userId),
      verdict: field('enum', orNull(phases)),
      stars: field('int', orNull(count)),
    },
    key: ['postId', 'reviewerId'],
    moves: ['verdict'],
    edges: [unproven('postId', 'posts'), to('reviewerId', 'users')],
    relations: [one('post', 'posts'), one('reviewer', 'users')],
    writes: 3,
  }),
  topic('stock', {
    fields: {
      region: likely('text', among('', 'eu', 'a:b')),
      sku: field('text', among('1', '2', ',')),
      a: field('int', among(1, 2, 12, null)),
      b: field('text', among('1', '21', null)),
      qty: field('int', count),
      price: field('numeric', orNull(amount)),
      ownerId: likely('int', orNull(userId)),
    },
    key: ['region', 'sku'],
    uniques: [['a', 'b']],
    counters: ['qty'],
    moves: ['ownerId'],
    edges: [to('ownerId', 'users')],
    relations: [one('owner', 'users')],
    writes: 3,
  }),
  topic('logs', {
    fields: {
      userId: field('int', orNull(userId)),
      kind: likely('text', among('', 'eu', 'x')),
      amount: field('int', count),
    },
    key: ['userId', 'kind', 'amount'],
    edges: [to('userId', 'users')],
    reads: 2,
    writes: 1,
  }),
  topic('settings', {
    fields: {
      name: likely('text', among('', 'k1', 'k2', 'a:b')),
      value: field('json', among(null, 1, { on: true }, { text: 'ü', deep: { n: null } })),
      note: field('text', orNull(label)),
      changedAt: field('time', among(null, new Date(0), new Date('2024-02-29T12:34:56.789Z'))),
    },
    key: ['name'],
    reads: 3,
    writes: 2,
  }),
  topic('entries', {
    fields: { id: likely('int', upTo(5)), ref: likely('int', orNull(upTo(5))), label: field('text', orNull(label)) },
    key: ['id'],
    moves: ['ref'],
    edges: [unproven('ref', 'annexEntries'), unproven('id', 'annexEntries')],
    relations: [one('annex', 'annexEntries')],
    writes: 2,
  }),
  topic('annexEntries', {
    fields: { id: likely('int', upTo(5)), ref: likely('int', orNull(upTo(5))), label: field('text', orNull(label)) },
    key: ['id'],
    moves: ['ref'],
    edges: [to('id', 'entries', 'ref')],
    relations: [many('entries', 'entries')],
    writes: 2,
  }),
  topic('livePosts', {
    fields: {
      id: likely('int', postId),
      authorId: likely('int', userId),
      author: field('text', among('Ann', 'Bob', null)),
      title: field('text', orNull(label)),
      views: field('int', count),
    },
    key: ['id'],
    edges: [to('authorId', 'users'), to('id', 'posts')],
    reads: 1.5,
    writes: 0,
  }),
  topic('authorLoad', {
    fields: { authorId: likely('int', userId), posts: field('int', count), views: field('int', count) },
    key: ['authorId'],
    edges: [to('authorId', 'users')],
    reads: 1.5,
    writes: 0,
  }),
  topic('postTotals', {
    fields: { authorId: likely('int', userId), posts: field('int', count), views: field('int', count) },
    key: ['authorId'],
    edges: [to('authorId', 'users'), to('authorId', 'posts', 'authorId')],
    reads: 2,
    writes: 0,
  }),
]

export const written: readonly Topic[] = topics.filter((each) => each.written)

const byName = new Map(topics.map((each) => [each.name, each]))

/** The tables that the rows of a topic come from: of a view, those below it. */
export const writtenFor = ({ name }: Topic): readonly Topic[] => {
  if (name in tables) return [topicOf(name)]
  return name === 'postTotals' ? [topicOf('posts')] : [topicOf('posts'), topicOf('users')]
}

export function topicOf(name: string): Topic {
  const found = byName.get(name)
  if (!found) throw new Error(`There is no topic ${name}.`)
  return found
}
