import { describe, expect, test } from 'vitest'
import { isOutage } from '../../src/model/outage.ts'

const told = (fields: object, message = 'as the driver says it') => Object.assign(new Error(message), fields)
const byDrizzle = (cause: unknown) => new Error('Failed query: select 1', { cause })

describe('73: what may be answered with what was known before', () => {
  test.each([
    ['a server that is not there', told({ code: 'ECONNREFUSED', syscall: 'connect' })],
    ['a socket file that is not there', told({ code: 'ENOENT', syscall: 'connect' })],
    ['a name that nobody resolves', told({ code: 'EAI_AGAIN', syscall: 'getaddrinfo' })],
    ['a connection that was reset', told({ code: 'ECONNRESET', syscall: 'read' })],
    ['a connection that broke, in node-postgres', told({}, 'Connection terminated unexpectedly')],
    ['a connection that broke, in postgres.js', told({ code: 'CONNECTION_CLOSED' })],
    ['connecting that takes too long, in postgres.js', told({ code: 'CONNECT_TIMEOUT' })],
    ['connecting that takes too long, in a pool', told({}, 'timeout exceeded when trying to connect')],
    ['the same, late in connecting', told({}, 'Connection terminated due to connection timeout')],
    ['connecting that takes too long, in a client', told({}, 'timeout expired')],
    ['a client whose connection broke', told({}, 'Client has encountered a connection error and is not queryable')],
    ['08006: a connection failure', told({ code: '08006' })],
    ['08P01 of a pooler', told({ code: '08P01', severity: 'FATAL' })],
    ['57P01: a server that is shut down', told({ code: '57P01' })],
    ['57P02: a server that crashed', told({ code: '57P02' })],
    ['57P03: a server that is starting', told({ code: '57P03' })],
    ['57P05: a session that was ended for idleness', told({ code: '57P05' })],
    ['53300: no connection is left', told({ code: '53300' })],
  ])('%s', (_, error) => {
    expect(isOutage(error)).toBe(true)
    expect(isOutage(byDrizzle(error))).toBe(true)
  })
})

describe('73: what is an answer of the database, or the program’s own doing', () => {
  test.each([
    ['42601: a syntax error', told({ code: '42601' })],
    ['42501: a privilege that was taken away', told({ code: '42501' })],
    ['42P01: a table that is gone', told({ code: '42P01' })],
    ['28P01: a password that does not count any more', told({ code: '28P01' })],
    ['3D000: no such database', told({ code: '3D000' })],
    ['57P04: a database that was dropped', told({ code: '57P04' })],
    ['57014: a statement that took too long, or was cancelled', told({ code: '57014' })],
    ['55P03: a lock that took too long', told({ code: '55P03' })],
    ['40001: a conflict', told({ code: '40001' })],
    ['40P01: a deadlock', told({ code: '40P01' })],
    ['53200: no memory for this one', told({ code: '53200' })],
    ['22P02: a value that is none', told({ code: '22P02' })],
    ['08P01 of the server: a parameter is missing', told({ code: '08P01', severity: 'ERROR' })],
    ['a query that the client lost patience with', told({}, 'Query read timeout')],
    ['a client that was ended', told({}, 'Connection terminated')],
    ['a client that was ended before', told({}, 'Client was closed and is not queryable')],
    ['a pool that was ended', told({}, 'Cannot use a pool after calling end on the pool')],
    ['postgres.js that was ended', told({ code: 'CONNECTION_ENDED' })],
    ['a file that is not there', told({ code: 'ENOENT', syscall: 'open' })],
    ['a mapping that threw', new TypeError('x is not a function')],
    ['a symbol', Symbol('fell into a transaction')],
    ['nothing', undefined],
  ])('%s', (_, error) => {
    expect(isOutage(error)).toBe(false)
    expect(isOutage(byDrizzle(error))).toBe(false)
  })

  test('causes that go round in a circle', () => {
    const error = new Error('round') as Error & { cause?: unknown }
    error.cause = error
    expect(isOutage(error)).toBe(false)
  })
})
