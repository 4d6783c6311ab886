import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFilter } from "../src/trial-filter.js";
import { writeStatus } from "../src/trial-rows.js";

/** @typedef {import("../src/trial-rows.js").Row} Row */

const columns = [
  { key: "config/lr", label: "lr", role: "param", kind: "float" },
  { key: "config/opt", label: "opt", role: "param", kind: "any" },
  { key: "accuracy", label: "accuracy", role: "metric" },
  { key: "accuracy/best", label: "best accuracy", role: "best" },
  { key: "time_s", label: "time (s)", role: "time_s" },
  { key: "config/act", label: "act", role: "param", kind: "choice", choices: ["relu", "tanh", null] },
];
/** @type {Row[]} */
const rows = [
  [0, "finished", 0.001, "adam", 0.9, 0.95, 7, "relu"],
  [1, "failed", 0.1, "sgd", "NaN", 0.4, 8, "tanh"],
  [2, "running", 0.02, "Adam W", 0.5, 0.6, 9, null],
  [3, "stopped", 0.5, "<img>", "Infinity", "Infinity", 10, "relu"],
  [4, "pending", 0.00310234, true, "", "", "", "relu"],
];

/** @param {string} text */
function found(text) {
  const { error, from, to, test: matches } = parseFilter(text, columns);
  return error ? `${error} [${text.slice(from, to)}]` : rows.filter(matches).map((row) => row[0]);
}

test("a filter has words and comparisons", () => {
  assert.deepEqual(found(""), [0, 1, 2, 3, 4]);
  assert.deepEqual(found("ADAM"), [0, 2]);
  assert.deepEqual(found('"adam w"'), [2]);
  assert.deepEqual(found("lr < 0.01"), [0, 4]);
  assert.deepEqual(found("lr<=0.001"), [0]);
  assert.deepEqual(found("lr >= 1e-1"), [1, 3]);
  assert.deepEqual(found("config/lr > .1"), [3]);
  assert.deepEqual(found("LR = 0.1"), [1]);
  assert.deepEqual(found("lr = 0.003102"), [4], "as it is shown");
  assert.deepEqual(found("status = failed"), [1]);
  assert.deepEqual(found("status = stopped"), [3]);
  assert.deepEqual(found('status == "stopped early"'), [3]);
  assert.deepEqual(found("status != stopped"), [0, 1, 2, 4]);
  assert.deepEqual(found("opt != adam"), [1, 2, 3, 4]);
  assert.deepEqual(found("opt = true"), [4]);
  assert.deepEqual(found("accuracy = nan"), [1]);
  assert.deepEqual(found("accuracy = none"), [4]);
  assert.deepEqual(found("accuracy > 0"), [0, 2, 3]);
  assert.deepEqual(found("accuracy < inf"), [0, 2]);
  assert.deepEqual(found("best accuracy > 0.9"), [0, 3], "a name of two words");
  assert.deepEqual(found("trial >= 2 and lr < 0.1"), [2, 4]);
  assert.deepEqual(found("adam lr < 0.01"), [0]);
  assert.deepEqual(found('"<img>"'), [3]);
});

test("a status is also found by the words that say by what a trial was stopped", () => {
  /** @type {Row} */
  const row = [7, "stopped", 0.5];
  writeStatus(row, "stopped by asha");
  const matches = (/** @type {string} */ text) => parseFilter(text, columns.slice(0, 1)).test(row);
  for (const text of ["status = stopped", 'status = "stopped by asha"', "asha", "status = 'stopped early'"])
    assert.ok(matches(text), text);
  assert.ok(!matches('status = "stopped by you"'));
});

test("and, or, not and brackets, also as signs", () => {
  assert.deepEqual(found("lr < 0.01 or status = failed"), [0, 1, 4]);
  assert.deepEqual(found("lr < 0.01 | status = failed"), [0, 1, 4]);
  assert.deepEqual(found("(lr < 0.01) & (opt == adam)"), [0]);
  assert.deepEqual(found("lr < 0.01 && opt == adam || failed"), [0, 1]);
  assert.deepEqual(found("failed or lr < 0.01 and opt = adam"), [0, 1], "and binds stronger");
  assert.deepEqual(found("(failed or lr < 0.01) and opt = adam"), [0]);
  assert.deepEqual(found("not status = failed"), [0, 2, 3, 4]);
  assert.deepEqual(found("~(status = failed) & !(opt = adam)"), [2, 3, 4]);
  assert.deepEqual(found("NOT failed AND lr >= 0.02"), [2, 3]);
  assert.deepEqual(found("not not failed"), [1]);
  assert.deepEqual(found("failed or running"), [1, 2]);
});

test("a missing value is neither smaller nor greater, and so is its not; NaN compares as in Python", () => {
  assert.deepEqual(found("accuracy > 0.6"), [0, 3]);
  assert.deepEqual(found("not accuracy > 0.6"), [1, 2]);
  assert.deepEqual(found("accuracy != 0.5"), [0, 1, 3]);
  assert.deepEqual(found("not accuracy = none and not accuracy = 0.9"), [1, 2, 3]);
  assert.deepEqual(found("act = none"), [2]);
  assert.deepEqual(found("act != relu"), [1, 2], "None is a value");
});

test("text in quotes is the text; the word none is None or the text", () => {
  const aug = [{ key: "config/aug", label: "aug", role: "param", kind: "choice", choices: ["none", "flip", null] }];
  const kinds = [{ ...aug[0] }, { ...aug[0], kind: "any", choices: undefined }];
  /** @type {Row[]} */
  const cells = ["none", "flip", null].map((cell, trial) => [trial, "finished", cell]);
  for (const column of kinds) {
    const trials = (/** @type {string} */ text) =>
      cells.filter(parseFilter(text, /** @type {any} */ ([column])).test).map(([trial]) => trial);
    assert.deepEqual(trials("aug = none"), [0, 2]);
    assert.deepEqual(trials("aug = None"), [0, 2]);
    assert.deepEqual(trials("aug = 'none'"), [0]);
    assert.deepEqual(trials("aug != 'none'"), [1, 2]);
    assert.deepEqual(trials("aug != none"), [1]);
  }
  assert.equal(found("act = 'none'"), "act has no value none: did you mean None? ['none']");
});

test("calculations need no spaces where their parts are columns and numbers", () => {
  assert.deepEqual(found("lr*2 > 0.1"), [1, 3]);
  assert.deepEqual(found("1/lr > 100"), [0, 4]);
  assert.deepEqual(found("1/lr>100"), [0, 4]);
  assert.deepEqual(found("lr+1>1.1"), [3]);
  assert.deepEqual(found("lr-1 > -0.9"), [3]);
  assert.deepEqual(found("lr -1 > -0.9"), [3]);
  assert.deepEqual(found("lr *2 > 0.1"), [1, 3]);
  assert.deepEqual(found("lr* 2 > 0.1"), [1, 3]);
  assert.deepEqual(found("accuracy/2 > 0.3"), [0, 3]);
  assert.deepEqual(found("2*best accuracy-accuracy>0.9"), [0]);
  assert.deepEqual(found("time (s)/2*2+1=9"), [1]);
  assert.deepEqual(found("config/lr*1e-1 > 2e-2"), [3]);
  assert.deepEqual(found("lr > 1/10"), [3]);
  assert.deepEqual(found("lr*-2 < -0.1"), [1, 3]);
  assert.deepEqual(found("2024-01-05"), [], "a word to search for");
  assert.equal(
    found("foo*2 > 1"),
    "unknown column foo*2: the columns are trial, status, lr, opt, accuracy, best accuracy, …; in a calculation, write spaces around * [foo*2]",
  );
});

test("the longest column name wins over a calculation", () => {
  const odd = ["a", "b", "a/b", "a-1"].map((key) => ({ key, label: key, role: "param" }));
  /** @type {Row} */
  const row = [0, "running", 8, 2, 100, 200];
  for (const text of ["a/b = 100", "a-1 = 200", "a / b = 4", "a-b = 6", "a/b/b = 50", "a-1-a=192", "b/a=0.25"])
    assert.deepEqual([parseFilter(text, odd).error, parseFilter(text, odd).test(row)], ["", true], text);
});

test("calculations are grouped by brackets", () => {
  assert.deepEqual(found("2*(lr+1)>2.1"), [1, 3]);
  assert.deepEqual(found("2 * (lr + 1) > 2.1"), [1, 3]);
  assert.deepEqual(found("lr > (0.1)"), [3]);
  assert.deepEqual(found("(lr) > 0.1"), [3]);
  assert.deepEqual(found("((lr + 1) * 2 > 2.1) and not (lr+1)*2 > 2.5"), [1]);
  assert.deepEqual(found('("best accuracy" - accuracy)*10 > 0.9'), [2]);
  assert.deepEqual(found("opt = (adam)"), [0]);
  assert.deepEqual(found("(adam)"), [0, 2], "a word to search for");
  assert.equal(parseFilter("2*(lr+1)>2.1", columns).reading, "2 * (lr + 1) > 2.1");
  assert.equal(found("lr > (1"), "expected a value after > [(]");
  assert.match(String(found(`lr > ${"(".repeat(200)}1${")".repeat(200)}`)), /nested too deeply/);
});

test("chains, columns on both sides, and calculations", () => {
  assert.deepEqual(found("0.005 < lr <= 0.1"), [1, 2]);
  assert.deepEqual(found("best accuracy > accuracy"), [0, 2]);
  assert.deepEqual(found('"best accuracy" - accuracy >= 0.09'), [2]);
  assert.deepEqual(found("time (s) / 2 * 2 + 1 = 9"), [1]);
  assert.deepEqual(found("1 + trial > 4"), [4]);
  assert.deepEqual(found("lr / 0 > 1"), []);
  assert.deepEqual(found("time_s > 8"), [2, 3]);
});

test("a filter that cannot be read says why and where", () => {
  const cases = {
    "foo < 1": "unknown column foo: the columns are trial, status, lr, opt, accuracy, best accuracy, … [foo]",
    "acuracy > 0.5": "unknown column acuracy: did you mean accuracy? [acuracy]",
    "lr <": "expected a value after < [<]",
    "lr < abc": "expected a number after <, got abc [abc]",
    "lr = abc": "expected a number after ==, got abc [abc]",
    "= 3": "expected a column name before == [=]",
    "<img>": "expected a column name before < [<]",
    "status = faild": "status has no value faild: did you mean failed? [faild]",
    "status > 3": "a status has no order: compare it with == or != [status]",
    "act = swish": "act has no value swish: its values are relu, tanh, None [swish]",
    "lr => 1": "=> is not understood: write >= [=>]",
    "lr <> 1": "<> is not understood: write != [<>]",
    "lr < 1, opt = adam": "commas have no meaning here: join conditions with and, or [,]",
    "(lr < 1": "this ( is not closed: expected a ) [(]",
    "lr < 1)": "this ) closes no ( [)]",
    "lr < 1 and": "expected a comparison such as accuracy >= 0.99 [and]",
    "and lr < 1": "expected a comparison such as accuracy >= 0.99, got and [and]",
    "opt = 'adam": "the text after ' has no end: expected another ' ['adam]",
    "3 < 4": "expected a column name beside < [3]",
    "opt in (adam, sgd)": "commas have no meaning here: join conditions with and, or [,]",
    "lr between 1":
      "expected a comparison after lr, such as lr > 0.5, got between; to search for the word, write it in quotes [between]",
    "status failed":
      "expected a comparison after status, such as status == failed, got failed; to search for the word, write it in quotes [failed]",
    "lr - 1": "expected a comparison after lr - 1, such as lr - 1 > 0.5 [lr - 1]",
  };
  for (const [text, error] of Object.entries(cases)) assert.equal(found(text), error, text);
  assert.match(String(found("(".repeat(9999))), /nested too deeply/);
  assert.match(String(found("not ".repeat(9999))), /nested too deeply/);
});

test("a filter says how it is understood", () => {
  const reading = (/** @type {string} */ text) => parseFilter(text, columns).reading;
  assert.equal(reading("LR<.1 & (status=failed | adam)"), 'lr < .1 and (status == failed or "adam")');
  assert.equal(reading("!(0 < lr < 1)"), "not (0 < lr and lr < 1)");
});

test("names with characters of regular expressions", () => {
  const odd = [{ key: "a.b(c)[0]", label: "a.b(c)[0]", role: "param" }];
  /** @type {Row} */
  const row = [0, "running", 2];
  assert.deepEqual([parseFilter("a.b(c)[0] > 1", odd).error, parseFilter("a.b(c)[0] > 1", odd).test(row)], ["", true]);
});

/** A generator of numbers below a limit. @param {number} seed */
function seeded(seed) {
  let state = seed;
  return (/** @type {number} */ limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const PIECES =
  "lr opt accuracy status trial time_s time (s) best accuracy and or not AND & | && || ! ~ ( ) < <= > >= = == != <> => + - * / , ; ' \" 0.5 1e-3 -2 inf nan None true adam failed faild é 😀 \ud800 [ ] { } . … constructor __proto__ toString".split(
    " ",
  );

test("every text is a filter, or has an error with its range", () => {
  const next = seeded(7);
  let valid = 0;
  for (let i = 0; i < 20_000; i++) {
    const length = next(12);
    const parts = Array.from({ length }, () => PIECES[next(PIECES.length)]);
    const text = parts.join(next(3) ? " " : "");
    const { error, from, to, reading, test: matches } = parseFilter(text, columns);
    for (const row of rows) assert.equal(typeof matches(row), "boolean", text);
    if (error) {
      assert.ok(0 <= from && from <= to && to <= text.length, text);
      assert.ok(from < to, `the range of ${JSON.stringify(text)}: ${error} is empty`);
      continue;
    }
    valid++;
    const again = parseFilter(reading, columns);
    assert.equal(again.error, "", `${text} -> ${reading}`);
    assert.deepEqual(rows.filter(again.test), rows.filter(matches), `${text} -> ${reading}`);
  }
  assert.ok(valid > 500, `only ${valid} valid ones`);
});

test("not turns true to false, and leaves what is unknown", () => {
  const next = seeded(3);
  const leaf = () =>
    ["lr < 0.01", "accuracy > 0.6", "opt = adam", "adam", "act = none", "best accuracy != 0.4"][next(6)];
  /** @param {number} depth @returns {string} */
  const made = (depth) =>
    depth === 0 || !next(4)
      ? leaf()
      : next(3)
        ? `(${made(depth - 1)} ${["and", "or"][next(2)]} ${made(depth - 1)})`
        : `not (${made(depth - 1)})`;
  for (let i = 0; i < 500; i++) {
    const text = made(4);
    const [is, isNot, both] = [text, `not (${text})`, `(${text}) or not (${text})`].map((one) =>
      rows.filter(parseFilter(one, columns).test),
    );
    assert.deepEqual(new Set([...is, ...isNot]), new Set(both), text);
    assert.ok(!is.some((row) => isNot.includes(row)), text);
  }
});
