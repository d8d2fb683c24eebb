// Packs every package as it would be published and lets publint and arethetypeswrong look at the tarball.
// Run `pnpm build` first.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'drizzle-aside-pack-'))
// The same pnpm that runs this script, whether it is on PATH or came through npx.
const [pnpm, ...pnpmArgs] = process.env.npm_execpath?.includes('pnpm')
  ? [process.execPath, process.env.npm_execpath]
  : ['npx', '-y', 'pnpm@10']
const tool = (name) => join(root, 'node_modules', '.bin', name)

let failed = false
try {
  for (const name of readdirSync(join(root, 'packages'))) {
    const source = join(root, 'packages', name)
    if (existsSync(join(source, 'package.json'))) checkPackage(source)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = failed ? 1 : 0

function checkPackage(source) {
  const { name, version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
  const tarball = join(folder, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`)
  console.log(`\n${name}`)
  run(pnpm, [...pnpmArgs, 'pack', '--out', tarball], source)
  run(tool('publint'), ['run', tarball, '--strict'], root)
  // The profile leaves out TypeScript's resolution of Node 10, which knows no `exports`.
  run(tool('attw'), [tarball, '--profile', 'node16'], root)
}

function run(file, args, cwd) {
  try {
    execFileSync(file, args, { cwd, stdio: 'inherit' })
  } catch {
    failed = true
  }
}
