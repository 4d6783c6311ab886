import assert from "node:assert/strict";
import { test } from "node:test";
import { asShown, escaped } from "../src/page.js";

test("nothing is shown that a reader does not see, or that reorders other text", () => {
  const cases = [
    ["\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"],
    ["nu\0ll", "nu\ufffdll"],
    ["over\rwritten", "over\ufffdwritten"],
    ["\u202eback", "\ufffdback"],
    ["\u2066in\u2069", "\ufffdin\ufffd"],
    ["zero\u200bwidth", "zero\ufffdwidth"],
    ["join\u200ded", "join\ufffded"],
    ["soft\xadhyphen", "soft\ufffdhyphen"],
    ["\ud800", "\ufffd"],
    ["para\u2029graph", "para\ufffdgraph"],
    ["\x9b2J", "\ufffd2J"],
  ];
  for (const [text, expected] of cases) assert.equal(asShown(text), expected);
  assert.equal(escaped("<\u202e>"), "&lt;\ufffd&gt;");
});

test("what people write is shown as it is", () => {
  for (const text of ["lr", "größer 1 €", "学習率", "می‌خواهم", "שלום", "👨‍👩‍👧", "❤️", "e\u0301", "a\tb\nc", "", "a  b"])
    assert.equal(asShown(text), text);
});
