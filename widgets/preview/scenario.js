// The experiments of the preview page: the recorded one, and what is made of it by a seeded generator.

/**
 * @typedef {{number: number, config: Record<string, any>, final: string, error: string | null,
 *   traceback: string | null, values: Record<string, number[]>}} Trial
 * @typedef {{key: string, label: string, role: string, log: boolean, choices: any[] | null,
 *   kind?: string | null, space?: string}} Column
 * @typedef {{name: string, metric: string, mode: string, seconds: number, final: string, hint: string, stays: string, workers: number,
 *   columns: Column[], trials: Trial[], objectives: [string, string][]}} Scenario
 */

const TRIALS = /** @type {Record<string, number>} */ ({
  errors: 20,
  paused: 20,
  stopped: 20,
  workers: 8,
  objectives: 1000,
});

export const SCENARIOS = ["empty", "1", "20", "1000", "10000", "errors", "paused", "stopped", "workers", "objectives"];

/** What a page would act on if it took it for markup. */
export const HOSTILE = [
  '<img src="nowhere" onerror="window.hacked = 1">',
  "<script>window.hacked = 1</script>",
  "<b>bold</b> & \"quoted\" %{y} 'text' </div>",
  "\x1b[31m\u202eesrever\u200b end",
  "https://example.org/a?b=<i>c</i>",
  `a long one: ${"word ".repeat(38)}`,
];

/**
 * Numbers from 0 to 1, the same for the same seed (mulberry32).
 * @param {number} seed
 */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * @param {string} name
 * @param {any} recorded what tests/browser/record.py has written
 * @returns {Scenario}
 */
export function scenario(name, recorded) {
  const count = TRIALS[name] ?? (Number(name) || 0);
  const next = random(count);
  const trials = Array.from({ length: count }, (_, number) => trial(number, recorded.trials, next));
  const made = {
    ...recorded,
    final: "finished",
    hint: "",
    objectives: [[recorded.metric, recorded.mode]],
    stays: name === "paused" || name === "stopped" ? name : "",
    workers: name === "workers" ? 4 : 0, // of each trial; 0: not distributed
    trials,
  };
  return name === "errors" ? broken(made) : name === "objectives" ? several(made, next) : made;
}

/**
 * @param {number} number
 * @param {any[]} recorded
 * @param {() => number} next
 * @returns {Trial}
 */
function trial(number, recorded, next) {
  const { status, ...base } = recorded[number % recorded.length];
  if (number < recorded.length) return { number, final: status, ...base };
  const share = 0.6 + 0.4 * next();
  const accuracy = base.values.accuracy.map((/** @type {number} */ value) => value * share);
  const loss = accuracy.map((/** @type {number} */ value) => 1 - value);
  const config = { ...base.config, lr: 10 ** (-4 + 3 * next()) };
  return { number, final: status, ...base, config, values: { accuracy, loss } };
}

/**
 * Two objectives; some trials have failed, and some have no value of the second one.
 * @param {Scenario} made
 * @param {() => number} next
 * @returns {Scenario}
 */
function several(made, next) {
  for (const { number, values } of made.trials) {
    const spread = next();
    values.latency = values.accuracy.map((value) =>
      number % 50 === 7 ? Number.NaN : 5 + 40 * value * value + 30 * spread,
    );
  }
  for (const trial of made.trials.filter(({ number }) => number % 40 === 3)) {
    trial.final = "failed";
    trial.error = trial.traceback = "ValueError: too slow";
  }
  const column = { key: "metric/latency", label: "latency", role: "metric", log: false, choices: null };
  const others = made.columns.filter(({ role, key }) => role !== "metric" && !role.startsWith("value") && key !== "");
  const columns = [...made.columns.filter(({ role }) => role === "metric").slice(0, 1), column, ...others];
  return { ...made, columns, objectives: [...made.objectives, ["latency", "min"]] };
}

/**
 * Failed trials, a failed experiment, hostile text in every place, values that are no finite numbers.
 * @param {Scenario} made
 * @returns {Scenario}
 */
function broken(made) {
  const odd = "<i>odd</i> & co";
  const at = made.columns.findIndex((column) => column.role !== "param");
  const columns = made.columns.toSpliced(
    at,
    0,
    { key: "config/note", label: "note", role: "param", log: false, choices: HOSTILE, kind: "choice" },
    { key: `config/${odd}`, label: odd, role: "param", log: false, choices: null, kind: "any" },
  );
  columns.splice(columns.length - 1, 0, {
    key: `metric/${odd}`,
    label: `${odd} (metric)`,
    role: "metric",
    log: false,
    choices: null,
  });
  for (const one of made.trials) {
    const { number, values } = one;
    one.config = { ...one.config, note: HOSTILE[number % HOSTILE.length], [odd]: number % 2 ? number / 7 : null };
    values[odd] = values.accuracy.map((value, i) => (i % 5 ? value * 1e-7 : Number.NaN));
    if (number % 4 === 1) values.accuracy[values.accuracy.length - 1] = Number.NaN;
    if (number % 4 === 2) values.accuracy[3] = Number.POSITIVE_INFINITY;
    if (number % 3 === 0) {
      one.final = "failed";
      one.error = `ValueError: ${HOSTILE[number % HOSTILE.length]}`;
      one.traceback = `Traceback (most recent call last):\n  Cell In[3], line 7\n${one.error}`;
    }
    if (number === 6) one.values = { accuracy: [], loss: [], [odd]: [] };
  }
  return { ...made, name: HOSTILE[2], final: "failed", hint: `RuntimeError: ${HOSTILE[0]}`, columns };
}
