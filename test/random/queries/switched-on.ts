/** Whether results of more than single rows are cached: lists, joins, aggregates, set operations, relational queries. */
export const RESULTS_CACHED: boolean = true

/** Whether wrapped dbs with other lists and column groups learn of each other over their store. */
export const CONFIGURATIONS_DIFFER: boolean = true
