/** What a select reads and what its conditions say for certain, for every kind of select. */
import { and, eq, max, type SQL, sql } from 'drizzle-orm'
import { npmVersion } from 'drizzle-orm/version'
import { describe, expect, it } from 'vitest'
import { countQueryOf } from '../../src/drizzle/count-query.ts'
import { countShape, selectShape } from '../../src/drizzle/query-shape.ts'
import { isCall, rawTextBreaks } from '../../src/drizzle/raw-text.ts'
import { countKey, type StructuralKey, selectKey } from '../../src/drizzle/structural-key.ts'
import type { QueryShape } from '../../src/model/query-shape.ts'
import { cases, compile, configOf, db, naming, posts, shapeOf, stats, u, users } from './builders.fixture.ts'
import { tellShape } from './tell-shape.ts'

/** `*` for all columns of a table. */
const brief = (shape: QueryShape): string =>
  tellShape(shape)
    .replaceAll(/\[(?:author_id day id likes made state tags title|active email full_name id shout)\]/g, '[*]')
    .replaceAll(/(posts#\d)\.id \1\.author_id \1\.title \1\.state \1\.likes \1\.day \1\.made \1\.tags/g, '$1.*')
    .replaceAll(/(users#\d)\.id \1\.full_name \1\.email \1\.active \1\.shout/g, '$1.*')

function shapeOfSelect(builder: object): QueryShape {
  const config = configOf(builder)
  const key = selectKey(config, naming)
  if (typeof key === 'string') throw new Error(`refused: ${key}`)
  return selectShape(config, shapeOf, key)
}

const shapes: Readonly<Record<string, string>> = {
  all: 'list | users#0[*] | from users#0 | users#0.* | learnable',
  'other table': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable',
  'in a schema':
    'list | shop.prices#0[amount id region] | from prices#0 | prices#0.id prices#0.amount prices#0.region | learnable',
  'of one name elsewhere':
    'list | elsewhere.users#0[full_name id] | from users#0 | users#0.id users#0.full_name | learnable',
  alias: 'list | users#0[*] | from users#0 | users#0.* | learnable',
  'other alias': 'list | users#0[*] | from users#0 | users#0.* | learnable',
  partial: 'list | users#0[id] | from users#0 | users#0.id | learnable',
  'partial, renamed': 'list | users#0[full_name id] | from users#0 | users#0.full_name users#0.id | learnable',
  'partial, other order': 'list | users#0[full_name id] | from users#0 | users#0.id users#0.full_name | learnable',
  'nested selection': 'list | users#0[email id] | from users#0 | users#0.id users#0.email | learnable',
  'table as field': 'list | users#0[*] | from users#0 | users#0.* | learnable',
  distinct: 'list | posts#0[author_id] | from posts#0 | posts#0.author_id | ',
  'distinct on': 'list | posts#0[*] | from posts#0 | posts#0.* | elsewhere posts#0',
  'distinct on two': 'list | posts#0[*] | from posts#0 | posts#0.* | elsewhere posts#0',
  limit: 'list | posts#0[*] | from posts#0 | posts#0.* | learnable',
  'limit 0': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable',
  'limit below 0': 'list | users#0[*] | from users#0 | users#0.* | learnable',
  offset: 'list | posts#0[*] | from posts#0 | posts#0.* | learnable',
  'limit and offset': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable',
  'limit by placeholder': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable',
  order: 'list | posts#0[*] | from posts#0 | posts#0.* | learnable, elsewhere posts#0',
  'order desc': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable, elsewhere posts#0',
  'order asc, desc': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable, elsewhere posts#0',
  'order by raw': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable, elsewhere posts#0',
  'where eq': 'list | posts#0[*] | from posts#0 where posts#0.id = $0 | posts#0.* | learnable, elsewhere posts#0',
  'where eq placeholder':
    'list | posts#0[*] | from posts#0 where posts#0.id = $0 | posts#0.* | learnable, elsewhere posts#0',
  'where raw param':
    'list | posts#0[*] | from posts#0 where posts#0.id = $0 | posts#0.* | learnable, elsewhere posts#0',
  'where ne': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where gt gte lt':
    'list | posts#0[*] | from posts#0 where (other and other and other) | posts#0.* | learnable, elsewhere posts#0',
  'where and':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 and posts#0.title = $1) | posts#0.* | learnable, elsewhere posts#0',
  'where or':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 or posts#0.title = $1) | posts#0.* | learnable, elsewhere posts#0',
  'where and of or':
    'list | posts#0[*] | from posts#0 where (posts#0.author_id = $0 and (posts#0.state = $1 or posts#0.state is null)) | posts#0.* | learnable, elsewhere posts#0',
  'where not': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where in':
    'list | posts#0[*] | from posts#0 where posts#0.id in ($0,$1,$2) | posts#0.* | learnable, elsewhere posts#0',
  'where in two':
    'list | posts#0[*] | from posts#0 where posts#0.id in ($0,$1) | posts#0.* | learnable, elsewhere posts#0',
  'where in many':
    'list | posts#0[*] | from posts#0 where posts#0.id in ($0,$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30,$31,$32,$33,$34,$35,$36,$37,$38,$39) | posts#0.* | learnable, elsewhere posts#0',
  'where in none': 'list | posts#0[*] | from posts#0 where never | posts#0.* | learnable',
  'where in placeholders':
    'list | posts#0[*] | from posts#0 where posts#0.id in ($0,$1) | posts#0.* | learnable, elsewhere posts#0',
  'where not in': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where not in none': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable',
  'where raw list':
    'list | posts#0[*] | from posts#0 where posts#0.id in ($0,$1) | posts#0.* | learnable, elsewhere posts#0',
  'where null':
    'list | posts#0[*] | from posts#0 where posts#0.title is null | posts#0.* | learnable, elsewhere posts#0',
  'where not null': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where between': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where not between': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where like': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where ilike': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where array': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where overlaps': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where two columns':
    'list | posts#0[*] | from posts#0 where posts#0.id = posts#0.author_id | posts#0.* | learnable, elsewhere posts#0',
  'where raw': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where raw beside': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where a call':
    'list | posts#0[all] | from posts#0 where (posts#0.author_id = $0 and other) | posts#0.* | elsewhere posts#0, raw',
  'where date': 'list | posts#0[*] | from posts#0 where posts#0.day = $0 | posts#0.* | learnable, elsewhere posts#0',
  'where Date': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where raw Date': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where null param': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where enum': 'list | posts#0[*] | from posts#0 where posts#0.state = $0 | posts#0.* | learnable, elsewhere posts#0',
  'where enum type': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where encoder':
    'list | users#0[*] | from users#0 where users#0.shout = $0 | users#0.* | learnable, elsewhere users#0',
  'where encoded placeholder':
    'list | users#0[*] | from users#0 where users#0.shout = $0 | users#0.* | learnable, elsewhere users#0',
  'where bare placeholder':
    'list | users#0[*] | from users#0 where users#0.shout = $0 | users#0.* | learnable, elsewhere users#0',
  'where nothing': 'list | posts#0[*] | from posts#0 | posts#0.* | learnable',
  'where column': 'list | users#0[*] | from users#0 where other | users#0.* | learnable, elsewhere users#0',
  'where callback': 'list | posts#0[all] | from posts#0 where other | posts#0.id - | elsewhere posts#0, raw',
  'where the same param twice':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 or posts#0.likes = $0) | posts#0.* | learnable, elsewhere posts#0',
  'where two equal params':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 or posts#0.likes = $1) | posts#0.* | learnable, elsewhere posts#0',
  'where one condition twice':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 or (posts#0.id = $0 and posts#0.title is null)) | posts#0.* | learnable, elsewhere posts#0',
  'where one condition made twice':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 or (posts#0.id = $1 and posts#0.title is null)) | posts#0.* | learnable, elsewhere posts#0',
  'where many, one twice':
    'list | posts#0[*] | from posts#0 where (posts#0.id in ($0,$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19) and posts#0.likes = $20 and other) | posts#0.* | learnable, elsewhere posts#0',
  'where a shared condition':
    'list | posts#0[*] | from posts#0 where posts#0.id = $0 | posts#0.* | learnable, elsewhere posts#0',
  group: 'aggregate | posts#0[author_id] | from posts#0 | posts#0.author_id - | elsewhere posts#0',
  'group, having': 'aggregate | posts#0[author_id id] | from posts#0 | posts#0.author_id - | elsewhere posts#0',
  aggregates: 'aggregate | posts#0[author_id id likes] | from posts#0 | - - - - - | elsewhere posts#0',
  'raw count': 'aggregate | posts#0[author_id] | from posts#0 where posts#0.author_id = $0 | - | elsewhere posts#0',
  expression: 'list | posts#0[all] | from posts#0 | - | elsewhere posts#0, raw',
  'aliased expression': 'list | posts#0[all] | from posts#0 | - | elsewhere posts#0, raw',
  'nested expression': 'list | posts#0[likes] | from posts#0 | - | elsewhere posts#0',
  'flat expression': 'list | posts#0[likes] | from posts#0 | - | elsewhere posts#0',
  'column as expression': 'list | posts#0[likes] | from posts#0 | posts#0.likes | learnable',
  window: 'list | posts#0[all] | from posts#0 | posts#0.id - | elsewhere posts#0, raw',
  identifier: 'list | posts#0[all] | from posts#0 | - | raw',
  'left join':
    'join | posts#0[*] users#1[*] | from posts#0 left users#1 on posts#0.author_id = users#1.id | posts#0.* users#1.* | learnable',
  'inner join':
    'join | posts#0[*] users#1[*] | from posts#0 inner users#1 on posts#0.author_id = users#1.id | posts#0.* users#1.* | learnable',
  'right join':
    'join | posts#0[*] users#1[*] | from posts#0 right users#1 on posts#0.author_id = users#1.id | posts#0.* users#1.* | learnable',
  'full join':
    'join | posts#0[*] users#1[*] | from posts#0 full users#1 on posts#0.author_id = users#1.id | posts#0.* users#1.* | learnable',
  'cross join': 'join | posts#0[*] users#1[*] | from posts#0 cross users#1 | posts#0.* users#1.* | learnable',
  'join where':
    'join | posts#0[*] users#1[*] | from posts#0 left users#1 on posts#0.author_id = users#1.id where posts#0.id = $0 | posts#0.* users#1.* | learnable, elsewhere posts#0',
  'join where partner':
    'join | posts#0[*] users#1[*] | from posts#0 left users#1 on posts#0.author_id = users#1.id where users#1.active = $0 | posts#0.* users#1.* | learnable, elsewhere users#1',
  'join order by partner':
    'join | posts#0[*] users#1[*] | from posts#0 left users#1 on posts#0.author_id = users#1.id | posts#0.* users#1.* | learnable, elsewhere users#1',
  'join on more':
    'join | posts#0[*] users#1[*] | from posts#0 left users#1 on (posts#0.author_id = users#1.id and users#1.active = $0) | posts#0.* users#1.* | learnable, elsewhere users#1',
  'three joins':
    'join | posts#0[author_id id state] users#1[full_name id] users#2[full_name id] comments#3[body post_id] | from posts#0 inner users#1 on users#1.id = posts#0.author_id left users#2 on users#2.id = users#1.id left comments#3 on comments#3.post_id = posts#0.id where (posts#0.author_id = $0 and posts#0.state = $1) | posts#0.id users#1.full_name users#2.full_name comments#3.body | learnable, elsewhere posts#0',
  'self join':
    'join | users#0[*] users#1[*] | from users#0 inner users#1 on users#0.id = users#1.id where users#1.id = $0 | users#0.* users#1.* | learnable, elsewhere users#1',
  'self join, other side':
    'join | users#0[*] users#1[*] | from users#0 inner users#1 on users#0.id = users#1.id where users#0.id = $0 | users#0.* users#1.* | learnable, elsewhere users#0',
  'join of schemas':
    'join | users#0[*] shop.prices#1[amount id region] | from users#0 inner prices#1 on prices#1.id = users#0.id where prices#1.region = $0 | users#0.* prices#1.id prices#1.amount prices#1.region | learnable, elsewhere prices#1',
  'join on raw':
    'join | posts#0[all] users#1[all] | from posts#0 left users#1 on other | posts#0.* users#1.* | elsewhere posts#0 users#1, raw',
  'join expression':
    'join | posts#0[all] users#1[all] | from posts#0 inner users#1 on posts#0.author_id = users#1.id | - | elsewhere posts#0 users#1, raw',
  derived:
    'list | posts#0[author_id id] | from (from posts#0 where posts#0.author_id = $0) where other | - - | learnable, elsewhere posts#0',
  'derived, other name':
    'list | posts#0[author_id id] | from (from posts#0 where posts#0.author_id = $0) where other | - - | learnable, elsewhere posts#0',
  'derived, joined':
    'join | users#0[full_name id] posts#1[author_id id] | from users#0 left (from posts#1) on other where users#0.id = $0 | users#0.full_name - | learnable, elsewhere users#0 posts#1',
  'derived with expression':
    'join | users#0[full_name id] posts#1[author_id] | from users#0 left (from posts#1) on other | users#0.full_name - | elsewhere posts#1',
  lateral:
    'join | users#0[*] posts#1[*] | from users#0 left (from posts#1 where posts#1.author_id = users#0.id) on other where users#0.id = $1 | users#0.* - - - - - - - - | learnable, elsewhere users#0 posts#1',
  'cross lateral':
    'join | users#0[*] posts#1[*] | from users#0 cross (from posts#1 where posts#1.author_id = users#0.id) | users#0.* - - - - - - - - | learnable, elsewhere users#0 posts#1',
  cte: 'join | posts#0[author_id id] | from ? where other {from posts#0 where posts#0.author_id = $0} | - - | elsewhere posts#0',
  'cte, joined':
    'join | posts#0[author_id id] users#1[full_name id] | from users#1 inner ? on other where users#1.id = $0 {from posts#0} | users#1.full_name - | elsewhere posts#0 users#1',
  'two ctes': 'join | posts#0[author_id id] | from ? {from posts#0} {from ?} | - | elsewhere posts#0',
  'cte called as a table': 'join | posts#0[*] | from ? {from posts#0 where posts#0.id = $0} | - | elsewhere posts#0',
  'cte never listed': 'list |  | from ? | - - | raw',
  'raw cte': 'join |  | from ? on other where other {from ? on other where other} | - | raw',
  exists:
    'join | users#0[*] posts#1[*] | from users#0 where other {from posts#1 where posts#1.author_id = users#0.id} | users#0.* | learnable, elsewhere users#0 posts#1',
  'exists and eq':
    'join | users#0[*] posts#1[author_id id state] | from users#0 where (users#0.id = $0 and other) {from posts#1 where (posts#1.author_id = users#0.id and posts#1.state = $1)} | users#0.* | learnable, elsewhere users#0 posts#1',
  'not exists':
    'join | users#0[*] posts#1[*] | from users#0 where other {from posts#1 where posts#1.author_id = users#0.id} | users#0.* | learnable, elsewhere users#0 posts#1',
  'in a select':
    'join | users#0[*] posts#1[author_id state] | from users#0 where other {from posts#1 where posts#1.state = $0} | users#0.* | learnable, elsewhere users#0 posts#1',
  'standalone builder':
    'join | users#0[*] posts#1[author_id] | from users#0 where other {from posts#1} | users#0.* | learnable, elsewhere users#0 posts#1',
  'standalone derived':
    'list | posts#0[all] | from (from ? on other where other {from posts#0 on other where other}) on other where other | - | raw',
  'scalar select':
    'join | users#0[id] posts#1[author_id] | from users#0 {from posts#1 where posts#1.author_id = users#0.id} | users#0.id - | elsewhere users#0 posts#1',
  'scalar select by as':
    'join | users#0[id] posts#1[id] | from users#0 {from posts#1} | users#0.id - | elsewhere posts#1',
  'order by a select':
    'join | users#0[*] posts#1[author_id] | from users#0 {from posts#1 where posts#1.author_id = users#0.id} | users#0.* | learnable, elsewhere users#0 posts#1',
  'embedded count':
    'aggregate | users#0[id] posts#1[author_id] | from users#0 {from posts#1 where posts#1.author_id = users#0.id} | users#0.id - | elsewhere users#0 posts#1',
  'embedded count of all':
    'aggregate | users#0[id] posts#1[] | from users#0 where users#0.id = $0 {from posts#1} | users#0.id - | elsewhere users#0',
  union:
    'set operation | users#0[id] posts#1[id] | from users#0 {from posts#1 where posts#1.id = $0} | users#0.id | elsewhere posts#1',
  'union all':
    'set operation | users#0[id] posts#1[id] | from users#0 {from posts#1 where posts#1.id = $0} | users#0.id | elsewhere posts#1',
  'union function':
    'set operation | users#0[id] posts#1[id] shop.prices#2[id] | from users#0 {from posts#1} {from prices#2} | users#0.id | elsewhere posts#1 prices#2',
  'union, order, limit':
    'set operation | users#0[id] posts#1[id] | from users#0 where users#0.id = $0 {from posts#1} | users#0.id | elsewhere users#0 posts#1',
  'union, order by column':
    'set operation | users#0[id] posts#1[id] | from users#0 {from posts#1} | users#0.id | elsewhere posts#1',
  intersect:
    'set operation | users#0[id] posts#1[author_id] | from users#0 {from posts#1} | users#0.id | elsewhere posts#1',
  'except then union':
    'set operation | users#0[id] posts#1[author_id] shop.prices#2[id] | from users#0 {from posts#1} {from prices#2} | users#0.id | elsewhere posts#1 prices#2',
  'derived union':
    'list | users#0[id] posts#1[id] | from (from users#0 {from posts#1}) where other | - | learnable, elsewhere users#0 posts#1',
  view: 'list | post_stats#0[all] | from post_stats#0 where other | - - | learnable, elsewhere post_stats#0',
  'view, joined':
    'join | users#0[*] post_stats#1[all] | from users#0 left post_stats#1 on other where users#0.id = $0 | users#0.* - - | learnable, elsewhere users#0',
  'materialised view': 'list | heavy#0[all] | from heavy#0 | - | learnable',
  'raw source': 'list |  | from ? | - | raw',
  'raw source of a table': 'join | posts#0[all] | from ? {from posts#0 where other} | - | raw',
  'raw select in where':
    'join | users#0[all] posts#1[all] | from users#0 where other {from posts#1 where other} | users#0.* | elsewhere users#0, raw',
  'whole row': 'list | users#0[all] | from users#0 | - | elsewhere users#0, raw',
  unbalanced: 'list | posts#0[all] | from posts#0 on other where other | posts#0.* | elsewhere posts#0, raw',
  'unbalanced in the list': 'list | posts#0[all] | from posts#0 on other where other | - | elsewhere posts#0, raw',
  'union in the list':
    'join | posts#0[all] users#1[all] | from posts#0 on other where other {from users#1 on other where other} | - | elsewhere posts#0, raw',
  quotes: 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'open quote': 'list | posts#0[all] | from posts#0 on other where other | posts#0.* | elsewhere posts#0, raw',
  'where and of one':
    'list | posts#0[*] | from posts#0 where posts#0.id = $0 | posts#0.* | learnable, elsewhere posts#0',
  'where a value first':
    'list | posts#0[*] | from posts#0 where posts#0.id = $0 | posts#0.* | learnable, elsewhere posts#0',
  'where not of a group':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 and other) | posts#0.* | learnable, elsewhere posts#0',
  'where not of raw': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where loose or in and': 'list | posts#0[*] | from posts#0 where other | posts#0.* | learnable, elsewhere posts#0',
  'where loose and in or':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 or (posts#0.id = $1 and posts#0.likes = $2)) | posts#0.* | learnable, elsewhere posts#0',
  'where loose or alone':
    'list | posts#0[*] | from posts#0 where (posts#0.id = $0 or posts#0.id = $1) | posts#0.* | learnable, elsewhere posts#0',
  'where loose or in parentheses':
    'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where raw in parentheses':
    'list | posts#0[all] | from posts#0 where (posts#0.author_id = $0 and other) | posts#0.* | elsewhere posts#0, raw',
  'where eq of raw': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where eq of calls':
    'list | posts#0[all] | from posts#0 where (posts#0.author_id = $0 and other) | posts#0.* | elsewhere posts#0, raw',
  'where two calls': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where distinct from': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where extract':
    'list | posts#0[all] | from posts#0 where (posts#0.author_id = $0 and other) | posts#0.* | elsewhere posts#0, raw',
  'where eq of a select':
    'join | posts#0[*] users#1[id] | from posts#0 where other {from users#1} | posts#0.* | learnable, elsewhere posts#0 users#1',
  'where in of raw': 'list | posts#0[all] | from posts#0 where other | posts#0.* | elsewhere posts#0, raw',
  'where a comment of two':
    'list | posts#0[all] | from posts#0 on other where other | posts#0.* | elsewhere posts#0, raw',
  'join on a comment':
    'join | posts#0[all] users#1[all] | from posts#0 on other left users#1 on other where other | posts#0.id | elsewhere posts#0, raw',
  'join on stolen where':
    'join | posts#0[all] users#1[all] | from posts#0 on other left users#1 on other where other | posts#0.id | elsewhere posts#0, raw',
  'join of one name in two schemas':
    'join | users#0[id] elsewhere.users#1[id] | from users#0 inner users#1 on users#0.id = users#1.id where users#1.id = $0 | users#0.id users#1.id | learnable, elsewhere users#1',
  'alias of another table': 'list | posts#0[all] | from posts#0 where other | - | raw',
  'a column of no source':
    'list | posts#0[all] | from posts#0 where (posts#0.id = $0 and other) | posts#0.* | elsewhere posts#0, raw',
  'outer column without its table':
    'join | users#0[all] posts#1[all] | from users#0 where other {from posts#1} | users#0.* | elsewhere users#0, raw',
  'inner hides outer':
    'join | users#0[*] users#1[id] | from users#0 where other {from users#1 where users#1.id = $0} | users#0.* | learnable, elsewhere users#1',
  'derived beside':
    'join | users#0[all] posts#1[all] | from users#0 inner (from posts#1 where other) on other | users#0.id | elsewhere posts#1, raw',
  'a name that a table has too':
    'join | users#0[id] posts#1[author_id likes] comments#2[id post_id] posts#3[id likes] | from users#0 inner (from posts#1) on other where other {from comments#2 inner posts#3 on posts#3.id = comments#2.post_id where other} | users#0.id | learnable, elsewhere posts#1 comments#2 posts#3',
  'union of joins':
    'set operation | users#0[id] posts#1[author_id] posts#2[id] | from users#0 inner posts#1 on posts#1.author_id = users#0.id {from posts#2} | users#0.id | elsewhere posts#2',
  'cte beside a union':
    'set operation | posts#0[author_id id] users#1[id] | from ? {from posts#0} {from users#1} | - | elsewhere posts#0 users#1',
  'cte in a derived table':
    'list | posts#0[author_id id] | from (from ? {from posts#0}) | - | learnable, elsewhere posts#0',
  'cte used inside':
    'join | posts#0[author_id id] users#1[id] | from users#1 where other {from posts#0} {from ? where other} | users#1.id | learnable, elsewhere posts#0 users#1',
  'having a select':
    'aggregate | posts#0[author_id] users#1[id] | from posts#0 {from users#1 where users#1.id = posts#0.author_id} | posts#0.author_id | elsewhere posts#0 users#1',
  'count in order':
    'aggregate | users#0[id] posts#1[author_id state] | from users#0 {from posts#1 where (posts#1.author_id = users#0.id and posts#1.state = $0)} | users#0.id | learnable, elsewhere users#0 posts#1',
  'count of an alias inside': 'aggregate | posts#0[all] | from posts#0 {from ?} | posts#0.id - | raw',
  'lateral of a lateral':
    'join | users#0[id] posts#1[author_id id] comments#2[id post_id user_id] | from users#0 inner (from posts#1 where posts#1.author_id = users#0.id) on other left (from comments#2 where (comments#2.user_id = users#0.id and other)) on other where users#0.id = $0 | users#0.id - | learnable, elsewhere users#0 posts#1 comments#2',
}

describe('the shape of a select', () => {
  it.each(cases.map((each) => [each.name, each] as const))('%s', (name, { make }) => {
    expect(brief(shapeOfSelect(make()))).toBe(shapes[name])
  })

  it('is the same after Drizzle has built the statement', () => {
    for (const { name, make } of cases) {
      const builder = make()
      compile(builder)
      expect([name, brief(shapeOfSelect(builder))]).toEqual([name, shapes[name]])
    }
  })
})

// 0.44 has no sub-queries as fields.
it.runIf(npmVersion.startsWith('0.45.'))('a sub-query as a field is a query inside', () => {
  const most = db
    .select({ n: sql`${max(posts.likes)}`.as('n') })
    .from(posts)
    .where(eq(posts.authorId, users.id))
    .as('most')
  const builder = db
    .select({ id: users.id, most: most as never })
    .from(users)
    .where(eq(users.id, 1))
  expect(brief(shapeOfSelect(builder))).toBe(
    'join | users#0[id] posts#1[author_id likes] | from users#0 where users#0.id = $0 {from posts#1 where posts#1.author_id = users#0.id} | users#0.id - | elsewhere users#0 posts#1',
  )
  expect((selectKey(configOf(builder), naming) as StructuralKey).values({})).toEqual(compile(builder).params)
})

describe('the shape of $count', () => {
  const counts: [string, () => PromiseLike<number>, string][] = [
    ['all', () => db.$count(users), 'aggregate | users#0[] | from users#0 |  | '],
    [
      'filtered',
      () => db.$count(posts, and(eq(posts.authorId, 1), eq(posts.state, 'new'))),
      'aggregate | posts#0[author_id state] | from posts#0 where (posts#0.author_id = $0 and posts#0.state = $1) |  | elsewhere posts#0',
    ],
    ['of an alias', () => db.$count(u), 'aggregate |  | from ? |  | raw'],
    ['of a view', () => db.$count(stats as never), 'aggregate | post_stats#0[all] | from post_stats#0 |  | '],
    [
      'of a select',
      () => db.$count(db.select().from(posts).where(eq(posts.id, 4)).as('c') as never),
      'aggregate | posts#0[*] | from (from posts#0 where posts#0.id = $0) |  | elsewhere posts#0',
    ],
  ]
  it.each(counts)('%s', (_, make, told) => {
    const question = countQueryOf((make() as unknown as { sql: SQL }).sql)
    if (!question) throw new Error('no count')
    const key = countKey(question, naming) as StructuralKey
    expect(brief(countShape(question, shapeOf, key))).toBe(told)
  })
})

describe('raw text', () => {
  const fine = [
    'a > 1',
    '(a or b)',
    "x = 'it''s ('",
    '"od(d" = 1',
    'extract(year from x)',
    'a is distinct from b',
    'a - 1',
  ]
  const breaking = [
    'a) or (b',
    '(',
    "'",
    '"',
    '--',
    '/* */',
    'a; b',
    '$$',
    '$x$',
    "E'\\''",
    'union',
    'true where b',
    'x JOIN y',
  ]
  it.each(fine)('%s stays in its place', (text) => expect(rawTextBreaks(sql.raw(text).queryChunks)).toBe(false))
  it.each(breaking)('%s may not', (text) => expect(rawTextBreaks(sql.raw(text).queryChunks)).toBe(true))

  it('is read as it is rendered, over the borders of its parts', () => {
    expect(rawTextBreaks(sql`${posts.id} -${sql`-1`}`.queryChunks)).toBe(true)
    expect(rawTextBreaks(sql`${sql.raw('uni')}${sql.raw('on')}`.queryChunks)).toBe(true)
    expect(rawTextBreaks(sql`${posts.id}-${1}`.queryChunks)).toBe(false)
    expect(rawTextBreaks(sql`'${posts.id}'`.queryChunks)).toBe(true)
  })

  const calls: [boolean, SQL][] = [
    [true, sql`lower(${posts.title})`],
    [true, sql` coalesce(${posts.title}, (${users.name}), ')') `],
    [false, sql`lower(${posts.title}) or abs(1)`],
    [false, sql`${posts.title}`],
    [false, sql`(lower(${posts.title}))`],
    [false, sql`lower(`],
  ]
  it.each(calls)('is one call: %s (%#)', (expected, text) => expect(isCall(text.queryChunks)).toBe(expected))
})
