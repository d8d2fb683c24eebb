/** What befalls a chaos run. Each fault begins, lasts, and is over; which, whom and how long the seed decides. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Random } from '../random/random.ts'
import type { Link, Scene } from './scene.ts'
import { type Crew, READER } from './workers.ts'

export interface Stage {
  readonly scene: Scene
  readonly crew: Crew
  readonly random: Random
  /** The key of the register of services. */
  readonly register: string
}

export interface Fault {
  readonly kind: string
  /** Nobody can drain an outbox meanwhile: the database or the store is out of reach for all. */
  readonly isOutage: boolean
  /** Resolves when it is over; recovery comes after it. */
  run(): Promise<void>
}

type Kind = (stage: Stage) => Omit<Fault, 'kind' | 'isOutage'> & { readonly whom: string; readonly isOutage?: boolean }

/** How long what holds something holds it, in milliseconds; the judge adds the longest to lives of entries. */
export const LONGEST_MS = 3_000

const lasting = ({ random }: Stage): number => 500 + random.below(LONGEST_MS - 500)
const ENDS_WITHIN_MS = 15_000

/** On one worker's link to a server, or on all of them. */
function onLinks(
  stage: Stage,
  to: keyof Link,
  begin: (proxy: Link[keyof Link]) => void,
  whose = aPlaceOrAll(stage, 0.3),
): ReturnType<Kind> {
  const { links } = stage.scene
  const chosen = (whose === 'all' ? links : [links[whose] as Link]).map((link) => link[to])
  const ms = lasting(stage)
  return {
    whom: `${whose === 'all' ? 'all' : `w${whose}`} for ${ms} ms`,
    isOutage: whose === 'all',
    run: async () => {
      for (const proxy of chosen) begin(proxy)
      await pause(ms)
      for (const proxy of chosen) proxy.heal()
    },
  }
}

const onServer = (stage: Stage, server: 'postgres' | 'redis'): ReturnType<Kind> => {
  const ms = lasting(stage)
  return {
    whom: `for ${ms} ms`,
    isOutage: true,
    run: async () => {
      const it = server === 'postgres' ? stage.scene.postgres : stage.scene.redis.primary
      it.pause()
      await pause(ms)
      it.resume()
    },
  }
}

const anyPlace = ({ crew, random }: Stage): number => random.below(crew.workers.length)
const aPlaceOrAll = (stage: Stage, all: number): number | 'all' => (stage.random.chance(all) ? 'all' : anyPlace(stage))

const slowAnswers = (stage: Stage, whose: number | 'all'): ReturnType<Kind> => {
  const ms = 50 + stage.random.below(250)
  return onLinks(stage, 'postgres', (proxy) => proxy.delay({ toClient: ms }), whose)
}

async function replaceKilled({ crew }: Stage, place: number): Promise<void> {
  await crew.at(place).kill()
  crew.start(place)
}

/** The address of the primary moves, with all connections to it. */
const failOver = ({ redis, links }: Scene): Promise<void> =>
  redis.promote((url) => {
    for (const link of links) {
      link.redis.moveTo(url)
      link.redis.cut()
    }
  })

const kinds = {
  'worker killed': (stage) => {
    const place = anyPlace(stage)
    return { whom: `w${place}`, run: () => replaceKilled(stage, place) }
  },
  'worker paused': (stage) => {
    const place = anyPlace(stage)
    const ms = lasting(stage)
    return {
      whom: `w${place} for ${ms} ms`,
      run: async () => {
        stage.crew.at(place).signal('SIGSTOP')
        await pause(ms)
        stage.crew.at(place).signal('SIGCONT')
      },
    }
  },
  'worker cut off from Redis, then killed': (stage) => {
    const place = anyPlace(stage)
    const proxy = (stage.scene.links[place] as Link).redis
    // Soon enough to meet a write that waits for its removal, or late enough for a queue.
    const ms = stage.random.chance(0.6) ? 20 + stage.random.below(200) : lasting(stage)
    return {
      whom: `w${place} after ${ms} ms`,
      run: async () => {
        if (stage.random.chance(0.5)) proxy.refuse()
        else proxy.blackHole()
        await pause(ms)
        await stage.crew.at(place).kill()
        proxy.heal()
        stage.crew.start(place)
      },
    }
  },
  'rolling restart': (stage) => ({
    whom: 'all',
    run: async () => {
      for (const { task } of [...stage.crew.workers]) await stage.crew.replace(task.place, ENDS_WITHIN_MS)
    },
  }),
  'link to Redis cut': (stage) => onLinks(stage, 'redis', (proxy) => proxy.cut()),
  'Redis refuses': (stage) => onLinks(stage, 'redis', (proxy) => proxy.refuse()),
  'link to Redis is a black hole': (stage) => onLinks(stage, 'redis', (proxy) => proxy.blackHole()),
  'answers of Redis are lost': (stage) => onLinks(stage, 'redis', (proxy) => proxy.blackHole('toClient')),
  'link to Redis is slow': (stage) => {
    const ms = 10 + stage.random.below(150)
    return onLinks(stage, 'redis', (proxy) => proxy.delay({ toServer: ms, toClient: stage.random.below(20) }))
  },
  'Redis paused': (stage) => onServer(stage, 'redis'),
  'Redis killed, empty after it': ({ scene }) => ({
    whom: '',
    isOutage: true,
    run: () => scene.redis.restartEmpty(),
  }),
  'Redis flushed': ({ scene }) => ({ whom: '', run: async () => void (await scene.redis.run(['FLUSHALL'])) }),
  'register lost': ({ scene, register }) => ({
    whom: '',
    run: async () => void (await scene.redis.run(['UNLINK', register])),
  }),
  'stamps evicted': ({ scene, random }) => ({
    whom: '',
    run: async () => {
      const [keys] = (await scene.redis.run(['KEYS', 'da1:*'])) as [string[]]
      const stamps = keys.filter((key) => /^da1:[^:]+:\d+:[^:]+:[RVTA]/.test(key) && random.chance(0.5))
      if (stamps.length > 0) await scene.redis.run(['UNLINK', ...stamps])
    },
  }),
  'link to PostgreSQL cut': (stage) => onLinks(stage, 'postgres', (proxy) => proxy.cut()),
  'link to PostgreSQL is a black hole': (stage) => onLinks(stage, 'postgres', (proxy) => proxy.blackHole()),
  'answers of PostgreSQL are lost, then cut': (stage) => {
    const { links } = stage.scene
    const place = anyPlace(stage)
    const proxy = (links[place] as Link).postgres
    return {
      whom: `w${place}`,
      run: async () => {
        proxy.blackHole('toClient')
        await pause(lasting(stage) / 4)
        proxy.cut()
        proxy.heal()
      },
    }
  },
  'link to PostgreSQL is slow': (stage) => slowAnswers(stage, aPlaceOrAll(stage, 0.15)),
  // Its queries last while others write at full speed what they read: whoever asks next comes after a write.
  'link of a reader to PostgreSQL is slow': (stage) => slowAnswers(stage, READER),
  'PostgreSQL paused': (stage) => onServer(stage, 'postgres'),
  'Redis restarted from old data': ({ scene, random }) => {
    const ms = 200 + random.below(1_500)
    return {
      whom: `of ${ms} ms before`,
      isOutage: true,
      run: async () => {
        const restart = await scene.redis.remember()
        await pause(ms)
        await restart()
      },
    }
  },
  'failover that loses the latest': ({ scene, random }) => {
    const ms = 200 + random.below(1_500)
    return {
      whom: `${ms} ms`,
      isOutage: true,
      run: async () => {
        scene.redis.partReplica()
        await pause(ms)
        await failOver(scene)
      },
    }
  },
  failover: ({ scene }) => ({ whom: '', isOutage: true, run: () => failOver(scene) }),
  'PostgreSQL killed': ({ scene }) => ({ whom: '', isOutage: true, run: () => scene.postgres.restart() }),
} satisfies Record<string, Kind>

export type FaultKind = keyof typeof kinds
export const faultKinds = Object.keys(kinds) as FaultKind[]

/** All kinds in turn, in an order of the seed's, again and again: none is left out of a run that is long enough. */
export function* faults(stage: Stage, of: readonly FaultKind[]): Generator<Fault, never> {
  for (;;) {
    const deck = [...of]
    while (deck.length > 0) {
      const [kind] = deck.splice(stage.random.below(deck.length), 1) as [FaultKind]
      const { whom, run, isOutage = false } = (kinds[kind] as Kind)(stage)
      yield { kind: whom ? `${kind} (${whom})` : kind, run, isOutage }
    }
  }
}
