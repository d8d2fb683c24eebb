import { parseArgs } from 'node:util'

/** What the flags of `pnpm bench` say; every question reads them the same way. */
export interface Settings {
  /** Alternating rounds per figure; the median counts. */
  readonly rounds: number
  /** Operations per round and contender. */
  readonly ops: number
  /** A short run that shows that everything works; its figures say little. */
  readonly quick: boolean
  /** Also what takes minutes by itself: a million cached results. */
  readonly full: boolean
  /** Write the printed result to `bench/results/`. */
  readonly save: boolean
  /** The questions to ask; empty: all. */
  readonly questions: readonly string[]
  /** Concurrencies to try. */
  readonly concurrency: readonly number[]
  /** Shares of writes to try, in percent. */
  readonly writes: readonly number[]
}

/** What a question takes where no flag says otherwise. */
export interface Presets {
  readonly rounds?: number
  readonly ops?: number
  readonly concurrency?: readonly number[]
  readonly writes?: readonly number[]
}

export function readSettings(args: readonly string[], presets: Presets = {}): Settings {
  const { values, positionals } = parseArgs({
    args: args.filter((arg) => arg !== '--'),
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      ops: { type: 'string' },
      quick: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      concurrency: { type: 'string' },
      writes: { type: 'string' },
    },
  })
  const { quick, full, save } = values
  return {
    rounds: wholeNumber('rounds', values.rounds, quick ? 3 : (presets.rounds ?? 9)),
    ops: wholeNumber('ops', values.ops, quick ? 1_000 : (presets.ops ?? 5_000)),
    quick,
    full,
    save,
    questions: positionals,
    concurrency: numbers('concurrency', values.concurrency, presets.concurrency ?? [1, 16, 64]),
    writes: numbers('writes', values.writes, presets.writes ?? [0, 1, 5, 20]),
  }
}

function wholeNumber(name: string, text: string | undefined, preset: number): number {
  if (text === undefined) return preset
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a whole number above 0, not ${text}.`)
}

function numbers(name: string, text: string | undefined, preset: readonly number[]): readonly number[] {
  if (text === undefined) return preset
  const values = text.split(',').map(Number)
  if (values.every((value) => Number.isFinite(value) && value >= 0)) return values
  throw new Error(`--${name} must be numbers with commas between, not ${text}.`)
}
