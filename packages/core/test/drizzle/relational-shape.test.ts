import { and, eq, sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { RelationalReader } from '../../src/drizzle/read-relational.ts'
import { tableShapes } from '../../src/drizzle/table-shape.ts'
import type { Block, Predicate, QueryShape, Term } from '../../src/model/query-shape.ts'
import { blog, comments, configOf, corpus, dialect, posts, users } from './relational.fixture.ts'

const db = blog()
const reader = new RelationalReader(dialect, tableShapes(dialect))

function shapeOf(query: unknown): QueryShape {
  const read = reader.read(reader.settle(configOf(query)))
  if (typeof read === 'string') throw new Error(`refused: ${read}`)
  return read.shape()
}

/** Blocks in one line: `users[…]`, with what is joined to it and its condition inside; references by number and name. */
function told({ refs, root }: QueryShape): string {
  const name = (ref: number): string => {
    const { schema, name } = refs[ref]?.table ?? { name: '?' }
    return `${ref}:${schema ? `${schema}.` : ''}${name}`
  }
  const term = ({ ref, column }: Term): string => `${ref}.${column}`
  const condition = (predicate: Predicate): string => {
    switch (predicate.kind) {
      case 'and':
      case 'or':
        return `(${predicate.members.map(condition).join(` ${predicate.kind} `)})`
      case 'same':
        return `${term(predicate.left)}=${term(predicate.right)}`
      case 'equals':
        return `${term(predicate.term)}=$${predicate.value}`
      case 'in':
        return `${term(predicate.term)} in ${predicate.values.map((value) => `$${value}`)}`
      case 'null':
        return `${term(predicate.term)} is null`
      default:
        return predicate.kind
    }
  }
  const block = ({ sources, where, inner }: Block): string => {
    const [first, ...joined] = sources.map((source) =>
      'ref' in source ? name(source.ref) : 'block' in source ? `${source.join} ${block(source.block)}` : 'opaque',
    )
    const parts = [...joined, ...(where ? [condition(where)] : []), ...inner.map((each) => `inner ${block(each)}`)]
    return parts.length > 0 ? `${first}[${parts.join('; ')}]` : `${first}`
  }
  return block(root)
}

const expected: Record<string, string> = {
  'all rows': '0:users',
  'the first row': '0:users[0.id=$0]',
  'one, twice to one table': '0:posts[left 1:users[1.id=0.author]; left 2:users[2.id=0.reviewer_id]]',
  many: '0:users[left 1:posts[1.author=0.id]; 0.id=$0]',
  'one from the other side': '0:users[left 1:profiles[1.user_id=0.id]]',
  'many to many': '0:posts[left 1:post_tags[left 2:tags[2.id=1.tag_id]; 1.post_id=0.id]]',
  'to itself, both ways':
    '0:users[left 1:users[left 2:users[2.id=1.manager_id]; 1.id=0.manager_id]; left 3:users[left 4:profiles[4.user_id=3.id]; 3.manager_id=0.id]]',
  'three levels with a condition at each':
    '0:users[left 1:posts[left 2:comments[(2.post_id=1.id and 2.author_id in $0,$1)]; (1.author=0.id and 1.draft=$2)]; (0.id=$3 and 0.manager_id is null)]',
  'a composite key in another schema':
    '0:audit.comments[left 1:post_tags[left 2:tags[2.id=1.tag_id]; (1.post_id=0.post_id and 1.tag_id=0.tag_id)]]',
  'many by a composite key': '0:post_tags[left 1:audit.comments[(1.post_id=0.post_id and 1.tag_id=0.tag_id)]]',
  'equal names in two schemas':
    '0:post_tags[left 1:audit.comments[(1.post_id=0.post_id and 1.tag_id=0.tag_id)]; left 2:posts[left 3:comments[3.post_id=2.id]; 2.id=0.post_id]]',
  'a condition on one, and an offset': '0:posts[left 1:users[(1.id=0.author and 1.full_name=$0)]]',
  'a sub-query in a condition': '0:users[left 1:posts[1.author=0.id]; other; inner 2:posts[2.author=0.id]]',
  // The text is not put into parentheses: what it says after its `or` holds for itself.
  'raw text in a condition': '0:users[left 1:posts[other]; other]',
  'a bare value in a condition': '0:users[left 1:posts[(1.author=0.id and 1.id=$0)]]',
  'an empty list': '0:users[left 1:posts[(1.author=0.id and never)]; never]',
  'a list of many': '0:users[left 1:users[1.id=0.manager_id]; 0.id in $1,$2,$3]',
}

describe('shapes of relational queries', () => {
  it.each(corpus.filter(([name]) => name in expected).map(([name, make]) => [name, make] as const))(
    '%s',
    (name, make) => {
      expect(told(shapeOf(make()))).toBe(expected[name])
    },
  )

  it('number the levels first, parents before children', () => {
    const { refs } = shapeOf(db.query.users.findMany({ with: { posts: { with: { comments: true } }, profile: true } }))
    expect(refs.map(({ table }) => table.name)).toEqual(['users', 'posts', 'comments', 'profiles'])
  })

  it('name where the columns of the root stand in its rows', () => {
    const query = db.query.posts.findMany({ columns: { title: true, authorId: true }, with: { author: true } })
    const selected = [{ ref: 0, column: 'title' }, { ref: 0, column: 'author' }, undefined]
    expect(shapeOf(query)).toMatchObject({ selected, learnable: false, kind: 'relational', raw: false })
  })

  it('reach what is selected, ties, sorts and filters, at each level', () => {
    const query = db.query.users.findMany({
      columns: { fullName: true },
      where: (t, { gt }) => gt(t.createdAt, new Date(0)),
      with: {
        posts: { columns: { title: true }, where: eq(posts.draft, true), orderBy: (t, { desc }) => desc(t.score) },
      },
    })
    const reached = shapeOf(query).refs.map(({ reached }) => [...reached].sort())
    expect(reached).toEqual([
      ['created_at', 'full_name', 'id'],
      ['author', 'draft', 'score', 'title'],
    ])
  })

  it('reach everything where raw text stands at any level', () => {
    const query = db.query.users.findMany({ with: { posts: { extras: { n: sql`length(title)`.as('n') } } } })
    expect(shapeOf(query)).toMatchObject({ raw: true, refs: [{ reached: 'all' }, { reached: 'all' }] })
  })

  it('take a column for that of its level, as Drizzle does, and conclude nothing where it is not the table’s', () => {
    const query = db.query.users.findMany({ with: { posts: { where: and(eq(comments.id, 'x'), eq(posts.id, 1)) } } })
    const shape = shapeOf(query)
    expect(told(shape)).toBe('0:users[left 1:posts[(1.author=0.id and (other and 1.id=$1))]]')
    expect(shape.raw).toBe(true)
  })

  it('end nothing that text could have opened', () => {
    const query = db.query.users.findMany({ with: { posts: { where: sql`true) or (true` } }, where: eq(users.id, 1) })
    expect(told(shapeOf(query))).toBe('0:users[left 1:posts[other]; other]')
  })
})
