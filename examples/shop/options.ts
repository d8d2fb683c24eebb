import { parseArgs } from 'node:util'

export interface DemoOptions {
  /** How long the shop is open, all contenders together; starting and checking come on top. */
  readonly seconds: number
  readonly products: number
  readonly seed: number
  readonly redis: string | undefined
  readonly database: string | undefined
}

const usage = `A shop, served three times: by plain Drizzle, with Drizzle's own cache, and with drizzle-aside.

  --seconds N      how long the shop is open (default 12)
  --products N     how many products it sells (default 10000)
  --seed N         another stream of visitors (default 1)
  --redis URL      caches in this Redis instead of the memory of the process
  --database URL   tables on this PostgreSQL instead of embedded PGlite; in schemas of their own, dropped at the end`

/** Reads the command line; a help text or a complaint ends the process. */
export function readOptions(args: readonly string[]): DemoOptions {
  try {
    const { values } = parse(args.filter((each) => each !== '--'))
    if (values.help) finish(usage, 0)
    return {
      seconds: positive('seconds', values.seconds),
      products: Math.max(100, Math.round(positive('products', values.products))),
      seed: Math.round(positive('seed', values.seed)),
      redis: values.redis,
      database: values.database,
    }
  } catch (error) {
    return finish(`${(error as Error).message}\n\n${usage}`, 2)
  }
}

function parse(args: string[]) {
  return parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '12' },
      products: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      redis: { type: 'string' },
      database: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new Error(`--${name} must be a positive number, not '${text}'.`)
}

function finish(text: string, code: number): never {
  console.log(text)
  process.exit(code)
}
