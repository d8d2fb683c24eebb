/** The door for store authors: what a store is, and the errors it throws. */
export { AsideError, type AsideErrorCode } from './errors.ts'
export type { MarkedPart, RegisterAnswer, RegisterSight, RegisterVisit, Store } from './ports/store.ts'
