import type { FailoverGuard, GuardLowered, IncarnationNews } from 'drizzle-aside/store'
import type { KnownIncarnations, ServerIncarnation } from './incarnation.ts'

export interface NodesKnown {
  /** Undefined once it is known, or was not to be learnt, which nodes there are. */
  opening(): Promise<void> | undefined
  nodeOf(key: string): ServerIncarnation | undefined
}

/** The incarnations of the nodes of a cluster, each by its own word: a stamp is one of the node that has its slot. */
export class ClusterIncarnations implements KnownIncarnations {
  readonly #with: NodesKnown
  readonly #listeners = new Set<(news: IncarnationNews) => void>()
  #guard: FailoverGuard = 'incarnation'
  #lowered: GuardLowered | undefined

  constructor(nodes: NodesKnown) {
    this.#with = nodes
  }

  /** As weak as that of the weakest node. */
  get guard(): FailoverGuard {
    return this.#guard
  }

  get lowered(): GuardLowered | undefined {
    return this.#lowered
  }

  /** What a node says from now on is said by the cluster. */
  add(node: ServerIncarnation): void {
    node.listen((news) => {
      if (news.type === 'failoverGuardLowered') {
        const isNews = this.#lowered === undefined
        this.#lowered = news.reason
        this.#guard = news.guard
        if (!isNews) return
      }
      for (const hear of this.#listeners) hear(news)
    })
  }

  of(key: string): string | undefined {
    return this.#with.nodeOf(key)?.of()
  }

  listen(hear: (news: IncarnationNews) => void): () => void {
    this.#listeners.add(hear)
    return () => this.#listeners.delete(hear)
  }

  confirm(keys: readonly string[]): Promise<void> | undefined {
    const opening = this.#with.opening()
    if (opening) return opening.then(() => this.confirm(keys))
    let asking: Set<Promise<void>> | undefined
    for (const key of keys) {
      const asked = this.#with.nodeOf(key)?.confirm()
      if (asked) asking = (asking ?? new Set()).add(asked)
    }
    return asking && Promise.all(asking).then(() => undefined)
  }
}
