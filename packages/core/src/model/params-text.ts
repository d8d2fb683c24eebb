/**
 * The driver values of a statement as one text, each with its type: two lists have one text only if they are sent alike.
 * Undefined where a value is none that can be told exactly (an object of the user's, an array for the driver).
 */
export function paramsText(params: readonly unknown[]): string | undefined {
  let text = ''
  for (const param of params) {
    const one = paramText(param)
    if (one === undefined) return undefined
    text += one
  }
  return text
}

function paramText(value: unknown): string | undefined {
  if (typeof value === 'string') return `s${value.length}:${value}`
  if (typeof value === 'number') return Object.is(value, -0) ? 'n-0;' : `n${value};`
  if (value === null) return 'z'
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (typeof value === 'bigint') return `i${value};`
  return objectText(value)
}

function objectText(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Date.prototype) return `d${(value as Date).getTime()};`
  if (prototype !== Buffer.prototype && prototype !== Uint8Array.prototype) return undefined
  const { buffer, byteOffset, byteLength } = value as Uint8Array
  return `b${byteLength}:${Buffer.from(buffer, byteOffset, byteLength).toString('base64')}`
}
