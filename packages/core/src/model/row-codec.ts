/**
 * The exact text of a row of driver-level values (DESIGN 7, payload).
 *
 * A row of nothing but JSON values is plain JSON, `[1,"a",null,{"k":2}]`. Where JSON would lie about a position, its
 * number stands in a header before the array, and its value in the wire form below: `1,3[7,["i","12"],null,["n","NaN"]]`.
 * In the wire form every array is a tag and its payload, so nothing inside a json value can be mistaken for a tag.
 */

/** What JSON renders exactly, or an array of a tag and its payload. */
type Wire = null | boolean | number | string | readonly Wire[]

/** Deeper values are refused; so are cyclic ones, which have no end. */
const maxDepth = 200
/** More arrays and objects below one value are refused: a few shared objects can unfold into billions. */
const maxNodes = 200_000

interface Walk {
  nodes: number
}

/**
 * The text of a row, or `undefined` where it cannot be told exactly: class instances, functions, symbols, `undefined`,
 * accessors, holes, properties that JSON would drop, nesting without end. Byte arrays and the row itself are taken by
 * position; names hung on those are not looked for.
 */
export function encodeRow(row: readonly unknown[]): string | undefined {
  // A toJSON on Array.prototype or Object.prototype would be called by JSON.stringify.
  if (!isArray(row) || 'toJSON' in row) return undefined
  try {
    const positions = taggedPositions(row)
    return positions ? `${positions.join()}${JSON.stringify(withWire(row, positions))}` : JSON.stringify(row)
  } catch {
    return undefined
  }
}

/** The row of a text, made of fresh memory only; `undefined` for a text that `encodeRow` cannot have made. */
export function decodeRow(text: string): unknown[] | undefined {
  try {
    if (text.charCodeAt(0) !== 0x5b) return decodeTagged(text)
    const row: unknown = JSON.parse(text)
    return Array.isArray(row) ? row : undefined
  } catch {
    return undefined
  }
}

function decodeTagged(text: string): unknown[] {
  const start = text.indexOf('[')
  const header = text.slice(0, start)
  if (!positionList.test(header)) refuse()
  const row = JSON.parse(text.slice(start)) as unknown[]
  let before = -1
  for (const position of header.split(',').map(Number)) {
    if (position <= before || position >= row.length) refuse()
    row[position] = fromWire(row[position] as Wire)
    before = position
  }
  return row
}

const positionList = /^\d+(?:,\d+)*$/

/** Positions whose value JSON would change; `undefined` for none. Throws for what cannot be encoded. */
function taggedPositions(row: readonly unknown[]): number[] | undefined {
  let positions: number[] | undefined
  for (let i = 0; i < row.length; i++) {
    const value = row[i]
    if (typeof value === 'string' || value === null || typeof value === 'boolean') continue
    if (typeof value === 'number' ? isJsonNumber(value) : isJson(value, 0, { nodes: 0 })) continue
    if (positions) positions.push(i)
    else positions = [i]
  }
  return positions
}

function withWire(row: readonly unknown[], positions: readonly number[]): unknown[] {
  const walk: Walk = { nodes: 0 }
  const copy = row.slice()
  for (const position of positions) copy[position] = toWire(row[position], 0, walk)
  return copy
}

/** NaN and the infinities become null in JSON, and -0 becomes 0. */
function isJsonNumber(value: number): boolean {
  return value - value === 0 && !Object.is(value, -0)
}

function isJson(value: unknown, depth: number, walk: Walk): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return isJsonNumber(value)
  if (typeof value !== 'object') return typeof value === 'bigint' ? false : refuse()
  step(depth, walk)
  if (isArray(value)) return elementsOf(value).every((element) => isJson(element, depth + 1, walk))
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  for (const key of Reflect.ownKeys(value)) {
    if (!isJson(dataOf(value, key), depth + 1, walk)) return false
  }
  return true
}

function toWire(value: unknown, depth: number, walk: Walk): Wire {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return isJsonNumber(value) ? value : ['n', Object.is(value, -0) ? '-0' : `${value}`]
  if (typeof value === 'bigint') return ['i', `${value}`]
  if (typeof value !== 'object') return refuse()
  step(depth, walk)
  if (isArray(value)) return ['a', ...elementsOf(value).map((element) => toWire(element, depth + 1, walk))]
  return objectToWire(value, depth, walk)
}

function objectToWire(value: object, depth: number, walk: Walk): Wire {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) return ['o', ...membersToWire(value, depth, walk)]
  if (prototype === null) return ['z', ...membersToWire(value, depth, walk)]
  if (prototype === Date.prototype) return ['d', timeOf(value)]
  if (prototype === Buffer.prototype) return ['b', base64Of(value)]
  return prototype === Uint8Array.prototype ? ['u', base64Of(value)] : refuse()
}

function membersToWire(value: object, depth: number, walk: Walk): Wire[] {
  return Reflect.ownKeys(value).flatMap((key) => [key as string, toWire(dataOf(value, key), depth + 1, walk)])
}

function fromWire(wire: Wire): unknown {
  if (typeof wire !== 'object' || wire === null) return wire
  const [tag, only] = wire
  switch (tag) {
    case 'a':
      return wire.slice(1).map(fromWire)
    case 'o':
      return membersOf(wire)
    case 'z':
      return Object.setPrototypeOf(membersOf(wire), null)
    case 'n':
      return typeof only === 'string' && numbers.has(only) ? Number(only) : refuse()
    case 'i':
      return typeof only === 'string' && integer.test(only) ? BigInt(only) : refuse()
    case 'd':
      return new Date(typeof only === 'number' ? only : Number.NaN)
    case 'b':
      return bytesOf(only)
    case 'u':
      return new Uint8Array(bytesOf(only).buffer)
    default:
      return refuse()
  }
}

const numbers: ReadonlySet<string> = new Set(['NaN', 'Infinity', '-Infinity', '-0'])
const integer = /^-?\d+$/

// Object.fromEntries defines, it does not assign: `__proto__` stays a name like any other.
function membersOf(wire: readonly Wire[]): object {
  const entries: [string, unknown][] = []
  for (let i = 1; i < wire.length; i += 2) entries.push([wire[i] as string, fromWire(wire[i + 1] as Wire)])
  return Object.fromEntries(entries)
}

function isArray(value: unknown): value is unknown[] {
  return Array.isArray(value) && Object.getPrototypeOf(value) === Array.prototype
}

/** Elements of a dense array that has nothing but its elements; a hole shows as `undefined`, which is refused. */
function elementsOf(array: readonly unknown[]): unknown[] {
  const keys = Reflect.ownKeys(array)
  // Index keys come first, then `length`: at this place it proves that no index is missing.
  if (keys[array.length] !== 'length' || keys.length !== array.length + 1) refuse()
  return array.map((_, i) => dataOf(array, keys[i] as string))
}

/** The value of an own, enumerable property that is named by a string and is no accessor. */
function dataOf(object: object, key: PropertyKey): unknown {
  const property = Object.getOwnPropertyDescriptor(object, key)
  return typeof key === 'string' && property?.enumerable && 'value' in property ? property.value : refuse()
}

/** `null` for an invalid date. Throws for an object that only has the prototype of a date. */
function timeOf(value: object): number | null {
  if (Reflect.ownKeys(value).length > 0) refuse()
  const time = Date.prototype.getTime.call(value)
  return Number.isNaN(time) ? null : time
}

function base64Of(value: object): string {
  if (!ArrayBuffer.isView(value) || Object.getOwnPropertySymbols(value).length > 0) return refuse()
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
}

// Buffer.from(text) would take its bytes from a pool that other buffers share.
function bytesOf(base64: unknown): Buffer {
  if (typeof base64 !== 'string') return refuse()
  const bytes = Buffer.alloc(Buffer.byteLength(base64, 'base64'))
  return bytes.write(base64, 'base64') === bytes.length ? bytes : refuse()
}

function step(depth: number, walk: Walk): void {
  walk.nodes += 1
  if (depth > maxDepth || walk.nodes > maxNodes) refuse()
}

function refuse(): never {
  throw refused
}

// One error for all: its stack would cost more than the row. It never leaves this file.
const refused = new Error('This value cannot be encoded exactly')
