import { chunksOf, type SQL, textOf } from './internals.ts'
import { originOf } from './lazy-sql.ts'

/** What `db.$count(source, filters)` counts. */
export interface CountQuery {
  readonly source: unknown
  readonly filters: unknown
}

/** Reads the statement that `$count` hands to the session when it is awaited; undefined for any other SQL. */
export function countQueryOf(sql: SQL): CountQuery | undefined {
  const chunks = originOf(sql) ? undefined : chunksOf(sql)
  return chunks && readCount(chunks, 'select count(*) as count from ', ';')
}

/** The same for `$count` inside another query, where it is a sub-query in parentheses. */
export function embeddedCountOf(chunks: readonly unknown[]): CountQuery | undefined {
  return readCount(chunks, '(select count(*) from ', ')')
}

/** `[before, source, '', where?, '', filters?, after]`, as `PgCountBuilder` makes it. */
function readCount(chunks: readonly unknown[], before: string, after: string): CountQuery | undefined {
  if (chunks.length !== 7 || textOf(chunks[0]) !== before || textOf(chunks[6]) !== after) return undefined
  if (textOf(chunks[2]) !== '' || textOf(chunks[4]) !== '') return undefined
  const [, source, , where, , filters] = chunks
  if (!filters) return where === undefined && filters === undefined ? { source, filters } : undefined
  const words = chunksOf(where)
  return words?.length === 1 && textOf(words[0]) === ' where ' ? { source, filters } : undefined
}
