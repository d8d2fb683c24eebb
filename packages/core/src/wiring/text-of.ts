/** The only text of an answer. */
export const textOf = (rows: readonly (readonly unknown[])[]): string => String(rows[0]?.[0])
