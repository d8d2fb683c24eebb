/** Other spellings of built-in types, as `format_type` writes them. */
const spellings: Readonly<Record<string, string>> = {
  int: 'integer',
  int4: 'integer',
  serial: 'integer',
  int8: 'bigint',
  bigserial: 'bigint',
  int2: 'smallint',
  smallserial: 'smallint',
  bool: 'boolean',
  float4: 'real',
  float8: 'double precision',
  decimal: 'numeric',
  varchar: 'character varying',
  char: 'character',
  bpchar: 'character',
  varbit: 'bit varying',
  timestamptz: 'timestamp with time zone',
  timetz: 'time with time zone',
}

/** Name, arguments, time zone, array: `timestamp (3) with time zone[]`. */
const parts = /^(.*?)\s*(?:\(([^)]*)\))?\s*(with time zone|without time zone)?\s*((?:\[\d*\])*)$/

/**
 * Whether a type as a program declares it is the one that the catalog tells. Schemas in front of a name, quotes and the
 * number of array dimensions (which PostgreSQL does not keep) make no difference.
 *
 * @example
 * isSameType('varchar(20)', 'character varying(20)') // true
 */
export const isSameType = (declared: string, found: string): boolean => canonical(declared) === canonical(found)

function canonical(type: string): string {
  const [, written = '', args, zone, array] = parts.exec(type.trim().toLowerCase()) ?? []
  const bare = written.replace(/^.*\./, '').replaceAll('"', '')
  const known = spellings[bare] ?? bare
  const [name = '', inner] = known.split(/ (?=with time zone$)/)
  const timed = name === 'timestamp' || name === 'time'
  const told = zone ?? inner ?? (timed ? 'without time zone' : '')
  return [name, argsOf(name, args), told, array ? '[]' : ''].join(' ')
}

/** What PostgreSQL puts where nothing is said. */
function argsOf(name: string, args: string | undefined): string {
  if (args === undefined) return name === 'character' || name === 'bit' ? '1' : ''
  const plain = args.replaceAll(' ', '')
  return name === 'numeric' && !plain.includes(',') ? `${plain},0` : plain
}
