import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`./packages/${path}`, import.meta.url))

// DRIZZLE_LINE=0.44 runs everything on the oldest supported Drizzle line.
const olderDrizzle =
  process.env.DRIZZLE_LINE === '0.44' ? [{ find: /^drizzle-orm(?=\/|$)/, replacement: 'drizzle-orm-044' }] : []

export default defineConfig({
  resolve: {
    // Tests run on the sources: no build is needed.
    alias: [
      { find: /^drizzle-aside$/, replacement: source('core/src/index.ts') },
      { find: /^drizzle-aside\/store$/, replacement: source('core/src/store.ts') },
      { find: /^@drizzle-aside\/redis$/, replacement: source('redis/src/index.ts') },
      { find: /^@drizzle-aside\/store-conformance$/, replacement: source('store-conformance/src/index.ts') },
      ...olderDrizzle,
    ],
  },
  test: {
    include: ['test/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'test/pgbouncer/**'],
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['test/harness/global-setup.ts'],
    // For what hangs: what only takes its time on a busy machine, the whole suite of a store in a process, say, ends before.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What is waited for comes when it comes: a machine may be busy.
    expect: { poll: { timeout: 40_000 } },
    // postgres.js writes to a socket that has closed since it meant to (3.4.9), where nobody can catch it: the tests that
    // end its connections meet that now and then.
    onUnhandledError: ({ message, stack = '' }) =>
      !(message.endsWith("of null (reading 'write')") && stack.includes('postgres/src/connection.js')),
  },
})
