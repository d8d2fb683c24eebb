/** Errors and statements as events may show them. */
import { describe, expect, it } from 'vitest'
import { AsideError } from '../../src/errors.ts'
import { settingNamed, toldError } from '../../src/model/told-error.ts'

const MARK = 'MARK'

/** Everything that can be found on an error, shown or hidden. */
const allOf = (error: unknown): string =>
  typeof error === 'object' && error !== null
    ? Object.getOwnPropertyNames(error)
        .map((name) => `${name}=${allOf((error as Record<string, unknown>)[name])}`)
        .join('\n')
    : String(error)

const replyError = Object.assign(new Error(`ERR unknown command 'UNLINK', with args beginning with: '${MARK}' `), {
  name: 'ReplyError',
  command: { name: 'unlink', args: [MARK] },
})
const driverError = Object.assign(new Error(`invalid input syntax for type integer: "${MARK}"`), {
  code: '22P02',
  detail: MARK,
})
const queryError = (cause: unknown) =>
  Object.assign(new Error(`Failed query: select $1\nparams: ${MARK}`, { cause }), {
    query: 'select $1',
    params: [MARK],
  })

describe('an error in an event', () => {
  it.each([
    ['of a Redis client, with its command', replyError, 'store'],
    ['of Drizzle, with query and parameters', queryError(driverError), 'query'],
    ['of the database, with the value', driverError, 'query'],
    ['of a mapping', new RangeError(`bad ${MARK}`, { cause: new Error(MARK) }), 'query'],
    ['that is a text', MARK, 'query'],
  ] as const)('%s: shows none of it', (_, error, about) => {
    expect(allOf(toldError(error, about))).not.toContain(MARK)
  })

  it('keeps name, code, place and the words about a connection', () => {
    const lost = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' })
    const told = toldError(queryError(lost), 'query') as Error
    expect(told).toMatchObject({ message: lost.message, code: 'ECONNREFUSED' })
    expect(told.stack?.split('\n').slice(1)).toEqual(lost.stack?.split('\n').slice(1))
    expect(toldError(new Error('Connection terminated unexpectedly'), 'query')).toMatchObject({
      message: 'Connection terminated unexpectedly',
    })
    expect(toldError(replyError, 'store')).toMatchObject({
      name: 'ReplyError',
      message: `ERR unknown command 'UNLINK'`,
    })
    const ours = new AsideError('ASIDE_CLOSED', 'closed')
    expect(toldError(ours, 'query')).toBe(ours)
  })

  it('ends where its causes go round in a circle', () => {
    const round: Error & { cause?: unknown } = new Error('one')
    round.cause = round
    expect(toldError(round, 'store')).toMatchObject({ message: 'one' })
  })
})

it.each([
  [`set app.user = '${MARK}'`, 'SET app.user'],
  [`  SET SESSION app.user TO ${MARK}`, 'SET app.user'],
  [`reset role`, 'RESET role'],
  [`select set_config('app.user', '${MARK}', false)`, 'set_config app.user'],
  [`select set_config($1, $2, false)`, 'SELECT'],
  [`/* ${MARK} */ set x = 1`, 'a statement'],
])('%s is told as %s', (statement, told) => {
  expect(settingNamed(statement)).toBe(told)
})
