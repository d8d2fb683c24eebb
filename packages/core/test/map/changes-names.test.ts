import { expect, it } from 'vitest'
import { changesNames } from '../../src/map/changes-names.ts'

const changes = [
  'set search_path to other',
  'SET LOCAL Search_Path = a, b',
  'set local "search_path" to other',
  `set schema 'other'`,
  `set local schema 'other'`,
  'set role app',
  'set local role none',
  'set session authorization app',
  'set session search_path = x',
  'reset all',
  'reset role',
  'reset session authorization',
  'discard all',
  `select set_config('search_path', $1, true)`,
  `select set_config('Role', 'x', false)`,
  `select set_config($1, $2, true)`,
  `select 1, (select pg_catalog.set_config(name, 'x', true) from settings)`,
  `select "set_config"('search_path', 'x', true)`,
  `select set_config('search' || '_path', 'x', true)`,
  `select 1; set local role app`,
  `select u&"set_c\\006fnfig"('search_path', 'x', true)`,
]
const others = [
  'select 1',
  `set local app.role = 'x'`,
  `set app.search_path to 'x'`,
  `select set_config('app.tenant', $1, true)`,
  `select set_config('timezone', 'UTC', true)`,
  'set local statement_timeout = 5',
  `set time zone 'UTC'`,
  'set transaction isolation level serializable',
  'set session characteristics as transaction read only',
  'set constraints all deferred',
  'select role, search_path from settings',
  'select set_config from settings',
  'reset timezone',
  'discard plans',
]

it.each(changes)('after it names or the role may be others: %s', (text) => expect(changesNames(text)).toBe(true))
it.each(others)('not after it: %s', (text) => expect(changesNames(text)).toBe(false))
