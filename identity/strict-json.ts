/**
 * JSON as Behalf's signed objects are read (WIRE.md, "Bytes compare exactly"): RFC 8259 grammar, and stricter: UTF-8 without
 * BOM, no name twice in an object (compared after unescaping), no lone surrogate, every number an integer in digits only below
 * 2^53, bounded depth and members. One text has one reading, whoever reads it.
 */
import { isUtf8 } from 'node:buffer';

export type JsonValue = null | boolean | number | string | JsonArray | JsonObject;
export type JsonArray = readonly JsonValue[];
/** Without prototype, so that no member name means anything to the language. */
export type JsonObject = { readonly [name: string]: JsonValue };

export interface JsonLimits {
  /** Nested objects and arrays, the outermost being 1. */
  readonly maxDepth: number;
  /** Members of one object, elements of one array. */
  readonly maxMembers: number;
}

/** What is wrong with a text, by a closed list. Never contains the text. */
export class JsonDefect {
  readonly why: string;
  readonly at: number;
  constructor(why: string, at: number) {
    this.why = why;
    this.at = at;
  }
}

/** Reads one JSON text, or says what is wrong with it. Throws nothing. */
export function readStrictJson(bytes: Buffer, limits: JsonLimits): JsonValue | JsonDefect {
  if (!isUtf8(bytes)) return new JsonDefect('not UTF-8', 0);
  const reader = new Reader(bytes.toString('utf8'), limits);
  const value = reader.value(0);
  if (value === FAILED) return reader.defect();
  reader.skipSpace();
  return reader.atEnd() ? value : new JsonDefect('something after the value', reader.at);
}

/** Whether a value that was read is an object. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value that was read is an array. */
export function isJsonArray(value: JsonValue | undefined): value is JsonArray {
  return Array.isArray(value);
}

/** Marks a failed read; the reader holds what and where. A value of its own, so that no JSON value is taken for it. */
const FAILED = Symbol('failed');
type Read<T> = T | typeof FAILED;

const MAX_SAFE_DIGITS = 16;

/** Recursive descent over one text. Depth is bounded before each descent, so the stack is too. */
class Reader {
  at = 0;
  private readonly text: string;
  private readonly limits: JsonLimits;
  private why = '';

  constructor(text: string, limits: JsonLimits) {
    this.text = text;
    this.limits = limits;
  }

  defect(): JsonDefect {
    return new JsonDefect(this.why, this.at);
  }

  atEnd(): boolean {
    return this.at === this.text.length;
  }

  value(depth: number): Read<JsonValue> {
    this.skipSpace();
    const code = this.text.charCodeAt(this.at);
    switch (code) {
      case 0x7b:
        return this.object(depth + 1);
      case 0x5b:
        return this.array(depth + 1);
      case 0x22:
        return this.string();
      case 0x74:
        return this.word('true', true);
      case 0x66:
        return this.word('false', false);
      case 0x6e:
        return this.word('null', null);
      default:
        return isDigit(code) ? this.integer() : this.fail('not a JSON value, or a number that is not digits only');
    }
  }

  skipSpace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private object(depth: number): Read<JsonObject> {
    if (depth > this.limits.maxDepth) return this.fail('nested too deep');
    const object = Object.create(null) as Record<string, JsonValue>;
    this.at++;
    if (this.takes(0x7d)) return object;
    for (let members = 1; ; members++) {
      if (members > this.limits.maxMembers) return this.fail('too many members');
      this.skipSpace();
      if (this.text.charCodeAt(this.at) !== 0x22) return this.fail('a member without a name');
      const name = this.string();
      if (name === FAILED) return FAILED;
      if (name in object) return this.fail('a name twice in one object');
      if (!this.takes(0x3a)) return this.fail('a name without a colon');
      const value = this.value(depth);
      if (value === FAILED) return FAILED;
      object[name] = value;
      if (this.takes(0x7d)) return object;
      if (!this.takes(0x2c)) return this.fail('an object that does not end');
    }
  }

  private array(depth: number): Read<JsonArray> {
    if (depth > this.limits.maxDepth) return this.fail('nested too deep');
    const array: JsonValue[] = [];
    this.at++;
    if (this.takes(0x5d)) return array;
    for (;;) {
      if (array.length === this.limits.maxMembers) return this.fail('too many elements');
      const value = this.value(depth);
      if (value === FAILED) return FAILED;
      array.push(value);
      if (this.takes(0x5d)) return array;
      if (!this.takes(0x2c)) return this.fail('an array that does not end');
    }
  }

  /** Most strings have no escape: they are one slice. */
  private string(): Read<string> {
    const begin = ++this.at;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code === 0x22) return this.text.slice(begin, this.at++);
      if (code === 0x5c) return this.escaped(this.text.slice(begin, this.at));
      // Past the end the code is NaN, for which every comparison is false.
      if (!(code >= 0x20)) return this.fail('a string that does not end or holds a control character');
      this.at++;
    }
  }

  private escaped(before: string): Read<string> {
    let text = before;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code === 0x22) {
        this.at++;
        return text.isWellFormed() ? text : this.fail('half of a surrogate pair');
      }
      if (!(code >= 0x20)) return this.fail('a string that does not end or holds a control character');
      if (code !== 0x5c) {
        text += this.text.charAt(this.at++);
        continue;
      }
      const character = this.escape();
      if (character === FAILED) return FAILED;
      text += character;
    }
  }

  private escape(): Read<string> {
    const code = this.text.charCodeAt(this.at + 1);
    if (code === 0x75) return this.unicodeEscape();
    const character = SIMPLE_ESCAPES.get(code);
    if (character === undefined) return this.fail('an unknown escape');
    this.at += 2;
    return character;
  }

  private unicodeEscape(): Read<string> {
    let unit = 0;
    for (let i = this.at + 2; i < this.at + 6; i++) {
      const digit = hexValue(this.text.charCodeAt(i));
      if (digit < 0) return this.fail('an escape without four hexadecimal digits');
      unit = unit * 16 + digit;
    }
    this.at += 6;
    return String.fromCharCode(unit);
  }

  /** Without sign, fraction and exponent: what follows the digits is no number's, so the caller refuses it. */
  private integer(): Read<number> {
    const begin = this.at;
    while (isDigit(this.text.charCodeAt(this.at))) this.at++;
    const digits = this.text.slice(begin, this.at);
    if (digits.length > 1 && digits.charCodeAt(0) === 0x30) return this.fail('a number with a leading zero');
    const value = Number(digits);
    if (digits.length > MAX_SAFE_DIGITS || !Number.isSafeInteger(value)) return this.fail('a number of 2^53 or more');
    return value;
  }

  private word<T extends JsonValue>(word: string, value: T): Read<T> {
    if (!this.text.startsWith(word, this.at)) return this.fail('not a JSON value');
    this.at += word.length;
    return value;
  }

  private takes(code: number): boolean {
    this.skipSpace();
    if (this.text.charCodeAt(this.at) !== code) return false;
    this.at++;
    return true;
  }

  private fail(why: string): typeof FAILED {
    this.why = why;
    return FAILED;
  }
}

const SIMPLE_ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x22, '"'],
  [0x5c, '\\'],
  [0x2f, '/'],
  [0x62, '\b'],
  [0x66, '\f'],
  [0x6e, '\n'],
  [0x72, '\r'],
  [0x74, '\t'],
]);

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function hexValue(code: number): number {
  if (isDigit(code)) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
