/** Why an answer fell that had not changed. */
import type { Step } from '../steps.ts'
import type { Explained } from './precision.ts'

export function needlessReason(explained: Explained, _write: Step, epochs: readonly string[]): string {
  const own = epochs.find((epoch) => explained.table === epoch.split(' ')[0])
  if (own) return `epoch: ${own.split(' ').slice(1).join(' ')}`
  return explained.plan === 'record' ? 'same row' : 'same class'
}
