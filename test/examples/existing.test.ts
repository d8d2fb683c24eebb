import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { runExample } from './run-example.ts'

const fileOf = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../examples/existing/${name}`, import.meta.url)), 'utf8')

describe('the existing app', () => {
  it('differs in one file', async () => {
    const { code, output } = await runExample('existing', 'check-diff.ts')
    expect(output).toContain('changed: db.ts')
    expect(code).toBe(0)
  })

  it.each(['before', 'after'])('passes its own tests: %s', async (folder) => {
    const { code, output } = await runExample('existing', '--test', `${folder}/blog.test.ts`)
    expect(code, output).toBe(0)
    expect(output).toMatch(/pass 7\b/)
  })

  it('shows in its README what has changed', () => {
    const diff = /```diff\n([\s\S]*?)```/.exec(fileOf('README.md'))?.[1] ?? ''
    const side = (sign: '+' | '-'): string =>
      diff
        .split('\n')
        .filter((line) => line[0] === ' ' || line[0] === sign)
        .map((line) => line.slice(1))
        .join('\n')
    expect(side('-')).toBe(fileOf('before/db.ts').trimEnd())
    expect(side('+')).toBe(fileOf('after/db.ts').trimEnd())
  })
})
