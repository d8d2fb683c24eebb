/** Every TypeScript block of the README and the docs compiles, and the README's first example runs as pasted. */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, beforeAll, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

/** Blocks may import a schema of their own app. */
const schema = `import { integer, pgTable, text } from 'drizzle-orm/pg-core'
export const users = pgTable('users', { id: integer('id').primaryKey(), name: text('name').notNull() })
export const posts = pgTable('posts', { id: integer('id').primaryKey(), title: text('title').notNull() })
`

let folder: string
const blocks: { readonly name: string; readonly file: string }[] = []

beforeAll(async () => {
  // Not under node_modules: what lies there does not see the workspace's packages.
  folder = await mkdtemp(join(root, 'test', 'types', '.docs-'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(join(folder, 'schema.ts'), schema)
  for (const page of await pages()) await takeBlocks(page)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function pages(): Promise<string[]> {
  const docs = await readdir(join(root, 'docs'), { recursive: true })
  return [
    join(root, 'README.md'),
    ...['core', 'redis'].map((name) => join(root, 'packages', name, 'README.md')),
    ...docs.filter((name) => name.endsWith('.md')).map((name) => join(root, 'docs', name)),
  ]
}

async function takeBlocks(page: string): Promise<void> {
  const text = await readFile(page, 'utf8')
  const found = [...text.matchAll(/```ts\n([\s\S]*?)```/g)]
  for (const [at, [, code]] of found.entries()) {
    const name = `${relative(root, page)} block ${at + 1}`
    const file = join(folder, `${name.replace(/\W+/g, '-')}.ts`)
    await writeFile(file, `${code}\nexport {}\n`)
    blocks.push({ name, file })
  }
}

it('every TypeScript block of README and docs compiles', () => {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root)
  const program = ts.createProgram(
    blocks.map(({ file }) => file),
    { ...options, noEmit: true },
  )
  const problems = ts
    .getPreEmitDiagnostics(program)
    .filter(({ file }) => file && dirname(file.fileName) === folder)
    .map(
      ({ file, messageText }) =>
        `${file?.fileName.split('/').at(-1)}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    )
  expect(blocks.length).toBeGreaterThan(2)
  expect(problems).toEqual([])
})

it("the README's first example runs as pasted", async () => {
  const first = blocks.find(({ name }) => name === 'README.md block 1')
  const tsx = join(root, 'node_modules', '.bin', 'tsx')
  const { stdout } = await run(tsx, ['--tsconfig', join(root, 'tsconfig.json'), first?.file ?? ''], { cwd: root })
  expect(stdout).toContain('read from users by primary key (id)')
  expect(stdout.trim().split('\n').at(-1)).toMatch(/^0\.\d+$/)
})
