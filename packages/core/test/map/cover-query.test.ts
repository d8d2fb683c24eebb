import { describe, expect, test } from 'vitest'
import { coverQuery, withoutLearning } from '../../src/map/cover-query.ts'
import type { QueryCover, RefCover } from '../../src/model/query-cover.ts'
import type { QueryShape } from '../../src/model/query-shape.ts'
import { parseQuery, schemaOf, shapeOf } from './cover.fixture.ts'

const schema = schemaOf(`
  orgs: id! name:none
  users: id! org_id>orgs email:text% nick:text?~ boss_id?>users mood:enum:mood~ born:date~ code:uuid~ num:none
  posts: id! author_id>users editor_id?>users slug:text status:enum:status title:none (author_id,status) %(author_id,slug)
  comments: id! post_id>posts user_id?>users text:none
  tags: id! name:text%
  tagged: post_id!>posts tag_id!>tags rank:int~
  seats: hall! seat! user_id?>users
  tickets: id! hall>seats seat>seats
  odd: id! text:text~ label:enum:label~ mood:enum:mood~ day:date~ code:uuid~ num:none flag:bool~ small:int~
  guarded: id! #rls
  loose: id! user_id>users #unproven
  grown: id! user_id>users #inherited
  feed: id author_id #view=posts,users
  stats: author_id~ n:none #matview
  keyless: a~ b
`)

/** `users[id=$0|id=$1] posts(table: no-condition) orgs<users.org_id>`; `-` for a reference of which no row matters. */
function cover(text: string, change: Partial<QueryShape> = {}): string {
  const query = parseQuery(text)
  const found = coverQuery(shapeOf(query, schema, change), {
    facts: schema.facts,
    relationOf: (ref) => schema.tables.get(query.tables[ref] as string)!,
    schemesOf: schema.schemesOf,
  })
  return write(found, query.aliases)
}

function write({ covers, learned }: QueryCover, aliases: readonly string[]): string {
  const parts = covers.map((each): [number, string] => [each.ref, `${aliases[each.ref]}${writeRef(each)}`])
  for (const { ref, from } of learned)
    parts.push([ref, `${aliases[ref]}<${from.map((term) => `${aliases[term.ref]}.${term.column}`).join(' ')}>`])
  return parts
    .sort(([a], [b]) => a - b)
    .map(([, part]) => part)
    .join(' ')
}

function writeRef({ branches, widened }: RefCover): string {
  if (widened) {
    expect(branches).toEqual([[]])
    return `(${widened})`
  }
  if (branches.length === 0) return '-'
  const classes = branches.map(([first]) =>
    first!.scheme.columns.map(
      (column, i) => `${column}=${first!.values[i] === null ? 'null' : `$${first!.values[i]}`}`,
    ),
  )
  return `[${classes.map((columns) => columns.join(',')).join('|')}]`
}

const cases = (list: [query: string, expected: string][]) =>
  test.each(list)('%s → %s', (query, expected) => expect(cover(query)).toBe(expected))

describe('one table', () => {
  cases([
    ['from users', 'users(no-condition)'],
    ['from users where users.id = $0', 'users[id=$0]'],
    ['from users where users.id = $0 and users.email = $1', 'users[id=$0]'],
    ['from users where users.email = $0 and users.org_id = $1', 'users[email=$0]'],
    ['from users where users.org_id = $0', 'users[org_id=$0]'],
    ['from users where users.org_id = $0 and ?', 'users[org_id=$0]'],
    ['from users where ? and (? and users.org_id = $0)', 'users[org_id=$0]'],
    ['from users where ?', 'users(not-an-equality)'],
    ['from users where users.org_id < $0', 'users(not-an-equality)'],
    ['from users where not users.org_id = $0', 'users(not-an-equality)'],
    ['from users where not (users.org_id = $0 or users.id = $1)', 'users(not-an-equality)'],
    ['from users where users.num = $0', 'users(no-scheme)'],
    ['from posts where posts.status = $0', 'posts(no-scheme)'],
    ['from posts where posts.slug = $0', 'posts(no-scheme)'],
    ['from posts where posts.title = $0 and posts.author_id = $1', 'posts[author_id=$1]'],
    ['from posts where posts.author_id = $0 and posts.status = $1', 'posts[author_id=$0,status=$1]'],
    ['from posts where posts.status = $1 and posts.author_id = $0', 'posts[author_id=$0,status=$1]'],
    ['from posts where posts.author_id = $0 and posts.slug = $1', 'posts[author_id=$0,slug=$1]'],
    ['from posts where posts.author_id = $0 and posts.slug = $1 and posts.status = $2', 'posts[author_id=$0,slug=$1]'],
    ['from tagged where tagged.tag_id = $0 and tagged.post_id = $1', 'tagged[post_id=$1,tag_id=$0]'],
    ['from tagged where tagged.tag_id = $0', 'tagged[tag_id=$0]'],
    ['from seats where seats.hall = $0', 'seats(no-scheme)'],
    ['from users where users.mood = $0', 'users[mood=$0]'],
    ['from users where users.born = $0', 'users[born=$0]'],
    ['from users where users.code = $0', 'users[code=$0]'],
    ['from users where users.id = $0 limit 1 offset 2 order users.org_id', 'users[id=$0]'],
    ['from users where users.org_id = $0 count', 'users[org_id=$0]'],
    ['from users where users.org_id = $0 limit 3', 'users[org_id=$0]'],
    ['from users where never', 'users-'],
    ['from users where never and ?', 'users-'],
    ['from users where never or users.id = $0', 'users[id=$0]'],
    ['from users where never or ?', 'users(not-an-equality)'],
    ['from users where users.id in ()', 'users-'],
    ['from stats where stats.author_id = $0', 'stats[author_id=$0]'],
    ['from stats', 'stats(no-condition)'],
    ['from keyless where keyless.a = $0', 'keyless[a=$0]'],
    ['from keyless where keyless.b = $0', 'keyless(no-scheme)'],
  ])
})

describe('in-lists and disjunctions', () => {
  const list = (count: number) => Array.from({ length: count }, (_, i) => `$${i}`)
  cases([
    ['from users where users.id in ($0)', 'users[id=$0]'],
    ['from users where users.id in ($0 $1)', 'users[id=$0|id=$1]'],
    ['from users where users.id in ($0 $1) and users.id in ($2)', 'users[id=$2]'],
    ['from users where users.id = $0 and users.id = $1', 'users[id=$0]'],
    ['from users where users.id = $0 or users.id = $1', 'users[id=$0|id=$1]'],
    ['from users where users.id = $0 or users.org_id = $1', 'users[id=$0|org_id=$1]'],
    ['from users where users.id = $0 or users.id = $0', 'users[id=$0]'],
    ['from users where users.id = $0 or ?', 'users(not-an-equality)'],
    ['from users where users.id = $0 or users.org_id < $1', 'users(not-an-equality)'],
    ['from users where users.id = $0 or users.num = $1', 'users(not-an-equality)'],
    ['from users where (users.id = $0 or ?) and users.org_id = $1', 'users[org_id=$1]'],
    ['from users where (users.id = $0 or users.id = $1) and users.org_id = $2', 'users[id=$0|id=$1]'],
    ['from users where (users.id = $0 and ?) or (users.org_id = $1 and ?)', 'users[id=$0|org_id=$1]'],
    [
      'from posts where posts.author_id in ($0 $1) and posts.status = $2',
      'posts[author_id=$0,status=$2|author_id=$1,status=$2]',
    ],
    [
      'from posts where posts.author_id in ($0 $1) and posts.status in ($2 $3)',
      'posts[author_id=$0,status=$2|author_id=$0,status=$3|author_id=$1,status=$2|author_id=$1,status=$3]',
    ],
    [
      'from posts where posts.author_id = $0 and (posts.status = $1 or posts.status = $2)',
      'posts[author_id=$0,status=$1|author_id=$0,status=$2]',
    ],
    ['from posts where posts.author_id = $0 and (posts.status = $1 or ?)', 'posts[author_id=$0]'],
    [
      'from posts where (posts.author_id = $0 or posts.id = $1) and posts.status = $2',
      'posts[author_id=$0,status=$2|id=$1]',
    ],
    ['from posts where (posts.author_id = $0 or posts.status = $1) and posts.slug = $2', 'posts(no-scheme)'],
    [
      `from users where users.id in (${list(16).join(' ')})`,
      `users[${list(16)
        .map((v) => `id=${v}`)
        .join('|')}]`,
    ],
    [`from users where users.id in (${list(17).join(' ')})`, 'users(too-many-classes)'],
    [`from users where users.id in (${list(17).join(' ')}) and users.org_id = $20`, 'users[org_id=$20]'],
    [
      `from users where ${list(16)
        .map((v) => `users.id = ${v}`)
        .join(' or ')}`,
      `users[${list(16)
        .map((v) => `id=${v}`)
        .join('|')}]`,
    ],
    [
      `from users where ${list(17)
        .map((v) => `users.id = ${v}`)
        .join(' or ')}`,
      'users(too-many-classes)',
    ],
    [
      `from users where (${list(17)
        .map((v) => `users.id = ${v}`)
        .join(' or ')}) and users.org_id = $20`,
      'users[org_id=$20]',
    ],
    [
      `from users where users.id in (${list(9).join(' ')}) or users.org_id in (${list(8).join(' ')})`,
      'users(too-many-classes)',
    ],
    [
      `from posts where posts.author_id in (${list(4).join(' ')}) and posts.status in (${list(5).join(' ')})`,
      'posts[author_id=$0|author_id=$1|author_id=$2|author_id=$3]',
    ],
  ])
})

describe('NULL', () => {
  cases([
    ['from users where users.nick null', 'users[nick=null]'],
    ['from users where users.nick null or users.nick = $0', 'users[nick=null|nick=$0]'],
    ['from users where users.nick null and users.nick = $0', 'users[nick=$0]'],
    ['from users where not users.nick null', 'users(not-an-equality)'],
    ['from users where users.id null', 'users(no-scheme)'],
    ['from users where users.email null', 'users(no-scheme)'],
    ['from posts where posts.author_id = $0 and posts.status null', 'posts[author_id=$0,status=null]'],
    ['from posts where posts.author_id = $0 and posts.slug null', 'posts[author_id=$0]'],
    ['from users where users.num null', 'users(no-scheme)'],
    // `a = b` is not true of NULLs.
    [
      'from users inner posts on posts.editor_id = users.boss_id where users.boss_id null',
      'users[boss_id=null] posts(partner-not-learned)',
    ],
  ])
})

describe('inner joins', () => {
  cases([
    ['from users inner posts on posts.author_id = users.id where users.id = $0', 'users[id=$0] posts[author_id=$0]'],
    [
      'from users inner posts on posts.author_id = users.id where posts.author_id = $0',
      'users[id=$0] posts[author_id=$0]',
    ],
    ['from users inner posts on posts.author_id = users.id and users.id = $0', 'users[id=$0] posts[author_id=$0]'],
    [
      'from users inner posts on ? where posts.author_id = users.id and users.id = $0',
      'users[id=$0] posts[author_id=$0]',
    ],
    ['from users cross posts where posts.author_id = users.id and users.id = $0', 'users[id=$0] posts[author_id=$0]'],
    ['from users cross posts', 'users(no-condition) posts(no-condition)'],
    ['from users cross posts where users.id = $0', 'users[id=$0] posts(no-condition)'],
    ['from users inner posts on posts.author_id < $1 where users.id = $0', 'users[id=$0] posts(not-an-equality)'],
    [
      'from users inner posts on not posts.author_id = users.id where users.id = $0',
      'users[id=$0] posts(not-an-equality)',
    ],
    [
      'from users inner posts on posts.author_id = users.id or ? where users.id = $0',
      'users[id=$0] posts(partner-not-learned)',
    ],
    [
      'from users inner posts on posts.author_id = users.id or posts.editor_id = users.id where users.id = $0',
      'users[id=$0] posts[author_id=$0|editor_id=$0]',
    ],
    [
      'from users inner posts on posts.author_id = users.id where users.id in ($0 $1)',
      'users[id=$0|id=$1] posts[author_id=$0|author_id=$1]',
    ],
    [
      'from users inner posts on posts.author_id = users.id where users.id = $0 or users.id = $1',
      'users[id=$0|id=$1] posts[author_id=$0|author_id=$1]',
    ],
    [
      'from users inner posts on posts.author_id = users.id where users.id = $0 or posts.id = $1',
      'users(not-an-equality) posts[author_id=$0|id=$1]',
    ],
    [
      'from users inner posts on posts.author_id = users.id where users.email = $0',
      'users[email=$0] posts(partner-not-learned)',
    ],
    [
      'from users inner posts on posts.author_id = users.id inner comments on comments.post_id = posts.id where posts.id = $0',
      'users(no-condition) posts[id=$0] comments[post_id=$0]',
    ],
    // A chain of equalities, whatever its order.
    [
      'from posts inner users on users.id = posts.author_id inner comments on comments.user_id = users.id where posts.author_id = $0',
      'posts[author_id=$0] users[id=$0] comments[user_id=$0]',
    ],
    [
      'from comments inner users on comments.user_id = users.id inner posts on posts.author_id = users.id where posts.author_id = $0',
      'comments[user_id=$0] users[id=$0] posts[author_id=$0]',
    ],
    ['from users a inner users b on b.id = a.boss_id where a.boss_id = $0', 'a[boss_id=$0] b[id=$0]'],
    ['from users a inner users b on b.boss_id = a.id where a.id = $0', 'a[id=$0] b[boss_id=$0]'],
    ['from users a cross users b where a.id = $0', 'a[id=$0] b(no-condition)'],
    ['from posts where posts.editor_id = posts.author_id and posts.editor_id = $0', 'posts[author_id=$0]'],
    [
      'from posts inner seats on ? inner tickets on tickets.hall = seats.hall and tickets.seat = seats.seat where seats.hall = $0 and seats.seat = $1',
      'posts(not-an-equality) seats[hall=$0,seat=$1] tickets[hall=$0,seat=$1]',
    ],
    [
      'from users inner posts on posts.author_id = users.id and posts.status = $1 where users.id = $0',
      'users[id=$0] posts[author_id=$0,status=$1]',
    ],
    ['from users where never inner posts on posts.author_id = users.id', 'users- posts-'],
    ['from users inner posts on never', 'users- posts-'],
    ['from users inner ? on users.id = $0', 'users[id=$0]'],
    ['from ? inner users on ?', 'users(opaque)'],
  ])
})

describe('equalities travel between columns of one family only', () => {
  cases([
    ['from users inner odd on odd.text = users.email where users.email = $0', 'users[email=$0] odd[text=$0]'],
    ['from users inner odd on odd.day = users.born where users.born = $0', 'users[born=$0] odd[day=$0]'],
    ['from users inner odd on odd.code = users.code where users.code = $0', 'users[code=$0] odd[code=$0]'],
    ['from users inner odd on odd.mood = users.mood where users.mood = $0', 'users[mood=$0] odd[mood=$0]'],
    ['from users inner odd on odd.label = users.mood where users.mood = $0', 'users[mood=$0] odd(partner-not-learned)'],
    ['from users inner odd on odd.text = users.mood where users.mood = $0', 'users[mood=$0] odd(partner-not-learned)'],
    ['from users inner odd on odd.num = users.id where users.id = $0', 'users[id=$0] odd(partner-not-learned)'],
    ['from users inner odd on odd.id = users.num where users.num = $0', 'users(no-scheme) odd(partner-not-learned)'],
    // Over a column whose equality is not ours, nothing travels.
    [
      'from users inner odd on odd.num = users.id inner posts on posts.id = odd.num where users.id = $0',
      'users[id=$0] odd(partner-not-learned) posts(partner-not-learned)',
    ],
    [
      'from users inner odd on odd.code = users.email where users.email = $0',
      'users[email=$0] odd(partner-not-learned)',
    ],
  ])
})

describe('outer joins', () => {
  cases([
    // The right side: by ON, and by what the WHERE says of the left.
    ['from users left posts on posts.author_id = users.id where users.id = $0', 'users[id=$0] posts[author_id=$0]'],
    [
      'from users left posts on posts.author_id = users.id and posts.status = $1 where users.id = $0',
      'users[id=$0] posts[author_id=$0,status=$1]',
    ],
    ['from users left posts on posts.author_id = $0', 'users(no-condition) posts[author_id=$0]'],
    ['from users left posts on posts.author_id = $0 and ?', 'users(not-an-equality) posts[author_id=$0]'],
    ['from users left posts on posts.author_id = $0 or ?', 'users(not-an-equality) posts(not-an-equality)'],
    ['from users left posts on posts.editor_id null', 'users(no-condition) posts[editor_id=null]'],
    ['from users left posts on never', 'users(no-condition) posts-'],
    // ON says nothing of the left side, but it holds for the partner's sake.
    ['from users left posts on users.id = $0', 'users(outer-join) posts(no-condition)'],
    ['from users left posts on users.id = $0 and posts.author_id = users.id', 'users(outer-join) posts[author_id=$0]'],
    ['from users left posts on users.nick null', 'users(outer-join) posts(no-condition)'],
    // An equality in the WHERE rejects null-extended rows: the join is an inner one.
    [
      'from users left posts on posts.author_id = users.id where posts.author_id = $0',
      'users[id=$0] posts[author_id=$0]',
    ],
    ['from users left posts on users.id = $0 where posts.author_id = users.id', 'users[id=$0] posts[author_id=$0]'],
    [
      'from users left posts on posts.author_id = users.id and users.id = $1 where posts.id = $0',
      'users[id=$1] posts[id=$0]',
    ],
    [
      'from users left posts on posts.author_id = users.id where posts.id in ($0 $1)',
      'users(no-condition) posts[id=$0|id=$1]',
    ],
    [
      'from users left posts on posts.author_id = users.id where users.id = $1 and (posts.id = $0 or ?)',
      'users[id=$1] posts[author_id=$1]',
    ],
    // IS NULL is true of null-extended rows too.
    [
      'from users left posts on posts.author_id = users.id where posts.editor_id null',
      'users(no-condition) posts(outer-join)',
    ],
    [
      'from users left posts on posts.author_id = users.id where posts.id null and users.id = $0',
      'users[id=$0] posts[author_id=$0]',
    ],
    ['from users left posts on ? where posts.editor_id null and posts.id = $0', 'users(not-an-equality) posts[id=$0]'],
    [
      'from users left posts on ? where posts.editor_id null and posts.title = $0',
      'users(not-an-equality) posts[editor_id=null]',
    ],
    [
      'from users left posts on posts.author_id = users.id where posts.editor_id null or posts.editor_id = $0',
      'users(no-condition) posts(not-an-equality)',
    ],
    ['from users left posts on ? where users.nick null', 'users[nick=null] posts(not-an-equality)'],
    [
      'from users left posts on ? inner odd on posts.editor_id null',
      'users(not-an-equality) posts(outer-join) odd(not-an-equality)',
    ],
    // A partner of a partner.
    [
      'from users left posts on posts.author_id = users.id left comments on comments.post_id = posts.id where users.id = $0',
      'users[id=$0] posts[author_id=$0] comments(partner-not-learned)',
    ],
    [
      'from users left posts on posts.id = $1 left comments on comments.post_id = posts.id where users.id = $0',
      'users[id=$0] posts[id=$1] comments[post_id=$1]',
    ],
    [
      'from users left posts on users.id = $1 and posts.id = $2 left comments on comments.user_id = users.id',
      'users(outer-join) posts[id=$2] comments(partner-not-learned)',
    ],
    [
      'from users left posts on posts.author_id = users.id inner comments on comments.post_id = posts.id where users.id = $0',
      'users[id=$0] posts[author_id=$0] comments(partner-not-learned)',
    ],
    [
      'from users left posts on users.id = $0 inner comments on comments.post_id = posts.id',
      'users[id=$0] posts(partner-not-learned) comments(partner-not-learned)',
    ],
    [
      'from users left posts on posts.author_id = $0 inner comments on comments.post_id = users.id',
      'users(no-condition) posts[author_id=$0] comments(partner-not-learned)',
    ],
    // Right and full joins.
    ['from users right posts on users.id = $0', 'users[id=$0] posts(no-condition)'],
    ['from users right posts on posts.author_id = $0', 'users(no-condition) posts(outer-join)'],
    ['from users right posts on users.id = posts.author_id and posts.author_id = $0', 'users[id=$0] posts(outer-join)'],
    [
      'from users right posts on users.id = posts.author_id where posts.author_id = $0',
      'users[id=$0] posts[author_id=$0]',
    ],
    ['from users right posts on users.id = posts.author_id where users.id = $0', 'users[id=$0] posts[author_id=$0]'],
    ['from users right posts on ? where users.nick null', 'users(outer-join) posts(not-an-equality)'],
    ['from users right posts on ? where posts.editor_id null', 'users(not-an-equality) posts[editor_id=null]'],
    ['from users right posts on users.nick null', 'users[nick=null] posts(no-condition)'],
    ['from users right posts on never', 'users- posts(no-condition)'],
    [
      'from users inner odd on odd.id = $0 right posts on ?',
      'users(not-an-equality) odd[id=$0] posts(not-an-equality)',
    ],
    [
      'from users inner odd on odd.id = $0 right posts on posts.id = odd.id',
      'users(no-condition) odd[id=$0] posts(partner-not-learned)',
    ],
    [
      'from users inner odd on odd.id = $0 right posts on ? where posts.id = odd.id',
      'users(not-an-equality) odd[id=$0] posts[id=$0]',
    ],
    ['from users full posts on users.id = $0', 'users(outer-join) posts(no-condition)'],
    ['from users full posts on users.id = $0 and posts.author_id = $0', 'users(outer-join) posts(outer-join)'],
    ['from users full posts on users.id = posts.author_id where users.id = $0', 'users[id=$0] posts[author_id=$0]'],
    [
      'from users full posts on users.id = posts.author_id where posts.author_id = $0',
      'users[id=$0] posts[author_id=$0]',
    ],
    [
      'from users full posts on ? where users.nick null and posts.editor_id null',
      'users(outer-join) posts(outer-join)',
    ],
    ['from users full posts on ? where users.id = $0 and posts.editor_id null', 'users[id=$0] posts(outer-join)'],
    ['from users full posts on ? where users.id = $0 and posts.id = $1', 'users[id=$0] posts[id=$1]'],
    [
      'from users full posts on users.org_id = $2 and posts.author_id = $1 where users.id = $0',
      'users[id=$0] posts[author_id=$1]',
    ],
    ['from users full posts on never', 'users(no-condition) posts(no-condition)'],
    ['from users inner odd on odd.id = $0 full posts on ?', 'users(not-an-equality) odd[id=$0] posts(not-an-equality)'],
  ])
})

describe('queries inside queries', () => {
  cases([
    ['from (from users where users.id = $0)', 'users[id=$0]'],
    ['from (from users) inner posts on posts.id = $0', 'users(no-condition) posts[id=$0]'],
    // A condition on a query's output is not one on its tables: it may have a limit.
    ['from (from users limit 1) where users.id = $0', 'users(no-condition)'],
    // Lateral: what is known of the outer row goes in.
    [
      'from users left (from posts where posts.author_id = users.id) where users.id = $0',
      'users[id=$0] posts[author_id=$0]',
    ],
    [
      'from users left (from posts where posts.author_id = users.id limit 3) where users.id in ($0 $1)',
      'users[id=$0|id=$1] posts[author_id=$0|author_id=$1]',
    ],
    [
      'from users left (from posts where posts.author_id = users.id) where users.email = $0',
      'users[email=$0] posts(partner-not-learned)',
    ],
    [
      'from users left (from posts where posts.author_id = users.id) on users.id = $0',
      'users(outer-join) posts[author_id=$0]',
    ],
    [
      'from users left (from posts left (from comments where comments.post_id = posts.id) where posts.author_id = users.id) where users.id = $0',
      'users[id=$0] posts[author_id=$0] comments(partner-not-learned)',
    ],
    [
      'from users left (from posts left (from comments where comments.user_id = users.id) where posts.author_id = users.id) where users.id = $0',
      'users[id=$0] posts[author_id=$0] comments[user_id=$0]',
    ],
    // EXISTS, negated or not, in any place.
    [
      'from users where users.id = $0 and exists (from posts where posts.author_id = users.id)',
      'users[id=$0] posts[author_id=$0]',
    ],
    [
      'from users where users.id = $0 and not exists (from posts where posts.author_id = users.id)',
      'users[id=$0] posts[author_id=$0]',
    ],
    [
      'from users where users.id = $0 or exists (from posts where posts.author_id = users.id)',
      'users(not-an-equality) posts(partner-not-learned)',
    ],
    [
      'from users where exists (from posts where posts.author_id = users.id and users.id = $0)',
      'users(not-an-equality) posts[author_id=$0]',
    ],
    ['from users where exists (from posts where posts.id = $0)', 'users(not-an-equality) posts[id=$0]'],
    [
      'from users where users.id = $0 and exists (from posts inner comments on comments.post_id = posts.id where posts.author_id = users.id)',
      'users[id=$0] posts[author_id=$0] comments(partner-not-learned)',
    ],
    [
      'from users left odd on exists (from posts where posts.author_id = users.id) where users.id = $0',
      'users[id=$0] odd(not-an-equality) posts[author_id=$0]',
    ],
    [
      'from users left odd on odd.id = $1 and exists (from posts where posts.author_id = odd.id) where users.id = $0',
      'users[id=$0] odd[id=$1] posts(partner-not-learned)',
    ],
    [
      'from users where users.id = $0 scalar (from posts where posts.author_id = users.id count)',
      'users[id=$0] posts[author_id=$0]',
    ],
    [
      'from users where users.id = $0 scalar (from posts where posts.author_id = users.org_id count)',
      'users[id=$0] posts(partner-not-learned)',
    ],
    [
      'from users where (users.id = $0 or users.id = $1) and exists (from posts where posts.author_id = users.id)',
      'users[id=$0|id=$1] posts[author_id=$0|author_id=$1]',
    ],
    [
      'from users left (from posts where posts.author_id = users.id) where users.id = $0 or users.org_id = $1',
      'users[id=$0|org_id=$1] posts(partner-not-learned)',
    ],
    // No row of the outer query, and yet a sub-query or member is asked.
    ['from users where never scalar (from posts where posts.id = $0 count) count', 'users- posts[id=$0]'],
    ['from users where never member (from posts)', 'users- posts(no-condition)'],
    ['from users where users.id = $0 member (from users b where b.org_id = $1)', 'users[id=$0] b[org_id=$1]'],
    ['from users where users.id = $0 member (from users b)', 'users[id=$0] b(no-condition)'],
    // A member beside this query is not filtered by its conditions.
    [
      'from users where exists (from posts where posts.author_id = users.id and users.id = $0 member (from comments where comments.user_id = users.id))',
      'users(not-an-equality) posts[author_id=$0] comments(partner-not-learned)',
    ],
    [
      'from users where users.id = $1 and exists (from posts where posts.author_id = users.id and users.id = $0 member (from comments where comments.user_id = users.id))',
      'users[id=$1] posts[author_id=$0] comments[user_id=$1]',
    ],
    ['from ? member (from posts where posts.author_id = $0)', 'posts[author_id=$0]'],
  ])
})

describe('views', () => {
  cases([
    ['from feed', 'feed(view) feed(view)'],
    ['from feed where feed.id = $0', 'feed(view) feed(view)'],
    ['from users left feed on feed.author_id = users.id where users.id = $0', 'users[id=$0] feed(view) feed(view)'],
    [
      'from feed inner users on users.id = feed.author_id where feed.author_id = $0',
      'feed(view) feed(view) users[id=$0]',
    ],
  ])
})

describe('partners that the rows tell', () => {
  cases([
    ['from posts left users on users.id = posts.author_id', 'posts(no-condition) users<posts.author_id>'],
    ['from posts left users on posts.author_id = users.id', 'posts(no-condition) users<posts.author_id>'],
    ['from posts inner users on users.id = posts.author_id', 'posts(no-condition) users<posts.author_id>'],
    ['from posts left users on users.id = posts.author_id where posts.id = $0', 'posts[id=$0] users<posts.author_id>'],
    [
      'from posts left users on users.id = posts.author_id where ? limit 10 offset 5 order posts.title',
      'posts(not-an-equality) users<posts.author_id>',
    ],
    ['from posts left users on users.id = posts.editor_id', 'posts(no-condition) users<posts.editor_id>'],
    [
      'from tickets inner seats on seats.hall = tickets.hall and seats.seat = tickets.seat',
      'tickets(no-condition) seats<tickets.hall tickets.seat>',
    ],
    [
      'from tickets left seats on seats.seat = tickets.seat and seats.hall = tickets.hall',
      'tickets(no-condition) seats<tickets.hall tickets.seat>',
    ],
    [
      'from tickets left seats on seats.seat = tickets.id and seats.hall = tickets.hall',
      'tickets(no-condition) seats<tickets.hall tickets.id>',
    ],
    [
      'from posts left users a on a.id = posts.author_id left users b on b.id = posts.editor_id',
      'posts(no-condition) a<posts.author_id> b<posts.editor_id>',
    ],
    [
      'from posts left users on users.id = posts.author_id left orgs on orgs.id = users.org_id',
      'posts(no-condition) users<posts.author_id> orgs<users.org_id>',
    ],
    [
      'from posts inner users on users.id = posts.author_id inner orgs on orgs.id = users.org_id',
      'posts(no-condition) users<posts.author_id> orgs<users.org_id>',
    ],
    [
      'from users left comments on comments.user_id = users.id left posts on posts.id = comments.post_id where users.id = $0',
      'users[id=$0] comments[user_id=$0] posts<comments.post_id>',
    ],
    // Constants are better.
    [
      'from posts left users on users.id = posts.author_id where posts.author_id = $0',
      'posts[author_id=$0] users[id=$0]',
    ],
    // A class of the partner is not: the rows are fewer.
    [
      'from tagged left seats on seats.hall = tagged.post_id and seats.seat = tagged.tag_id where tagged.post_id = $0',
      'tagged[post_id=$0] seats<tagged.post_id tagged.tag_id>',
    ],
  ])
})

describe('partners that the rows do not tell', () => {
  cases([
    // An inner join that may hide rows for want of a partner.
    ['from posts inner users on users.id = posts.editor_id', 'posts(no-condition) users(partner-not-learned)'],
    ['from loose inner users on users.id = loose.user_id', 'loose(no-condition) users(partner-not-learned)'],
    ['from grown inner users on users.id = grown.user_id', 'grown(no-condition) users(partner-not-learned)'],
    ['from posts inner users on users.id = posts.id', 'posts(no-condition) users(partner-not-learned)'],
    [
      'from tickets inner seats on seats.hall = tickets.seat and seats.seat = tickets.hall',
      'tickets(no-condition) seats(partner-not-learned)',
    ],
    [
      'from tagged inner seats on seats.hall = tagged.post_id and seats.seat = tagged.tag_id',
      'tagged(no-condition) seats(partner-not-learned)',
    ],
    [
      'from posts left users on users.id = posts.author_id inner orgs on orgs.id = users.org_id',
      'posts(no-condition) users(partner-not-learned) orgs<users.org_id>',
    ],
    // Not matched on the whole primary key, or by more.
    ['from tickets left seats on seats.hall = tickets.hall', 'tickets(no-condition) seats(partner-not-learned)'],
    ['from posts left users on users.org_id = posts.author_id', 'posts(no-condition) users(partner-not-learned)'],
    [
      'from posts left users on users.id = posts.author_id and users.boss_id = posts.editor_id',
      'posts(no-condition) users(partner-not-learned)',
    ],
    [
      'from posts left users on users.id = posts.author_id and posts.status = $0',
      'posts(outer-join) users(partner-not-learned)',
    ],
    ['from posts left users on users.id = posts.author_id and ?', 'posts(not-an-equality) users(partner-not-learned)'],
    [
      'from posts left users on users.id = posts.author_id or users.id = posts.editor_id',
      'posts(no-condition) users(partner-not-learned)',
    ],
    [
      'from tickets left seats on seats.hall = tickets.hall and seats.hall = tickets.seat',
      'tickets(no-condition) seats(partner-not-learned)',
    ],
    ['from posts left users on users.id = users.boss_id', 'posts(no-condition) users(partner-not-learned)'],
    // Not of one family.
    ['from users left odd on odd.id = users.num', 'users(no-condition) odd(partner-not-learned)'],
    // Used beside the select list and the equality.
    [
      'from posts left users on users.id = posts.author_id where users.nick null',
      'posts(no-condition) users(outer-join)',
    ],
    [
      'from posts left users on users.id = posts.author_id where users.num < $0',
      'posts(not-an-equality) users(partner-not-learned)',
    ],
    [
      'from posts left users on users.id = posts.author_id order users.nick',
      'posts(no-condition) users(partner-not-learned)',
    ],
    [
      'from posts left users on users.id = posts.author_id left comments on comments.user_id = users.id',
      'posts(no-condition) users(partner-not-learned) comments(partner-not-learned)',
    ],
    [
      'from posts left users on users.id = posts.author_id left orgs on orgs.id = users.org_id where orgs.id = $0',
      'posts(no-condition) users[org_id=$0] orgs[id=$0]',
    ],
    [
      'from posts left users on users.id = posts.author_id left orgs on orgs.id = users.org_id order orgs.name',
      'posts(no-condition) users(partner-not-learned) orgs(partner-not-learned)',
    ],
    // Rows that are not one by one those of the joins.
    ['from posts left users on users.id = posts.author_id count', 'posts(no-condition) users(partner-not-learned)'],
    [
      'from posts left users on users.id = posts.author_id member (from posts b)',
      'posts(no-condition) users(partner-not-learned) b(no-condition)',
    ],
    [
      'from posts left users on users.id = posts.author_id right comments on ?',
      'posts(not-an-equality) users(partner-not-learned) comments(not-an-equality)',
    ],
    ['from posts full users on users.id = posts.author_id', 'posts(no-condition) users(partner-not-learned)'],
    // Not in the root.
    ['from (from posts left users on users.id = posts.author_id)', 'posts(no-condition) users(partner-not-learned)'],
    ['from ? left users on users.id = users.boss_id', 'users(partner-not-learned)'],
    // Tables of which a key does not give one row for everyone.
    ['from users left guarded on guarded.id = users.id', 'users(no-condition) guarded(partner-not-learned)'],
    ['from users left grown on grown.id = users.id', 'users(no-condition) grown(partner-not-learned)'],
    ['from users left feed on feed.id = users.id', 'users(no-condition) feed(view) feed(view)'],
  ])

  test('where the shape says so', () => {
    const text = 'from posts left users on users.id = posts.author_id'
    expect(cover(text, { learnable: false })).toBe('posts(no-condition) users(partner-not-learned)')
    expect(cover(text, { usedElsewhere: new Set([1]) })).toBe('posts(no-condition) users(partner-not-learned)')
    const table = { table: { name: 'users' }, reached: 'all' } as const
    expect(cover(text, { refs: [table, table] })).toBe('posts(no-condition) users(partner-not-learned)')
  })

  test('what a partner rests on instead is at hand', () => {
    const text =
      'from tagged left seats on seats.hall = tagged.post_id and seats.seat = tagged.tag_id where tagged.post_id = $0'
    const query = parseQuery(text)
    const found = coverQuery(shapeOf(query, schema), {
      facts: schema.facts,
      relationOf: (ref) => schema.tables.get(query.tables[ref] as string)!,
      schemesOf: schema.schemesOf,
    })
    expect(write(withoutLearning(found), query.aliases)).toBe('tagged[post_id=$0] seats(no-scheme)')
  })
})

test('a reference that stands in no block rests on its table', () => {
  const { refs, ...rest } = shapeOf(parseQuery('from users where users.id = $0'), schema)
  const covers = coverQuery(
    { ...rest, refs: [...refs, ...refs] },
    { facts: schema.facts, relationOf: () => schema.tables.get('users')!, schemesOf: schema.schemesOf },
  ).covers
  expect(covers.map(({ widened }) => widened)).toEqual([undefined, 'opaque'])
})
