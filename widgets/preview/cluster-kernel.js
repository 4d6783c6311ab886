// Replaces the kernel in the preview: sends a cluster's state, connects to one, and lets Python read the scaling form.

import { clusterOf } from "./clusters.js";

/** @typedef {import("./mount.js").Widget} Widget */

const DELAY = 20; // milliseconds until it answers
const CONNECTING = 400; // milliseconds that connecting takes
const REFUSAL =
  "10.0.0.9:6379 cannot be reached: Connection refused. Check the address, and that the cluster is running";

export class ClusterKernel {
  /** @type {Record<string, Widget>} */
  widgets = {};
  /** The messages of the browser, in their order. @type {{widget: string, message: any}[]} */
  received = [];
  refuses = false;
  silent = false;
  #revision = 0;
  #cell = ""; // the last that was valid

  /**
   * @param {string} scenario
   * @param {string} form "one", "distributed" or "v1"
   * @param {(widget: string, message: any) => void} listener called with each message of the browser
   */
  constructor(scenario, form, listener) {
    this.scenario = scenario;
    this.form = form;
    this.listener = listener;
  }

  /** The scaling form's traits, as Python sets them initially. */
  async traits() {
    const { fields } = await this.#ask({});
    const distributed = { mode: "distributed", workers: "4", use_gpu: true, worker_cpus: "8", worker_memory: "16GiB" };
    const one = { cpus: "2", gpus: "0.5", memory: "2GiB" };
    const filled = { ...fields, ...(this.form === "one" ? one : distributed) };
    return { fields: filled, checked: await this.#checked(filled), planned: this.#planned() };
  }

  /** @param {string} widget @param {any} message */
  receive(widget, message) {
    this.received.push({ widget, message });
    this.listener(widget, message);
    setTimeout(() => this.#handle(widget, message), DELAY);
  }

  /** @param {string} widget @param {any} message */
  async #handle(widget, message) {
    if (this.silent) return;
    const { model } = this.widgets[widget];
    if (message.type === "connect") setTimeout(() => this.#connect(widget, message.id), CONNECTING);
    else if (message.type === "traits") {
      model.update({ checked: await this.#checked(message.fields) });
      model.update({ planned: this.#planned() });
    } else if (widget === "cluster" && (message.type === "visible" || message.type === "ready"))
      this.sendCluster(message.type === "ready");
  }

  /** @param {boolean} [everything] */
  sendCluster(everything = false) {
    const { cluster, nodes } = clusterOf(this.scenario);
    this.widgets.cluster.model.receive({ type: "cluster", reset: everything, cluster, nodes, removed: [] });
  }

  /** @param {string} widget @param {string} id of the request */
  #connect(widget, id) {
    const { model } = this.widgets[widget];
    if (this.refuses) return model.receive({ type: "refused", message: REFUSAL, id });
    if (this.scenario === "none" || this.scenario === "gone") this.scenario = "one";
    model.receive({ type: "connected", id });
    this.sendCluster(true);
    this.widgets.scaling.model.update({ planned: this.#planned() });
  }

  /** @param {object} fields @returns {Promise<any>} */
  async #ask(fields) {
    const body = JSON.stringify({ fields, train_v2: this.form !== "v1" });
    return (await fetch("scaling", { method: "POST", body })).json();
  }

  /** @param {object} fields */
  async #checked(fields) {
    const { problems, cell } = await this.#ask(fields);
    this.#cell = cell || this.#cell;
    return { problems, cell: this.#cell, train_v2: this.form !== "v1", revision: ++this.#revision };
  }

  #planned() {
    const revision = this.#revision;
    if (this.scenario === "none") return { state: "none", lines: [], cluster: "", revision };
    if (this.scenario === "gone")
      return { state: "refused", lines: ["the cluster does not answer any more"], revision };
    const lines = ["10 trials, 4 at once (limited by GPU), 3 waves; idle: 24 CPU", "one node is dead"];
    return { state: "planned", lines, cluster: "Ray at 10.0.0.1:6379: 3 nodes, 68 CPUs, 8 GPUs", revision };
  }
}
