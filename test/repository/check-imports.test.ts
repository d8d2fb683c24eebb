import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'

const script = fileURLToPath(new URL('../../scripts/check-imports.mjs', import.meta.url))
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function check(files: Record<string, string>): { code: number | null; lines: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'drizzle-aside-imports-'))
  folders.push(folder)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, folder], { cwd: folder, encoding: 'utf8' })
  if (stderr) throw new Error(stderr)
  return { code: status, lines: stdout.trim().split('\n') }
}

test('a house whose imports fall passes', () => {
  const { code, lines } = check({
    'index.ts': `export { withCache } from './with-cache.ts'\nexport { memoryStore } from './stores/memory.ts'`,
    'store.ts': `export type { Store } from './ports/store.ts'`,
    'with-cache.ts': `import type { PgDatabase } from 'drizzle-orm/pg-core'\nimport { Engine } from './wiring/engine.ts'\nimport { options } from './options.ts'\nexport const withCache = 1`,
    'wiring/engine.ts': `import type { Table } from 'drizzle-orm'\nimport { plan } from '../read/plan.ts'\nimport { tables } from './tables.ts'\nexport class Engine {}`,
    'wiring/tables.ts': `import { options } from '../options.ts'\nexport const tables = options`,
    'options.ts': `import { AsideError } from './errors.ts'\nexport const options = 1`,
    'errors.ts': `export class AsideError extends Error {}`,
    'drizzle/wrap.ts': `import { is } from 'drizzle-orm'\nimport { key } from '../model/key.ts'`,
    'read/plan.ts': `import { AsideError } from '../errors.ts'\nimport { act } from './act.ts'\nimport { createHash } from 'node:crypto'`,
    'read/act.ts': `import type { Store } from '../ports/store.ts'\nexport const act = 1`,
    'stores/memory.ts': `import type { Store } from '../ports/store.ts'`,
    'ports/store.ts': `import type { Key } from '../model/key.ts'\nexport interface Store {}`,
    'model/key.ts': `import { AsideError } from '../errors.ts'\nexport type Key = string`,
  })
  expect(lines).toEqual(['imports fall (.)'])
  expect(code).toBe(0)
})

const broken: [what: string, files: Record<string, string>, line: string][] = [
  [
    'a wing that imports another wing, types included',
    { 'read/a.ts': `\nimport type { B } from '../write/b.ts'`, 'write/b.ts': '' },
    'read/a.ts:2: the wing read/ imports the wing write/',
  ],
  [
    'a port that imports a wing',
    { 'ports/a.ts': `export * from '../map/b.ts'`, 'map/b.ts': '' },
    'ports/a.ts:1: ports imports map, which is not below it',
  ],
  [
    'the model that imports a port',
    { 'model/a.ts': `type B = import('../ports/b.ts').B`, 'ports/b.ts': '' },
    'model/a.ts:1: model imports ports, which is not below it',
  ],
  [
    'a wing that imports the options',
    { 'read/a.ts': `import { o } from '../options.ts'`, 'options.ts': '' },
    'read/a.ts:1: read imports options.ts, which is not below it',
  ],
  [
    'the wiring that imports a door',
    { 'with-cache.ts': `await import('./index.ts')`, 'index.ts': '' },
    'with-cache.ts:1: with-cache.ts imports index.ts, which is not below it',
  ],
  [
    'a wing that imports the wiring',
    { 'read/a.ts': `import { E } from '../wiring/e.ts'`, 'wiring/e.ts': '' },
    'read/a.ts:1: read imports wiring, which is not below it',
  ],
  [
    'drizzle-orm in another wing, even its types',
    { 'map/a.ts': `import type { SQL } from 'drizzle-orm'` },
    `map/a.ts:1: imports 'drizzle-orm'; only drizzle/ may`,
  ],
  [
    'drizzle-orm by value in the wiring',
    { 'with-cache.ts': `import { type SQL } from 'drizzle-orm'` },
    `with-cache.ts:1: imports 'drizzle-orm' by value; outside drizzle/ only 'import type' may`,
  ],
  [
    'another package',
    { 'stores/a.ts': `import { LRUCache } from 'lru-cache'` },
    `stores/a.ts:1: imports the package 'lru-cache'; the core depends on drizzle-orm only`,
  ],
  [
    'a circle inside a wing',
    { 'map/a.ts': `import './b.ts'`, 'map/b.ts': `import type { A } from './a.ts'` },
    'map/b.ts:1: closes a circle: map/a.ts -> map/b.ts -> map/a.ts',
  ],
  ['a file that is not there', { 'map/a.ts': `import './gone.ts'` }, `map/a.ts:1: './gone.ts' is no file`],
  [
    'a folder that the design does not know',
    { 'utils/a.ts': '' },
    'utils/a.ts:1: utils belongs to no layer: index.ts, store.ts, with-cache.ts, wiring, options.ts, drizzle, catalog, read, write, map, register, stores, watch, ports, model, errors.ts',
  ],
]

test.each(broken)('finds %s', (_, files, line) => {
  const { code, lines } = check(files)
  expect(lines).toEqual([line])
  expect(code).toBe(1)
})
