import { describe, expect, it } from 'vitest'
import { isDefiniteFailure, sqlState } from '../../src/write/classify-failure.ts'

const error = (fields: Record<string, unknown>): Error =>
  Object.assign(new Error(String(fields.message ?? 'x')), fields)
/** As Drizzle wraps it, and wrapped once more. */
const wrapped = (cause: unknown): Error => new Error('Failed query', { cause })

const definite = [
  ...[
    '23505',
    '23503',
    '23502',
    '23514',
    '23P01',
    '22P02',
    '22003',
    '22001',
    '42501',
    '42P01',
    '42703',
    '42601',
    '40001',
    '40P01',
  ],
  ...[
    '55P03',
    '57014',
    '25006',
    '25P02',
    '0A000',
    'P0001',
    'P0002',
    '53100',
    '53200',
    '53300',
    '54000',
    'XX000',
    'XX001',
    '3D000',
    '28P01',
    '40002',
    '21000',
    '2201E',
  ],
]
const unknown = [
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '08007',
  '08P01',
  '57P01',
  '57P02',
  '57P04',
  '57P05',
  '40003',
]

describe('did a failed statement surely leave the database as it was?', () => {
  it.each(definite)('%s: yes, however deep it is wrapped', (code) => {
    for (const each of [error({ code }), wrapped(error({ code })), wrapped(wrapped(error({ code })))]) {
      expect(isDefiniteFailure(each)).toBe(true)
      expect(sqlState(each)).toBe(code)
    }
  })

  it.each(unknown)('%s: not known', (code) => {
    for (const each of [error({ code }), wrapped(error({ code }))]) expect(isDefiniteFailure(each)).toBe(false)
  })

  const sent = [
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETDOWN',
    'EBADF',
    'CONNECTION_CLOSED',
    'CONNECTION_DESTROYED',
  ]
  it.each(sent)('%s: not known', (code) => {
    expect(isDefiniteFailure(wrapped(error({ code })))).toBe(false)
    expect(sqlState(error({ code }))).toBeUndefined()
  })

  const messages = ['Connection terminated unexpectedly', 'Query read timeout', 'read ECONNRESET', '']
  it.each(messages)('only a message, "%s": not known', (message) => {
    expect(isDefiniteFailure(wrapped(error({ message })))).toBe(false)
  })

  const never = [
    { code: 'ECONNREFUSED' },
    { code: 'ENOTFOUND' },
    { code: 'ETIMEDOUT', syscall: 'connect' },
    { code: 'CONNECT_TIMEOUT' },
    { code: 'CONNECTION_ENDED' },
    { code: 'UNDEFINED_VALUE' },
    { message: 'No value for placeholder "id" was provided' },
    { message: 'timeout exceeded when trying to connect' },
    { message: 'Cannot use a pool after calling end on the pool' },
  ]
  it.each(never)('%o: it was never sent', (fields) => {
    expect(isDefiniteFailure(error(fields))).toBe(true)
    expect(isDefiniteFailure(wrapped(error(fields)))).toBe(true)
  })

  it.each([
    undefined,
    null,
    'a text',
    5,
    {},
    [],
    Symbol('x'),
    error({ code: 23505 }),
    error({ code: '2350' }),
    error({ code: '235050' }),
    error({ code: 'abcde' }),
  ])('what is no error of a database: not known (%#)', (thrown) => expect(isDefiniteFailure(thrown)).toBe(false))

  it('a circle of causes ends', () => {
    const one = error({})
    const two = wrapped(one)
    Object.assign(one, { cause: two })
    expect(isDefiniteFailure(one)).toBe(false)
    expect(sqlState(two)).toBeUndefined()
  })
})
