// The filter of the table: a condition over the entries of a row; pure functions without the DOM. See ../README.md.
// Its grammar is that of stop conditions (nbtune/spec/options/condition.py), with & | ! = and words to search for.

import { format } from "./page.js";
import {
  calculated,
  compared,
  contains,
  equals,
  joined,
  negated,
  noneOrText,
  numberOf,
  opposite,
  STATUS,
} from "./trial-conditions.js";
import { STATUSES } from "./trial-rows.js";
import { FilterError, nearest, tokenize } from "./trial-tokens.js";

/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-tokens.js").Token} Token */
/** @typedef {import("./trial-conditions.js").Condition} Condition */
/** @typedef {import("./trial-conditions.js").Truth} Truth */
/** @typedef {{token: Token, reading: string, of: import("./trial-conditions.js").Value | null}} Operand `of`: its number; null for text */
/**
 * @typedef {{error: string, from: number, to: number, reading: string, test: (row: Row) => boolean}} Filter
 *   `error`: why the text cannot be read, with the range of it that is wrong; `reading`: how it was understood
 */

const MAX_DEPTH = 100;
const WORDS = /** @type {Record<string, number>} */ ({ nan: Number.NaN, inf: Infinity, infinity: Infinity });
const STOPPED_EARLY = "stopped early"; // the status "stopped" as it is shown
/**
 * Parse a filter. Every text is either a filter, or has an error with its range.
 * @param {string} text
 * @param {Column[]} columns
 * @returns {Filter}
 */
export function parseFilter(text, columns) {
  try {
    const parsed = new Parser(text, columns).whole();
    return { error: "", from: 0, to: 0, reading: parsed.reading, test: (row) => parsed.truth(row) === true };
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    const [from, to] = error.from < error.to ? [error.from, error.to] : [error.from, error.from];
    return { error: error.message, from, to, reading: "", test: () => true };
  }
}

class Parser {
  /** @param {string} text @param {Column[]} columns */
  constructor(text, columns) {
    this.columns = columns;
    this.names = [["trial"], ["status"], ...columns.map(({ label, key }) => [label, key])];
    this.tokens = tokenize(text, this.names);
    this.at = 0;
    this.depth = 0;
  }

  get next() {
    return this.tokens[this.at];
  }

  take() {
    return this.tokens[this.at++];
  }

  /** @returns {Condition} */
  whole() {
    if (this.next.kind === "end") return { truth: () => true, reading: "", joined: false };
    const condition = this.alternatives();
    if (this.next.kind === ")") throw new FilterError("this ) closes no (", this.next);
    return condition;
  }

  /** @returns {Condition} */
  alternatives() {
    const parts = [this.conjunction()];
    while (this.next.kind === "or") {
      this.take();
      parts.push(this.conjunction());
    }
    return joined(parts, "or", true);
  }

  /** Conditions without a word between them are joined by `and`. @returns {Condition} */
  conjunction() {
    const parts = [this.negation()];
    while (!["or", ")", "end"].includes(this.next.kind)) {
      if (this.next.kind === "and") this.take();
      parts.push(this.negation());
    }
    return joined(parts, "and", false);
  }

  /** @returns {Condition} */
  negation() {
    const opening = this.next;
    if (opening.kind !== "not" && opening.kind !== "(") return this.comparison();
    const after = opening.kind === "(" ? this.afterGroup() : undefined;
    if (after && ["sign", "calculation"].includes(after.kind)) return this.comparison();
    this.take();
    if (++this.depth > MAX_DEPTH) throw new FilterError("nested too deeply: use fewer brackets", opening);
    const inner = opening.kind === "(" ? this.alternatives() : this.negation();
    this.depth--;
    if (opening.kind === "(") {
      if (this.next.kind !== ")") throw new FilterError("this ( is not closed: expected a )", opening);
      this.take();
      return inner;
    }
    return negated(inner);
  }

  /** Return the token after a calculation in brackets, which begins here; undefined if they hold something else. */
  afterGroup() {
    let open = 0;
    for (let i = this.at; i < this.tokens.length; i++) {
      const { kind } = this.tokens[i];
      if (["sign", "and", "or", "not", "end"].includes(kind)) return;
      open += Number(kind === "(") - Number(kind === ")");
      if (open === 0) return this.tokens[i + 1];
    }
  }

  /** Parse a calculation in brackets. @param {string} sign @returns {Operand} */
  group(sign) {
    const opening = this.take();
    if (++this.depth > MAX_DEPTH) throw new FilterError("nested too deeply: use fewer brackets", opening);
    const inner = this.calculation(sign);
    this.depth--;
    if (this.next.kind !== ")")
      throw new FilterError(`expected a ) or one of + - * /, got ${this.next.text}`, this.next);
    const { to } = this.take();
    if (inner.token.kind !== "calculation") return inner;
    const reading = `(${inner.reading})`;
    return { ...inner, reading, token: { ...inner.token, text: reading, from: opening.from, to } };
  }

  /** @returns {Condition} */
  comparison() {
    const first = this.calculation("");
    if (this.next.kind !== "sign") return this.alone(first);
    /** @type {Condition[]} */
    const parts = [];
    let left = first;
    while (this.next.kind === "sign") {
      const sign = this.take();
      const right = this.calculation(sign.text);
      parts.push(this.compared(left, sign, right));
      left = right;
    }
    return joined(parts, "and", false);
  }

  /**
   * Return the condition of a part without a comparison: a word or a text that is searched for.
   * @param {Operand} operand
   * @returns {Condition}
   */
  alone({ token, reading }) {
    const { next } = this;
    if (token.kind === "name" || token.kind === "calculation") {
      const isValue = ["name", "text", "word", "number"].includes(next.kind);
      const got = isValue ? `, got ${next.text}` : "";
      const search = token.kind === "name" ? "; to search for the word, write it in quotes" : "";
      const where = isValue ? next : token;
      throw new FilterError(
        `expected a comparison after ${reading}, such as ${reading} ${token.entry === STATUS ? "== failed" : "> 0.5"}${got}${search}`,
        where,
      );
    }
    return { truth: contains(token.text.toLowerCase()), reading: quoted(token.text), joined: false };
  }

  /**
   * Parse a value, or a calculation with values, from left to right: * and / before + and -.
   * @param {string} sign the comparison before it; empty on its left side
   * @returns {Operand}
   */
  calculation(sign) {
    let sum = this.product(sign);
    while (this.next.kind === "calculation" && "+-".includes(this.next.text))
      sum = this.calculated(sum, this.take(), this.product("+"));
    return sum;
  }

  /** @param {string} sign @returns {Operand} */
  product(sign) {
    let product = this.operand(sign);
    while (this.next.kind === "calculation" && "*/".includes(this.next.text))
      product = this.calculated(product, this.take(), this.operand("*"));
    return product;
  }

  /** @param {Operand} left @param {Token} sign @param {Operand} right @returns {Operand} */
  calculated(left, sign, right) {
    const of = calculated(sign.text, this.number(left, sign), this.number(right, sign));
    const reading = `${left.reading} ${sign.text} ${right.reading}`;
    /** @type {Token} */
    const token = { ...left.token, kind: "calculation", text: reading, to: right.token.to };
    return { token, reading, of };
  }

  /**
   * Return the next value.
   * @param {string} sign what comes before it; empty at the beginning of a condition
   * @returns {Operand}
   */
  operand(sign) {
    const token = this.next;
    if (token.kind === "(" && this.afterGroup()) return this.group(sign);
    if (!["name", "text", "word", "number"].includes(token.kind)) {
      const before = this.tokens[this.at - 1] ?? { from: 0, to: 0 };
      const where = token.kind === "end" ? { from: before.from, to: before.to } : token;
      if (sign) throw new FilterError(`expected a value after ${sign}`, where);
      if (token.kind === "sign") throw new FilterError(`expected a column name before ${token.text}`, token);
      const got = token.kind === "end" ? "" : `, got ${token.text}`;
      throw new FilterError(`expected a comparison such as accuracy >= 0.99${got}`, where);
    }
    this.take();
    let after = this.at;
    while (this.tokens[after].kind === ")") after++;
    const compared = ["sign", "calculation"].includes(this.tokens[after].kind);
    const isColumn = token.kind === "text" && (sign ? sign !== "==" && sign !== "!=" : compared);
    const entry = isColumn ? entryNamed(this.names, token.text) : token.entry;
    const plain = token.text.toLowerCase().replace(/^[+-]/, "");
    if (entry >= 0) {
      const reading = this.names[entry][0];
      return { token: { ...token, kind: "name", entry }, reading, of: numberOf(entry) };
    }
    if (token.kind === "word" && Object.hasOwn(WORDS, plain)) {
      const value = token.text.startsWith("-") ? -WORDS[plain] : WORDS[plain];
      return { token, reading: token.text, of: () => value };
    }
    return { token, reading: written(token), of: token.kind === "number" ? () => token.value : null };
  }

  /**
   * Return the number of an operand that has to be one.
   * @param {Operand} operand
   * @param {Token} sign
   */
  number({ token, of }, sign) {
    if (token.kind === "name" && token.entry === STATUS)
      throw new FilterError("a status has no order: compare it with == or !=", token);
    if (of) return of;
    if (token.from < sign.from) throw this.unknown(token);
    throw new FilterError(`expected a number after ${sign.text}, got ${token.text}`, token);
  }

  /** @param {Token} token */
  unknown(token) {
    const names = this.names.map(([name]) => name);
    const similar = nearest(token.text, names);
    const operator = /.([-+*/])./u.exec(token.text)?.[1];
    const spaces = operator ? `; in a calculation, write spaces around ${operator}` : "";
    const hint = similar ? `did you mean ${similar}?` : `the columns are ${listed(names)}${spaces}`;
    return new FilterError(`unknown column ${token.text}: ${hint}`, token);
  }

  /** @param {Operand} left @param {Token} sign @param {Operand} right @returns {Condition} */
  compared(left, sign, right) {
    const reading = `${left.reading} ${sign.text} ${right.reading}`;
    const [isLeft, isRight] = [left, right].map(({ token, of }) => token.kind === "name" || (of && !isLiteral(token)));
    if (!isLeft && !isRight) {
      if (left.token.kind === "number") throw new FilterError(`expected a column name beside ${sign.text}`, left.token);
      throw this.unknown(left.token);
    }
    if (sign.text !== "==" && sign.text !== "!=") {
      const truth = compared(sign.text, this.number(left, sign), this.number(right, sign));
      return { truth, reading, joined: false };
    }
    const [column, value] = isLeft ? [left, right] : [right, left];
    const same = this.equality(column, sign, value);
    return { truth: sign.text === "==" ? same : opposite(same), reading, joined: false };
  }

  /**
   * Return whether a column, or a calculation, has a value.
   * @param {Operand} column
   * @param {Token} sign
   * @param {Operand} value
   * @returns {Truth}
   */
  equality(column, sign, value) {
    const { entry, kind } = column.token;
    const known = kind !== "name" ? null : entry === STATUS ? STATUSES : choicesOf(this.columns[entry - 2]);
    const wanted = value.token.text.toLowerCase();
    const isText = value.token.kind === "text";
    const isKnown = known?.some((one, i) => one.toLowerCase() === wanted && !(isText && this.isNull(entry, i)));
    const isColumn = value.token.kind === "name" || (value.of && !isLiteral(value.token));
    if (value.token.from < sign.from && value.token.kind === "word" && !isKnown && !value.of)
      throw this.unknown(value.token);
    if (kind !== "name" || (isColumn && !isKnown)) {
      return compared("==", this.number(column, sign), this.number(value, sign));
    }
    if (wanted === "none" && !isText) return noneOrText(entry);
    const number = value.of ? value.of(/** @type {any} */ ([])) : null;
    const isStop = entry === STATUS && /^(stopped|pruned) /.test(wanted);
    if (known && !isKnown && !isStop && (number === null || entry === STATUS)) {
      const similar = nearest(wanted, known);
      const hint = similar ? `did you mean ${similar}?` : `its values are ${listed(known)}`;
      throw new FilterError(`${column.reading} has no value ${value.token.text}: ${hint}`, value.token);
    }
    const numbers = ["int", "float"].includes(this.columns[entry - 2]?.kind ?? "");
    if ((numbers || entry === 0) && number === null)
      throw new FilterError(`expected a number after ${sign.text}, got ${value.token.text}`, value.token);
    const same = equals(entry, wanted === STOPPED_EARLY ? "stopped" : wanted, number);
    return isText ? (row) => row[entry] !== null && same(row) : same;
  }

  /** Whether a choice of a column is None, and not a text. @param {number} entry @param {number} choice */
  isNull(entry, choice) {
    return entry !== STATUS && this.columns[entry - 2]?.choices?.[choice] === null;
  }
}

/** @param {Token} token */
const isLiteral = ({ kind }) => kind === "number" || kind === "word" || kind === "text";

/** A text in quotes, which has not both kinds of them. @param {string} text */
const quoted = (text) => (text.includes('"') ? `'${text}'` : `"${text}"`);

/** @param {Token} token */
const written = ({ kind, text }) => (kind === "text" ? quoted(text) : text);

/** Return the values of a categorical column as they are shown; null for another one. @param {Column | undefined} column */
const choicesOf = (column) => column?.choices?.map(format) ?? null;

/** @param {string[]} names */
const listed = (names) => names.slice(0, 6).join(", ") + (names.length > 6 ? ", …" : "");

/**
 * Return the index of the entry with a name, preferably with the same case; -1 where there is none.
 * @param {string[][]} names of each entry
 * @param {string} name
 */
function entryNamed(names, name) {
  const exact = names.findIndex((known) => known.includes(name));
  if (exact >= 0) return exact;
  return names.findIndex((known) => known.some((one) => one.toLowerCase() === name.toLowerCase()));
}
