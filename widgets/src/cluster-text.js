// The cluster panel's texts and numbers; pure functions without the DOM. See ../README.md.

import { format } from "./page.js";

/** @typedef {[name: string, used: number, total: number]} Amount */
/** @typedef {{id: string, name: string, head: boolean, alive: boolean, reason: string, accelerator: string, amounts: Amount[]}} Node */

/** The resources that have a column, with its heading. @type {[string, string][]} */
export const COLUMNS = [
  ["CPU", "CPUs"],
  ["GPU", "GPUs"],
  ["memory", "memory"],
  ["object_store_memory", "object store"],
];
const COLUMN_NAMES = COLUMNS.map(([name]) => name);
/** @type {[string, number][]} */
const UNITS = [
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
];
const SILENCE = 6; // seconds without a message, after which the kernel counts as silent

/** @param {string} name */
const isSize = (name) => name.endsWith("memory");

/**
 * Return a size as [number, unit] in decimal units, with few digits: tables have many of them.
 * @param {number} size bytes
 * @param {number} [reference] the size that determines the unit
 * @returns {[string, string]}
 */
function sized(size, reference = size) {
  const [unit, factor] = UNITS.find(([, minimum]) => reference >= minimum) ?? ["B", 1];
  const number = size / factor;
  if (number > 0 && number < 0.05) return ["<0.1", unit];
  return [number < 100 ? String(Number(number.toFixed(1))) : number.toFixed(0), unit];
}

/**
 * Return an amount as text.
 * @param {string} name
 * @param {number} amount
 */
export const amountText = (name, amount) => (isSize(name) ? sized(amount).join(" ") : format(amount));

/**
 * Return "2 of 8" or "1.5 of 64 GB".
 * @param {Amount} amount
 */
export function usedText([name, used, total]) {
  if (!isSize(name)) return `${format(used)} of ${format(total)}`;
  const [[part], [whole, unit]] = [sized(used, total), sized(total)];
  return `${part} of ${whole} ${unit}`;
}

/**
 * Return "6 free".
 * @param {Amount} amount
 */
export const freeText = ([name, used, total]) => `${amountText(name, Math.max(0, total - used))} free`;

/**
 * Return the share that is in use, from 0 to 1.
 * @param {Amount} amount
 */
export const share = ([, used, total]) => (total > 0 ? Math.min(1, Math.max(0, used / total)) : 0);

/**
 * Return the amount of a resource.
 * @param {Amount[]} amounts
 * @param {string} name
 */
export const amountOf = (amounts, name) => amounts.find(([one]) => one === name);

/**
 * Return custom resources as text: "safe_node 0.5 of 1, special 0 of 2".
 * @param {Amount[]} amounts
 */
export const customText = (amounts) =>
  amounts
    .filter(([name]) => !COLUMN_NAMES.includes(name))
    .map((amount) => `${amount[0]} ${usedText(amount)}`)
    .join(", ");

/**
 * Return the custom resources that a user has, as text.
 * @param {Record<string, number>} resources
 */
export const customUse = (resources) =>
  Object.entries(resources)
    .filter(([name]) => !COLUMN_NAMES.includes(name))
    .map(([name, amount]) => `${name} ${amountText(name, amount)}`)
    .join(", ");

/** @param {number} count @param {string} noun */
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** The kinds of connection of this kernel to a cluster: sign, label and explanation. @type {Record<string, [string, string, string]>} */
export const KINDS = {
  none: ["○", "no cluster", ""],
  embedded: ["●", "embedded Ray", "Started by this kernel; it ends with it."],
  local: ["●", "local cluster", "Started by nbtune on this machine; it outlives the kernel."],
  attached: ["●", "attached cluster", "A cluster that runs independently of this kernel."],
  gone: ["✗", "cluster lost", ""],
};

/**
 * Return what attaching to another cluster does to the current one.
 * @param {string} kind
 */
export function attachHint(kind) {
  if (kind === "embedded")
    return "Attaching to another cluster shuts down this kernel's embedded Ray; it is refused while an experiment runs on it.";
  if (kind === "none" || kind === "gone")
    return "Without an address: a cluster that runs on this machine, otherwise an embedded Ray is started.";
  return "The current cluster keeps running. To return to its experiments, attach to it again and use %tune attach NAME.";
}

/**
 * Return the error of a typed address, if it can be found here; the kernel checks the rest.
 * @param {string} text
 * @param {string} kind of the current connection
 */
export const addressProblem = (text, kind) =>
  text.trim() || kind === "none" || kind === "gone"
    ? ""
    : "expected an address: HOST:PORT, ray://HOST:PORT, auto or local";

/**
 * Return the message about a silent kernel, or an empty string.
 * @param {boolean} closed whether the connection is known to be closed
 * @param {number} silent seconds since its last message
 */
export function silenceText(closed, silent) {
  if (closed) return "No connection to the kernel. Run this cell again when it has one.";
  if (silent < SILENCE) return "";
  return `No message from the kernel for ${Math.floor(silent)} s: it or the cluster is busy. The numbers are that old.`;
}
