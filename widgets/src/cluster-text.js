// The cluster panel's words and numbers, without a browser. See ../README.md.

import { format } from "./page.js";

/** @typedef {[name: string, used: number, total: number]} Amount */
/** @typedef {{id: string, name: string, head: boolean, alive: boolean, why: string, accelerator: string, amounts: Amount[]}} Node */

/** The resources that have a column of their own, with its heading. @type {[string, string][]} */
export const COLUMNS = [
  ["CPU", "CPUs"],
  ["GPU", "GPUs"],
  ["memory", "memory"],
  ["object_store_memory", "object store"],
];
const OWN = COLUMNS.map(([name]) => name);
/** @type {[string, number][]} */
const UNITS = [
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
];
const SILENCE = 6; // seconds

/** @param {string} name */
const isSize = (name) => name.endsWith("memory");

/**
 * A size in powers of ten as [number, unit], short: there are many beside one another. Of two sizes in one unit.
 * @param {number} size bytes
 * @param {number} [of] what says the unit; itself if left out
 * @returns {[string, string]}
 */
function sized(size, of = size) {
  const [unit, factor] = UNITS.find(([, least]) => of >= least) ?? ["B", 1];
  const number = size / factor;
  if (number > 0 && number < 0.05) return ["<0.1", unit];
  return [number < 100 ? String(Number(number.toFixed(1))) : number.toFixed(0), unit];
}

/**
 * An amount as text.
 * @param {string} name
 * @param {number} amount
 */
export const amountText = (name, amount) => (isSize(name) ? sized(amount).join(" ") : format(amount));

/**
 * "2 of 8", "1.5 of 64.0 GB".
 * @param {Amount} amount
 */
export function usedText([name, used, total]) {
  if (!isSize(name)) return `${format(used)} of ${format(total)}`;
  const [[part], [whole, unit]] = [sized(used, total), sized(total)];
  return `${part} of ${whole} ${unit}`;
}

/**
 * "6 free".
 * @param {Amount} amount
 */
export const freeText = ([name, used, total]) => `${amountText(name, Math.max(0, total - used))} free`;

/**
 * What is used, as a share of the whole, from 0 to 1.
 * @param {Amount} amount
 */
export const share = ([, used, total]) => (total > 0 ? Math.min(1, Math.max(0, used / total)) : 0);

/**
 * The amount of a resource that has a column of its own.
 * @param {Amount[]} amounts
 * @param {string} name
 */
export const amountOf = (amounts, name) => amounts.find(([one]) => one === name);

/**
 * Custom resources as text: "safe_node 0.5 of 1, special 0 of 2".
 * @param {Amount[]} amounts
 */
export const customText = (amounts) =>
  amounts
    .filter(([name]) => !OWN.includes(name))
    .map((amount) => `${amount[0]} ${usedText(amount)}`)
    .join(", ");

/**
 * What somebody uses of custom resources as text.
 * @param {Record<string, number>} resources
 */
export const customUse = (resources) =>
  Object.entries(resources)
    .filter(([name]) => !OWN.includes(name))
    .map(([name, amount]) => `${name} ${amountText(name, amount)}`)
    .join(", ");

/** @param {number} count @param {string} what */
export const several = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** What a cluster is to this kernel: sign, word, and what that means. @type {Record<string, [string, string, string]>} */
export const KINDS = {
  none: ["○", "no cluster", ""],
  embedded: ["●", "embedded Ray", "It belongs to this kernel and ends with it."],
  local: ["●", "local cluster", "nbtune's own on this machine; it outlives the kernel."],
  attached: ["●", "attached cluster", "It goes on without this kernel."],
  gone: ["✗", "the cluster is gone", ""],
};

/**
 * What connecting to another one does to the one that there is.
 * @param {string} kind
 */
export function leaving(kind) {
  if (kind === "embedded")
    return "This kernel's embedded Ray ends then. While an experiment runs on it, that is refused.";
  if (kind === "none" || kind === "gone")
    return "Without an address: a cluster that runs on this machine, or else a Ray of this kernel's own.";
  return "This one goes on without this kernel; %tune attach NAME brings its experiments back, once you are connected to it again.";
}

/**
 * What is wrong with an address that was typed, as far as that is known here; Python knows the rest.
 * @param {string} text
 * @param {string} kind what there is now
 */
export const addressProblem = (text, kind) =>
  text.trim() || kind === "none" || kind === "gone"
    ? ""
    : "an address is needed: HOST:PORT, ray://HOST:PORT, auto or local";

/**
 * What to say of a kernel that does not answer, or an empty text.
 * @param {boolean} closed whether the connection is known to be closed
 * @param {number} silent seconds since its last word
 */
export function silenceText(closed, silent) {
  if (closed) return "The kernel is gone. Run this cell again in a new one.";
  if (silent < SILENCE) return "";
  return `No word from the kernel for ${Math.floor(silent)} s: it or the cluster is busy. What is shown is as old as that.`;
}
