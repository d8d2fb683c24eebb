/**
 * Gates: points where a test holds one party until another has done its part. Races wait here, never in a sleep.
 *
 * Promises: whoever reaches a closed gate waits until it is opened; the test can await that someone has arrived.
 * `gatedPool` calls a hook before a statement is sent and after its answer has come, for `pool.query` and for clients of
 * `pool.connect()` alike, once per statement; the pool stays the same instance of the same class. Statements of one
 * connection keep their order. `gatedStore` does the same for the methods of any object. A hook that throws makes the
 * call fail with that error, which is how one statement or store call is made to fail.
 */
import type { Pool } from 'pg'
import { type AnyClient, onEveryClient, type QueryCall, readQueryCall, type Statement } from './pg-clients.ts'

export interface Gate {
  /** Resolves when someone has reached the gate. */
  readonly arrived: Promise<void>
  /** Resolves when `count` parties have reached it, open or not. */
  arrivals(count: number): Promise<void>
  /** To be called by the party that may be held: resolves when the gate is open. */
  pass(): Promise<void>
  /** Opens it for good, for those who wait and for all who come. */
  open(): void
}

export function gate(): Gate {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const waiting: { count: number; resolve: () => void }[] = []
  let reached = 0
  const arrivals = (count: number) =>
    new Promise<void>((resolve) => {
      if (reached >= count) resolve()
      else waiting.push({ count, resolve })
    })
  const arrived = arrivals(1)
  return {
    arrived,
    arrivals,
    pass: () => {
      reached += 1
      for (const waiter of waiting) if (reached >= waiter.count) waiter.resolve()
      return opened
    },
    open: () => open(),
  }
}

export type Point = 'before' | 'after'

/** `statement.sql` is the text as the driver got it. */
export type StatementHook = (point: Point, statement: Statement) => void | Promise<void>

/** Returns the same pool. Gate it before its first use. */
export function gatedPool<P extends Pool>(pool: P, hook: StatementHook): P {
  onEveryClient(pool, (client) => gateClient(client, hook))
  return pool
}

/** The same for a single `pg.Client`. */
export function gatedClient<C extends AnyClient>(client: C, hook: StatementHook): C {
  gateClient(client, hook)
  return client
}

function gateClient(client: AnyClient, hook: StatementHook): void {
  const send = client.query.bind(client) as (...args: unknown[]) => unknown
  // A connection is a queue: a statement held at a gate also holds those that were given to it later.
  let line: Promise<unknown> = Promise.resolve()

  const gated = async (call: QueryCall): Promise<unknown> => {
    const statement = { sql: call.sql, params: call.params }
    const sent = line.then(async () => {
      await hook('before', statement)
      // In a box, so that the line goes on when the statement is sent, not when it is answered.
      return { answer: send(...call.args) as Promise<unknown> }
    })
    line = sent.catch(() => {})
    const { answer } = await sent
    const result = await answer
    await hook('after', statement)
    return result
  }

  const query = (...args: unknown[]): unknown => {
    const call = readQueryCall(args)
    if (call === undefined) return send(...args)
    const outcome = gated(call)
    const { callback } = call
    if (callback === undefined) return outcome
    // Out of the promise, so that an error thrown by the callback is not taken for a failed statement.
    outcome.then(
      (result) => process.nextTick(callback, null, result),
      (error) => process.nextTick(callback, error),
    )
    return undefined
  }
  client.query = query as typeof client.query
}

export interface StoreCall {
  method: string
  args: unknown[]
  /** At `after`. */
  result?: unknown
}

export type StoreHook = (point: Point, call: StoreCall) => void | Promise<void>

/** A view of `store` whose methods wait for the hook and return promises; those named in `except` are left alone. */
export function gatedStore<S extends object>(store: S, hook: StoreHook, except: (keyof S)[] = []): S {
  return new Proxy(store, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property, target)
      if (typeof member !== 'function' || typeof property === 'symbol') return member
      if (except.includes(property as keyof S)) return member.bind(target)
      return async (...args: unknown[]) => {
        await hook('before', { method: property, args })
        const result: unknown = await member.apply(target, args)
        await hook('after', { method: property, args, result })
        return result
      }
    },
  })
}
