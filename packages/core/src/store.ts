/** The door for store authors: what a store is, the errors it throws, and the steps of its register. */
export { AsideError, type AsideErrorCode } from './errors.ts'
export { type Clock, systemClock } from './ports/clock.ts'
export type * from './ports/store.ts'
export { lookAtRegister, type VisitedRegister, visitRegister } from './stores/visit-register.ts'
