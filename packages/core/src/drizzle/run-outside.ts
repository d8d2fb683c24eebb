import { encodeRow } from '../model/row-codec.ts'
import { type ClientState, mayBeInTransaction } from './client-state.ts'
import type { Session } from './internals.ts'

/** Runs one statement on the db's own client, outside any transaction; rows as arrays of driver values. */
export function outsideRunner(session: Session): (sql: string) => Promise<readonly (readonly unknown[])[]> {
  return async (sql) => {
    const prepared = session.prepareQuery({ sql, params: [] }, undefined, undefined, true, (rows) => rows)
    return (await prepared.execute()) as unknown[][]
  }
}

/**
 * The same with parameters, for what may as well be asked later: undefined where the one connection may be in somebody's
 * transaction, which our statement would become a part of.
 */
export function carefulRunner(session: Session, client: ClientState) {
  return (sql: string, params: readonly string[]): Promise<readonly (readonly unknown[])[]> | undefined => {
    if (mayBeInTransaction(client)) return undefined
    const query = { sql, params: [...params] }
    const prepared = session.prepareQuery(query, undefined, undefined, true, (rows) => rows)
    return prepared.execute() as Promise<unknown[][]>
  }
}

/** Values of the types whose parsers drivers differ in, or users replace. */
const samples = `select 7::int2, 7::int4, 7::int8, 9007199254740993::int8, 7::oid, 1.50::numeric, 'NaN'::float8, 1.5::float4,
 true, 'a b'::text, 'ab'::varchar, 'ab'::bpchar, 'n'::name, '\\x00ff'::bytea, '2024-02-29'::date, '12:34:56.789'::time, '12:34:56+02'::timetz,
 '2024-02-29 12:34:56.789'::timestamp, '2024-02-29 12:34:56.789+02'::timestamptz, '1 day 02:03:04'::interval,
 '{"a": [1, null]}'::json, '{"a": [1, null]}'::jsonb, '0a0b0c0d-0000-4000-8000-000000000001'::uuid, '(1,2)'::point, '127.0.0.1'::inet,
 '{1,2}'::int4[], '{1,2}'::int8[], '{1.5}'::numeric[], '{a,NULL}'::text[], '{t,f}'::bool[], '{2024-02-29}'::date[],
 '{"2024-02-29 12:34:56"}'::timestamp[], '{"2024-02-29 12:34:56+00"}'::timestamptz[], '{"1 day"}'::interval[], '12.50'::money`

export interface ParserSamples {
  readonly text: string
  /** False when a parser or a driver's option rewrites texts: hidden images, which travel as text, cannot be trusted. */
  readonly textIsExact: boolean
}

/** Where `'a b'::text` stands among the samples. */
const TEXT_SAMPLE = 9

/**
 * What the driver makes of sample values, as a text: part of every entry's key, so that processes whose type parsers
 * differ never read each other's payloads. Found by running them, for drivers offer no list of what users have replaced.
 */
export async function sampleParsers(run: ReturnType<typeof outsideRunner>): Promise<ParserSamples> {
  const rows = await run(samples)
  const values = rows[0] ?? []
  const text = values
    .map((value) => encodeRow([value]) ?? `unencodable ${Object.prototype.toString.call(value)} ${String(value)}`)
    .join('\n')
  return { text, textIsExact: values[TEXT_SAMPLE] === 'a b' }
}
