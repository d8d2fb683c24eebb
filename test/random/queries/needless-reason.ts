/** Why an answer fell that had not changed. */
import type { EpochReason } from 'drizzle-aside'
import type { Step } from '../steps.ts'
import type { Explained } from './precision.ts'

/** A table that fell as a whole, by the name that events give it: without its schema. */
export interface Epoch {
  readonly table: string
  readonly reason: EpochReason
}

/** The epoch that an answer fell with. */
export const fellWith = ({ table }: Explained, epochs: readonly Epoch[]): Epoch | undefined =>
  epochs.find((epoch) => epoch.table === table?.split('.').at(-1))

export function needlessReason(explained: Explained, _write: Step, epochs: readonly Epoch[]): string {
  const epoch = fellWith(explained, epochs)
  if (epoch) return `epoch: ${epoch.reason}`
  return explained.plan === 'record' ? 'same row' : 'same class'
}
