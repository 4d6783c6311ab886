// Replaces the kernel in the preview: plays a scenario's events, sends the widgets' messages and answers theirs.

import { execute } from "./commands.js";
import { headerState, points, results, table, update } from "./messages.js";
import { source } from "./text.js";
import { printed, workers } from "./workers.js";

/** @typedef {import("./mount.js").Widget} Widget */
/** @typedef {import("./scenario.js").Scenario} Scenario */
/** @typedef {import("./messages.js").PlayedTrial} PlayedTrial */

const TICK = 100; // milliseconds between two updates
const SECONDS = 20; // the longest time that a live experiment takes

export class Kernel {
  /** @type {Record<string, Widget>} */
  widgets = {};
  /** The messages of the browser, in their order. @type {{widget: string, message: any}[]} */
  received = [];
  delay = 20;
  busy = false;
  lost = false;
  /** Whether it refuses every command. */
  refuses = false;
  /** Whether no trial saves a checkpoint, so that pausing never completes. */
  slow = false;
  status = "running";
  /** @type {number | null} */
  maxConcurrent = null;
  /** @type {(() => void)[]} */
  #waiting = [];
  #ticks = 0;
  #seq = 0;
  #step = 0; // reports between two updates while it plays
  #failed = false;
  #frontUntil = 0; // when the scatter of several objectives is not visible any more
  /** @type {Set<PlayedTrial>} */
  #changed = new Set();
  /** @type {Promise<Uint8Array> | undefined} */
  #plotly;

  /**
   * @param {Scenario} scenario
   * @param {(widget: string, message: any) => void} listener called with each message of the browser
   */
  constructor(scenario, listener) {
    this.scenario = scenario;
    this.listener = listener;
    this.metric = scenario.metric;
    /** @type {PlayedTrial[]} */
    this.trials = scenario.trials.map((trial) => ({
      ...trial,
      status: "pending",
      at: 0,
      sent: 0,
      pausedByUser: false,
    }));
    this.concurrent = Math.max(4, Math.ceil(this.trials.length / 100));
  }

  /**
   * Take a message of the browser. A busy kernel handles it later.
   * @param {string} widget
   * @param {any} message
   */
  receive(widget, message) {
    this.received.push({ widget, message });
    this.listener(widget, message);
    this.#waiting.push(() => this.#handle(widget, message));
    setTimeout(() => this.catchUp(), this.delay);
  }

  /** Handle the waiting messages, unless the kernel is busy. */
  catchUp() {
    if (this.busy || this.lost) return;
    for (const handle of this.#waiting.splice(0)) handle();
  }

  /**
   * @param {string} widget
   * @param {any} message
   */
  #handle(widget, message) {
    const model = this.widgets[widget].model;
    const trial = this.trials[message.trial];
    if (message.type === "ready") this.sendUpdates(true, [widget]);
    else if (message.type === "visible") {
      this.#frontUntil = performance.now() + 6_000;
      this.sendUpdates(true, [widget]);
    } else if (message.type === "plotly") this.sendPlotly(widget);
    else if (message.type === "traits" && "metric" in message) {
      this.metric = message.metric;
      this.sendUpdates(true, ["curves"]);
    } else if (message.type === "detail" && trial) {
      const config = Object.entries(trial.config).map(([name, value]) => `${source(name)}: ${source(value)}`);
      const count = this.scenario.workers;
      const log = `${Array.from({ length: trial.at }, (_, i) => `epoch ${i + 1}`).join("\n")}\n${trial.config.note ?? ""}`;
      model.receive({
        type: "detail",
        id: message.id,
        trial: trial.number,
        config: `{${config.join(",\n ")}}`,
        traceback: trial.status === "failed" ? trial.traceback : null,
        checkpoint: trial.number % 2 === 0,
        results: results(trial, this.scenario),
        origin: trial.number % 3 === 2 ? ["after iteration 4 it became a copy of trial 1 at its iteration 6"] : [],
        lines: config
          .map((line) => `${line.slice(1, line.indexOf('"', 1))} = ${line.slice(line.indexOf(": ") + 2)}`)
          .join("\n"),
        cell: `# trial ${trial.number} of example\nlr = ${trial.config.lr}`,
        missing: trial.number % 2 ? 12_345 : 0,
        rank: message.rank,
        log: count ? printed(count, message.rank) : trial.number % 5 === 4 ? null : log,
        workers: workers(trial, this.scenario),
      });
    } else execute(this, widget, message);
  }

  /**
   * Set a trial's status and send it.
   * @param {PlayedTrial} trial
   * @param {string} status
   */
  set(trial, status) {
    trial.status = status;
    this.#changed.add(trial);
    this.sendUpdates();
  }

  /**
   * Add a trial: a clone of one, or a new one.
   * @param {number | null} of
   * @param {Record<string, any>} config
   */
  add(of, config) {
    const number = this.trials.length;
    const base = this.trials[of ?? number % Math.max(1, this.trials.length)];
    const made = { ...base, config: { ...base.config, ...config }, final: "finished", error: null, traceback: null };
    this.trials.push({ ...made, number, status: "pending", at: 0, sent: 0, pausedByUser: false });
    this.#changed.add(this.trials[number]);
    if (this.status !== "running") this.resume(false);
    this.sendUpdates();
  }

  /** @param {string} status */
  end(status) {
    this.status = status;
    for (const trial of this.trials) this.#changed.add(trial);
    this.sendUpdates();
  }

  /** @param {boolean} failed whether failed trials run again */
  resume(failed) {
    this.status = "running";
    for (const trial of this.trials) {
      if (trial.status === "failed" && failed) Object.assign(trial, { status: "pending", at: 0, final: "finished" });
      this.#changed.add(trial);
    }
    this.advance(1);
    this.#run();
  }

  /** @param {string} widget */
  async sendPlotly(widget) {
    this.#plotly ??= fetch("plotly.min.js.gz").then(async (response) => new Uint8Array(await response.arrayBuffer()));
    this.widgets[widget].model.receive({ type: "plotly", version: "preview" }, [await this.#plotly]);
  }

  /**
   * Let trials report.
   * @param {number} reports how often each running trial reports
   */
  advance(reports) {
    for (let i = 0; i < reports && this.status === "running"; i++) {
      this.#ticks++;
      let running = 0;
      let over = true;
      for (const trial of this.trials) {
        if (trial.status === "pending" && running < (this.maxConcurrent ?? this.concurrent)) trial.status = "running";
        if (trial.status === "running") {
          running++;
          this.#changed.add(trial);
          const length = trial.values[this.scenario.metric].length;
          if (trial.at < length) trial.at++;
          if (trial.at === length) trial.status = trial.final;
        }
        over &&= !["pending", "running", "paused"].includes(trial.status);
      }
      if (over) this.status = this.scenario.final;
    }
  }

  /**
   * Send the browser what has changed.
   * @param {boolean} [everything]
   * @param {string[]} [widgets]
   */
  sendUpdates(everything = false, widgets = Object.keys(this.widgets)) {
    if (this.lost) return;
    const { scenario, trials } = this;
    const failed = trials.some((trial) => trial.status === "failed");
    const columns = failed !== this.#failed; // there is one more column, so that the table is sent again
    this.#failed = failed;
    const changed = [...this.#changed];
    if (widgets.length === Object.keys(this.widgets).length) this.#changed.clear();
    for (const name of widgets) {
      const { model } = this.widgets[name];
      if (name === "header")
        model.update({
          state: headerState(trials, scenario, this.status, this.#ticks, this.concurrent, this.maxConcurrent),
        });
      else if (name === "curves") {
        model.update({ metrics: Object.keys(trials[0]?.values ?? {}), mode: scenario.mode, metric: this.metric });
        if (!everything && !changed.length) continue;
        const sent = everything ? trials : changed;
        const live = this.status === "running";
        model.receive(...update(sent, trials, scenario, this.metric, everything, ++this.#seq, live));
      } else if (name === "pareto") {
        // Nothing is sent while it is not visible.
        if (scenario.objectives.length < 2 || performance.now() > this.#frontUntil) continue;
        if (everything || changed.length)
          model.receive(points(trials, trials, scenario, true, this.status === "running"));
      } else if (everything || columns || changed.length)
        model.receive(
          table(
            everything || columns ? trials : changed,
            trials,
            scenario,
            everything || columns,
            this.status === "running",
          ),
        );
    }
  }

  /**
   * Play the experiment.
   * @param {string} pace "1": live, "half": to its middle at once, "0": to its end at once
   */
  play(pace) {
    const reports = this.trials.reduce((sum, trial) => sum + trial.values[this.scenario.metric].length, 0);
    const all = Math.ceil(reports / this.concurrent);
    const middle = pace === "half" || this.scenario.stays !== "";
    if (pace !== "1") this.advance(middle ? Math.ceil(all / 2) : Number.POSITIVE_INFINITY);
    if (pace !== "1" && this.scenario.stays === "stopped") this.status = "stopped";
    if (pace !== "1" && this.scenario.stays === "paused") {
      const [first, second] = this.trials.filter((trial) => trial.status === "running");
      Object.assign(first, { status: "paused", pausedByUser: true });
      second.status = "paused"; // by the scheduler
    }
    this.sendUpdates(true);
    this.sendPlotly("curves");
    setInterval(() => {
      if (this.lost || this.status !== "running") return;
      for (const { model } of Object.values(this.widgets)) model.update({ alive: model.get("alive") + 1 });
    }, 2000);
    this.#step = pace === "1" ? Math.max(1, Math.round((all * TICK) / (SECONDS * 1000))) : 0;
    this.#run();
  }

  #run() {
    if (!this.#step) return;
    const interval = setInterval(() => {
      if (this.lost) return;
      this.advance(this.#step);
      this.sendUpdates();
      if (this.status !== "running") clearInterval(interval);
    }, TICK);
  }
}
