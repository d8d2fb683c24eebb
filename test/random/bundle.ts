/**
 * Bundles a program of this folder with the packages' sources, some of them changed: that is how faults are planted.
 *
 * Promises: each edit's snippet must stand exactly once in its file, and every edit must have been used; otherwise the
 * bundle fails and says which one.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

export interface Edit {
  /** Below packages/core/src; `redis:` before it: below packages/redis/src. */
  readonly file: string
  readonly find: string
  readonly put: string
}

export interface Bundle {
  readonly file: string
  remove(): void
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const core = join(root, 'packages/core/src')
const redis = join(root, 'packages/redis/src')
const doors: Record<string, string> = {
  'drizzle-aside': join(core, 'index.ts'),
  'drizzle-aside/store': join(core, 'store.ts'),
  '@drizzle-aside/redis': join(redis, 'index.ts'),
}

/** `program` is a file of this folder. */
export async function bundle(program: string, edits: readonly Edit[] = []): Promise<Bundle> {
  // Below the root, so that the packages which stay outside the bundle are found from there.
  const shelf = join(root, 'node_modules/.cache')
  mkdirSync(shelf, { recursive: true })
  const folder = mkdtempSync(join(shelf, 'drizzle-aside-random-'))
  const file = join(folder, 'program.mjs')
  const remove = () => rmSync(folder, { recursive: true, force: true })
  const unused = new Set(edits)
  try {
    await build({
      entryPoints: [join(root, 'test/random', program)],
      outfile: file,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      packages: 'external',
      sourcemap: 'inline',
      logLevel: 'silent',
      plugins: [sources(edits, unused)],
    })
    const [left] = unused
    if (left) throw new Error(`${left.file} is not part of ${program}.`)
  } catch (error) {
    remove()
    throw error
  }
  return { file, remove }
}

function sources(edits: readonly Edit[], unused: Set<Edit>): Plugin {
  return {
    name: 'sources',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^@?drizzle-aside/ }, ({ path }) => ({ path: doors[path] as string }))
      onResolve({ filter: /^drizzle-orm(\/|$)/ }, ({ path }) => ({ path: ofLine(path), external: true }))
      onLoad({ filter: /packages[\\/](core|redis)[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
        const name = nameOf(path)
        const own = edits.filter((edit) => edit.file === name)
        return {
          contents: own.reduce((text, edit) => planted(text, edit, unused), readFileSync(path, 'utf8')),
          loader: 'ts',
        }
      })
    },
  }
}

const nameOf = (path: string): string => {
  const [prefix, folder] = path.startsWith(redis) ? ['redis:', redis] : ['', core]
  return prefix + relative(folder, path).replaceAll('\\', '/')
}

const ofLine = (path: string): string =>
  process.env.DRIZZLE_LINE === '0.44' ? path.replace('drizzle-orm', 'drizzle-orm-044') : path

function planted(text: string, edit: Edit, unused: Set<Edit>): string {
  const parts = text.split(edit.find)
  if (parts.length !== 2)
    throw new Error(`In ${edit.file} this stands ${parts.length - 1} times, not once: ${edit.find}`)
  unused.delete(edit)
  return parts.join(edit.put)
}
