import { mergeConfig } from 'vitest/config'
import base from './vitest.config.ts'

// Needs pgbouncer, which a fresh clone may not have: a run of its own.
const { include: _include, exclude: _exclude, ...test } = base.test ?? {}
export default mergeConfig(
  { ...base, test },
  { test: { include: ['test/pgbouncer/**/*.test.ts'], exclude: ['**/node_modules/**'] } },
)
