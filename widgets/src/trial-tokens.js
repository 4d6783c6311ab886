// The tokens of a filter of the table; pure functions without the DOM. See ../README.md.

/**
 * A part of a filter's text, from one index to another. `name` has the index of its entry, `word` and `text` what is
 * written, `number` its value; `sign` is a comparison, `calculation` one of + - * /.
 * @typedef {"and" | "or" | "not" | "(" | ")" | "sign" | "calculation" | "name" | "text" | "word" | "number" | "end"} Kind
 * @typedef {{kind: Kind, from: number, to: number, text: string, entry: number, value: number}} Token
 */

/** A filter that cannot be read: why, and where. */
export class FilterError extends Error {
  /**
   * @param {string} message
   * @param {{from: number, to: number}} at
   */
  constructor(message, { from, to }) {
    super(message);
    this.from = from;
    this.to = to;
  }
}

const NAME_CHARACTER = /[\p{L}\p{N}_./-]/u;
const WORD_RUN = /[^\s<>=!~()&|,;"']+/uy;
const SIGN_RUN = /[<>=!~]+/uy;
const NUMBER_HERE = /[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?/iy;
const OPERATOR = /^[-+*/]$/;
const MAX_CHAIN = 500; // characters of a calculation without spaces
const NUMBER = /^[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** @type {Record<string, Kind>} */
const KEYWORDS = { and: "and", or: "or", not: "not", "&": "and", "&&": "and", "|": "or", "||": "or" };
/** @type {Record<string, string>} */
const SPELLINGS = { "<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "==", "==": "==", "!=": "!=" };
/** @type {Record<string, string>} */
const MISSPELLED = { "=>": ">=", "=<": "<=", "<>": "!=", "===": "==", "!==": "!=", "=!": "!=", "~=": "!=", "!~": "!=" };

/**
 * Return the tokens of a filter; the last one is its end.
 * @param {string} text
 * @param {string[][]} names of each entry of a row
 * @returns {Token[]}
 * @throws {FilterError}
 */
export function tokenize(text, names) {
  const known = names
    .flatMap((own, entry) => own.filter(Boolean).map((name) => ({ name, lower: name.toLowerCase(), entry })))
    .sort((a, b) => b.name.length - a.name.length);
  /** @type {Token[]} */
  const tokens = [];
  let at = 0;

  /** @param {Kind} kind @param {number} length @param {Partial<Token>} [more] */
  function add(kind, length, more = {}) {
    tokens.push({ kind, from: at, to: at + length, text: text.slice(at, at + length), entry: -1, value: NaN, ...more });
    at += length;
  }

  /** Return the longest name that begins here, preferably in the same case. */
  function nameHere() {
    const matches = known.filter(({ name, lower }) => {
      if (text.slice(at, at + name.length).toLowerCase() !== lower) return false;
      const [last, next] = [name[name.length - 1], text.slice(at + name.length).match(/^./u)?.[0] ?? ""];
      return !(NAME_CHARACTER.test(last) && NAME_CHARACTER.test(next));
    });
    return (
      matches.find(({ name }) => text.startsWith(name, at) && name.length === matches[0].name.length) ?? matches[0]
    );
  }

  /** @typedef {{length: number, entry: number, named: boolean}} Link `named`: a column or a bracket is in the chain */
  /** @type {Map<number, Link | null>} */
  const links = new Map();

  /**
   * Return the first operand of a calculation without spaces, such as lr*2; null where its parts are something else.
   * @param {number} from
   * @returns {Link | null}
   */
  function chain(from) {
    const seen = links.get(from);
    if (seen !== undefined) return seen;
    const number = matched(NUMBER_HERE, text, from).length;
    const names = known.filter(({ name, lower }) => text.slice(from, from + name.length).toLowerCase() === lower);
    const exact = names.filter(({ name }) => text.startsWith(name, from));
    const operands = [...exact, ...names].map(({ name, entry }) => ({ length: name.length, entry }));
    operands.sort((a, b) => b.length - a.length);
    if (number) operands.push({ length: number, entry: -1 });
    /** @type {Link | null} */
    let found = null;
    for (const { length, entry } of operands) {
      const end = from + length;
      const isWhole = !NAME_CHARACTER.test(text[end - 1]) || !matched(WORD_RUN, text, end);
      const rest = OPERATOR.test(text[end] ?? "") ? after(end + 1) : isWhole ? { named: false } : null;
      if (rest) {
        found = { length, entry, named: entry >= 0 || rest.named };
        break;
      }
    }
    links.set(from, found);
    return found;
  }

  /** What follows an operator. @param {number} from @returns {{named: boolean} | null} */
  function after(from) {
    const begin = from + matched(/\s*/uy, text, from).length;
    return /^["'(]/.test(text[begin] ?? "") ? { named: true } : chain(begin);
  }

  /** Whether an operator without a space before or after it continues a calculation. */
  function continues() {
    const last = tokens.at(-1);
    if (!last || !OPERATOR.test(text[at])) return false;
    if (last.to === at) return ["name", "number", "text", ")"].includes(last.kind);
    return last.kind === "name" && text.length - at < MAX_CHAIN && chain(at + 1) !== null;
  }

  /** Numbers alone, such as 2024-01-05, are a calculation only beside a comparison of numbers. @param {string} word */
  function linkHere(word) {
    const link = word && word.length < MAX_CHAIN && !NUMBER.test(word) ? chain(at) : null;
    if (!link || link.named) return link;
    const last = tokens.at(-1);
    const isOrdered = last?.kind === "calculation" || (last?.kind === "sign" && /[<>]/.test(last.text));
    return isOrdered || /^\s*[<>]/u.test(text.slice(at + word.length)) ? link : null;
  }

  while (at < text.length) {
    const letter = text[at];
    if (/\s/u.test(letter)) {
      at++;
      continue;
    }
    const name = nameHere();
    const word = matched(WORD_RUN, text, at);
    const keyword = word.length >= (name?.name.length ?? 0) && Object.hasOwn(KEYWORDS, word.toLowerCase());
    if (name && !keyword && !NUMBER.test(word)) add("name", name.name.length, { entry: name.entry });
    else if (!keyword && continues()) add("calculation", 1);
    else if (letter === '"' || letter === "'") {
      const end = text.indexOf(letter, at + 1);
      if (end < 0)
        throw new FilterError(`the text after ${letter} has no end: expected another ${letter}`, span(at, text));
      add("text", end + 1 - at, { text: text.slice(at + 1, end) });
    } else if (letter === "(" || letter === ")") add(letter, 1);
    else if (letter === "&" || letter === "|") {
      const length = text[at + 1] === letter ? 2 : 1;
      add(KEYWORDS[letter], length);
    } else if (letter === "," || letter === ";") {
      const sign = letter === "," ? "commas" : "semicolons";
      throw new FilterError(`${sign} have no meaning here: join conditions with and, or`, { from: at, to: at + 1 });
    } else if (!word) addSigns(matched(SIGN_RUN, text, at));
    else if (keyword) add(KEYWORDS[word.toLowerCase()], word.length);
    else if (OPERATOR.test(word)) add("calculation", 1);
    else if (NUMBER.test(word)) add("number", word.length, { value: Number(word.replaceAll("_", "")) });
    else {
      const link = linkHere(word);
      if (!link) add("word", word.length);
      else if (link.entry >= 0) add("name", link.length, { entry: link.entry });
      else {
        const value = Number(text.slice(at, at + link.length).replaceAll("_", ""));
        add("number", link.length, { value });
      }
    }
  }
  add("end", 0);
  return tokens;

  /** @param {string} signs */
  function addSigns(signs) {
    const negated = signs === "!" || signs === "~";
    if (negated) add("not", 1);
    else if (Object.hasOwn(SPELLINGS, signs)) add("sign", signs.length, { text: SPELLINGS[signs] });
    else {
      const hint = Object.hasOwn(MISSPELLED, signs) ? `write ${MISSPELLED[signs]}` : "compare with < <= > >= == or !=";
      throw new FilterError(`${signs} is not understood: ${hint}`, { from: at, to: at + signs.length });
    }
  }
}

/**
 * Return what a sticky pattern matches at an index.
 * @param {RegExp} pattern
 * @param {string} text
 * @param {number} at
 */
function matched(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

/** @param {number} from @param {string} text */
const span = (from, text) => ({ from, to: text.length });

/**
 * Return the name that is most like a wrong one; undefined where none is.
 * @param {string} wrong
 * @param {string[]} names
 */
export function nearest(wrong, names) {
  if (wrong.length > 40) return;
  const limit = Math.max(1, Math.floor(wrong.length / 3));
  const ranked = names
    .map((name) => ({ name, far: distance(wrong.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.far - b.far);
  return ranked[0] && ranked[0].far <= limit ? ranked[0].name : undefined;
}

/**
 * Return the number of letters to insert, delete or replace to make one text of another.
 * @param {string} one
 * @param {string} other
 */
function distance(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++)
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + Number(one[i - 1] !== other[j - 1])));
    row = next;
  }
  return row[other.length];
}
