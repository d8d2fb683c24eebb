import { Client } from 'pg'
import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { freshDatabase, privateRedis } from '../harness/databases.ts'
import { runExample } from './run-example.ts'

const queryClasses = ['rows by key', 'lists of keys', 'regional prices', 'category lists', 'front pages', 'cart totals']

const small = ['main.ts', '--seconds', '2', '--products', '300']

/** The numbers of one contender's line: hit rate, SQL per 1,000, per second, ratio, stale reads. */
function lineOf(output: string, name: string): number[] {
  const line = output.split('\n').find((each) => each.trimStart().startsWith(name) && each.includes(' x '))
  if (!line) throw new Error(`no line of ${name} in:\n${output}`)
  const cells = line.slice(line.indexOf(name) + name.length).match(/[\d.,]+/g) ?? []
  return cells.map((cell) => Number(cell.replaceAll(',', '')))
}

function expectGoodDay({ code, output }: Awaited<ReturnType<typeof runExample>>): void {
  expect(code, output).toBe(0)
  const [hitRate, statements] = lineOf(output, 'drizzle-aside') as [number, number]
  const [plainStatements] = lineOf(output, 'plain Drizzle') as [number]
  expect(hitRate).toBeGreaterThan(50)
  expect(statements).toBeLessThan(plainStatements / 2)
  expect(lineOf(output, 'drizzle-aside').at(-1)).toBe(0)
  expect(lineOf(output, 'plain Drizzle').at(-1)).toBe(0)
  expect(output).toContain("drizzle-aside: all equal to the database's")
  expect(output).toMatch(/read from \S*products by primary key \(id\): hit/)
  expect(output).toMatch(/join from \S*products: hit/)
  for (const queryClass of queryClasses) expectGoodClass(output, queryClass)
}

/** Each class is served from the cache, is never stale, and was compared with the database in the end. */
function expectGoodClass(output: string, queryClass: string): void {
  const [plainLine, , oursLine] = linesFrom(output, new RegExp(`^ *${queryClass} +plain Drizzle`), 3)
  const numbers = (line = ''): number[] =>
    (line.match(/[\d.,]+/g) ?? []).map((cell) => Number(cell.replaceAll(',', '')))
  expect(numbers(plainLine).at(-1), queryClass).toBe(0)
  const [hitRate, statements, , stale] = numbers(oursLine) as [number, number, number, number]
  expect(hitRate, queryClass).toBeGreaterThan(0)
  expect(statements, queryClass).toBeLessThan(1000)
  expect(stale, queryClass).toBe(0)
  const [checked] = linesFrom(output, new RegExp(`^ *${queryClass} +[\\d,]+ of`), 1)
  const [, , , fromCache, asked, different] = numbers(checked) as [number, number, number, number, number, number]
  expect(asked, queryClass).toBeGreaterThan(0)
  expect(fromCache, queryClass).toBeGreaterThan(0)
  expect(different, queryClass).toBe(0)
}

function linesFrom(output: string, first: RegExp, count: number): string[] {
  const lines = output.split('\n')
  const from = lines.findIndex((line) => first.test(line))
  if (from < 0) throw new Error(`no line like ${first} in:\n${output}`)
  return lines.slice(from, from + count)
}

describe('the demo', () => {
  it('ends with 0 on PGlite and memory: more hits than misses, no stale read, in every class of query', async () => {
    expectGoodDay(await runExample('shop', ...small))
  }, 180_000)

  it('does the same on servers, and leaves nothing behind', async () => {
    const database = await freshDatabase(15)
    const server = await privateRedis()
    try {
      expectGoodDay(await runExample('shop', ...small, '--database', database.url, '--redis', server.url))
      expect(await schemasIn(database.url)).toEqual([])
      expect(await keysIn(server.url)).toEqual([])
    } finally {
      await server.stop()
      await database.drop()
    }
  }, 180_000)

  it('says which options it has when one is wrong', async () => {
    const { code, output } = await runExample('shop', 'main.ts', '--second', '3')
    expect(code).toBe(2)
    expect(output).toContain('--seconds N')
  })
})

async function schemasIn(url: string): Promise<string[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(`select nspname from pg_namespace where nspname like 'aside%'`)
  await client.end()
  return rows.map(({ nspname }) => nspname)
}

async function keysIn(url: string): Promise<string[]> {
  const client = createClient({ url })
  await client.connect()
  const keys = await client.keys('*')
  await client.close()
  return keys
}
