import { NO_VERSION } from '../model/register.ts'
import { type Registration, type Union, unionOf } from '../model/registration.ts'
import type { Registrar } from './registrar.ts'

/** What the read and write paths ask of a registrar, wherever the register is. */
export type KnowsOthers = Pick<
  Registrar,
  'union' | 'version' | 'isCertain' | 'refuses' | 'blocks' | 'start' | 'hurry' | 'idle' | 'close'
>

/** What all wraps over one store of this process keep, under one key. What a closed wrap has kept stays: it is still there. */
class LocalRegister {
  readonly #parties = new Map<object, readonly string[]>()
  readonly #left = new Set<string>()
  #parts: ReadonlySet<string> = new Set()
  #changes = 0
  #union: Union = unionOf('0', [])

  get union(): Union {
    return this.#union
  }

  enter(party: object, parts: readonly string[]): void {
    this.#parties.set(party, parts)
    const all = new Set([...this.#left, ...[...this.#parties.values()].flat()])
    if (all.size === this.#parts.size && [...all].every((part) => this.#parts.has(part))) return
    this.#parts = all
    this.#changes++
    this.#union = unionOf(String(this.#changes), all)
  }

  leave(party: object): void {
    for (const part of this.#parties.get(party) ?? []) this.#left.add(part)
    this.#parties.delete(party)
  }
}

/** The registers of one store in this process, by key. */
export class LocalRegisters {
  readonly #registers = new Map<string, LocalRegister>()
  readonly #kept = new Set<string>()

  get(key: string): LocalRegister {
    const register = this.#registers.get(key) ?? new LocalRegister()
    this.#registers.set(key, register)
    return register
  }

  /** Somebody caches something under the namespace; what it is, only the first facts tell. */
  keep(namespace: string): void {
    this.#kept.add(namespace)
  }

  isKept(namespace: string): boolean {
    return this.#kept.has(namespace)
  }
}

/** The register and what this configuration keeps, under the facts of the moment; undefined: they are not known. */
type Mine = { readonly key: string; readonly registration: Registration } | undefined

/**
 * A {@link Registrar} whose register is in this process. It enters with the first question that is asked under new facts,
 * so before anything is filled under them; from then on a question costs one comparison. Nothing has to be settled or
 * confirmed: whoever asks sees the register as it is.
 */
export class LocalRegistrar implements KnowsOthers {
  readonly #registers: LocalRegisters
  readonly #mine: () => Mine
  #entered: Mine
  #parts: readonly string[] = []
  #register: LocalRegister | undefined

  constructor(registers: LocalRegisters, mine: () => Mine) {
    this.#registers = registers
    this.#mine = mine
  }

  get union(): Union | undefined {
    this.#follow()
    return this.#register?.union
  }

  /** The register is read with each question. */
  readonly isCertain = true

  get version(): string {
    return this.union?.version ?? NO_VERSION
  }

  refuses(): undefined {}

  blocks(): boolean {
    this.#follow()
    return this.#register === undefined
  }

  /** The facts were read and what they changed is made known: what was kept only under the ones before is gone. */
  start(): void {
    this.#follow()
    const parts = this.#entered?.registration.parts
    if (parts && parts !== this.#parts) this.#enter(parts)
  }

  hurry(): void {}

  async idle(): Promise<void> {}

  async close(): Promise<void> {
    this.#register?.leave(this)
  }

  /** Of the facts before there may still be answers. */
  #follow(): void {
    const mine = this.#mine()
    if (!mine || mine === this.#entered) return
    this.#register = this.#registers.get(mine.key)
    const before = this.#entered?.registration
    this.#entered = mine
    const { registration } = mine
    if (registration !== before) this.#enter(before ? [...this.#parts, ...registration.parts] : registration.parts)
  }

  #enter(parts: readonly string[]): void {
    this.#parts = parts
    this.#register?.enter(this, parts)
  }
}
