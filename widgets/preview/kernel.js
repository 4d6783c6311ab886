// Stands in for the kernel: plays a scenario's events, tells the widgets, hears and answers them.

import { carryOut } from "./orders.js";
import { head, table, update } from "./tell.js";
import { source } from "./text.js";
import { printed, workers } from "./workers.js";

/** @typedef {import("./mount.js").Widget} Widget */
/** @typedef {import("./scenario.js").Scenario} Scenario */
/** @typedef {import("./tell.js").Told} Told */

const TICK = 100; // milliseconds between two tellings, as in nbtune/views/live/dashboard.py
const SECONDS = 20; // that a live experiment takes at most

export class Kernel {
  /** @type {Record<string, Widget>} */
  widgets = {};
  /** What has come from the browser, in order. @type {{widget: string, message: any}[]} */
  heard = [];
  delay = 20;
  busy = false;
  lost = false;
  /** Whether it refuses every order. */
  refuses = false;
  /** Whether no trial keeps a checkpoint, so that pausing does not come to its end. */
  slow = false;
  status = "running";
  /** @type {number | null} */
  maxConcurrent = null;
  /** @type {(() => void)[]} */
  #waiting = [];
  #ticks = 0;
  #seq = 0;
  #step = 0; // reports between two tellings, while it is played
  #failed = false;
  /** @type {Set<Told>} */
  #changed = new Set();
  /** @type {Promise<Uint8Array> | undefined} */
  #plotly;

  /**
   * @param {Scenario} scenario
   * @param {(widget: string, message: any) => void} listener told of whatever the browser sends
   */
  constructor(scenario, listener) {
    this.scenario = scenario;
    this.listener = listener;
    this.metric = scenario.metric;
    /** @type {Told[]} */
    this.trials = scenario.trials.map((trial) => ({ ...trial, status: "pending", at: 0, told: 0, held: false }));
    this.atOnce = Math.max(4, Math.ceil(this.trials.length / 100));
  }

  /**
   * What the browser has sent. A busy kernel hears of it later.
   * @param {string} widget
   * @param {any} message
   */
  receive(widget, message) {
    this.heard.push({ widget, message });
    this.listener(widget, message);
    this.#waiting.push(() => this.#handle(widget, message));
    setTimeout(() => this.catchUp(), this.delay);
  }

  /** Handle what has waited, unless it has to wait on. */
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
    if (message.type === "ready") this.tell(true, [widget]);
    else if (message.type === "plotly") this.sendPlotly(widget);
    else if (message.type === "traits" && "metric" in message) {
      this.metric = message.metric;
      this.tell(true, ["curves"]);
    } else if (message.type === "detail" && trial) {
      const config = Object.entries(trial.config).map(([name, value]) => `${source(name)}: ${source(value)}`);
      const count = this.scenario.workers;
      const log = `epoch 1\nepoch 2\n${trial.config.note ?? ""}`;
      model.receive({
        type: "detail",
        id: message.id,
        trial: trial.number,
        config: `{${config.join(",\n ")}}`,
        traceback: trial.status === "failed" ? trial.traceback : null,
        checkpoint: trial.number % 2 === 0,
        rank: message.rank,
        log: count ? printed(count, message.rank) : trial.number % 5 === 4 ? null : log,
        workers: workers(trial, this.scenario),
      });
    } else carryOut(this, widget, message);
  }

  /**
   * Give a trial a status, and tell it.
   * @param {Told} trial
   * @param {string} status
   */
  set(trial, status) {
    trial.status = status;
    this.#changed.add(trial);
    this.tell();
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
    this.trials.push({ ...made, number, status: "pending", at: 0, told: 0, held: false });
    this.#changed.add(this.trials[number]);
    if (this.status !== "running") this.resume(false);
    this.tell();
  }

  /** @param {string} status */
  end(status) {
    this.status = status;
    for (const trial of this.trials) this.#changed.add(trial);
    this.tell();
  }

  /** @param {boolean} failed whether what has failed is tried again */
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
   * @param {number} reports how often each that runs reports
   */
  advance(reports) {
    for (let i = 0; i < reports && this.status === "running"; i++) {
      this.#ticks++;
      let running = 0;
      let over = true;
      for (const trial of this.trials) {
        if (trial.status === "pending" && running < (this.maxConcurrent ?? this.atOnce)) trial.status = "running";
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
   * Tell the browser what is new.
   * @param {boolean} [everything]
   * @param {string[]} [widgets]
   */
  tell(everything = false, widgets = Object.keys(this.widgets)) {
    if (this.lost) return;
    const { scenario, trials } = this;
    const failed = trials.some((trial) => trial.status === "failed");
    const columns = failed !== this.#failed; // a column more: the table begins again
    this.#failed = failed;
    const changed = [...this.#changed];
    if (widgets.length === Object.keys(this.widgets).length) this.#changed.clear();
    for (const name of widgets) {
      const { model } = this.widgets[name];
      if (name === "head")
        model.update({ state: head(trials, scenario, this.status, this.#ticks, this.atOnce, this.maxConcurrent) });
      else if (name === "curves") {
        model.update({ metrics: Object.keys(trials[0]?.values ?? {}), mode: scenario.mode, metric: this.metric });
        if (!everything && !changed.length) continue;
        const told = everything ? trials : changed;
        const live = this.status === "running";
        model.receive(...update(told, trials, scenario, this.metric, everything, ++this.#seq, live));
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
   * Play the experiment. One that stays somewhere is played there at once.
   * @param {string} pace "1": as it comes, "half": to its middle, where it stays, "0": all at once
   */
  play(pace) {
    const reports = this.trials.reduce((sum, trial) => sum + trial.values[this.scenario.metric].length, 0);
    const all = Math.ceil(reports / this.atOnce);
    const middle = pace === "half" || this.scenario.stays !== "";
    if (pace !== "1") this.advance(middle ? Math.ceil(all / 2) : Number.POSITIVE_INFINITY);
    if (pace !== "1" && this.scenario.stays === "stopped") this.status = "stopped";
    if (pace !== "1" && this.scenario.stays === "paused") {
      const [first, second] = this.trials.filter((trial) => trial.status === "running");
      Object.assign(first, { status: "paused", held: true });
      second.status = "paused"; // by the scheduler
    }
    this.tell(true);
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
    const playing = setInterval(() => {
      if (this.lost) return;
      this.advance(this.#step);
      this.tell();
      if (this.status !== "running") clearInterval(playing);
    }, TICK);
  }
}
