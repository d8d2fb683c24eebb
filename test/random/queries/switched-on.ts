/** Whether results of more than single rows are cached: lists, joins, aggregates, set operations, relational queries. */
export const RESULTS_CACHED: boolean = false
