/** A value with its arrays in an order that depends on nothing but what they hold. */
import { inspect } from 'node:util'

export function inAnyOrder(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .map(inAnyOrder)
      .map((member) => [inspect(member, { depth: null, breakLength: Number.POSITIVE_INFINITY }), member] as const)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([, member]) => member)
  }
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inAnyOrder(member)]))
}
