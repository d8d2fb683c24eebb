/** The suite for store authors. */
export { type Conformance, type ConformanceCase, type NotAsked, storeConformance } from './conformance.ts'
export { type DescribeOptions, describeStore, type Runner } from './describe-store.ts'
export type { Capability, OpenedStore, StoreSubject } from './subject.ts'
