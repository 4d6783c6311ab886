// Requests to the kernel: each has an id, which its answers bear, and a time within which one has to come. See ../README.md.

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {ReturnType<typeof makeRequests>} Requests */

export const ANSWERED = 45_000; // milliseconds within which a kernel with nothing else to do has asked the cluster and answered
const BROUGHT_ABOUT = 300_000; // the same after it has said that it is at it

/**
 * What the widgets of one model ask of the kernel. A question that has no answer in time is answered here, as one that
 * the kernel refuses: `{type: "refused", order, trial, id, message, late: true}`. The kernel's own answer may still
 * come, and counts.
 * @param {(message: any) => void} receive takes such a refusal
 */
export function makeRequests(receive) {
  const page = Math.random().toString(36).slice(2); // tells this page's from those of others, which hear the answers too
  /** @type {Map<string, {message: any, timer: ReturnType<typeof setTimeout>}>} */
  const open = new Map();
  let count = 0;

  /** @param {string} id @param {string} why */
  function fail(id, why) {
    const asked = open.get(id);
    if (!asked) return;
    open.delete(id);
    clearTimeout(asked.timer);
    const { type, trial } = asked.message;
    receive({ type: "refused", order: type, trial: trial ?? null, id, message: why, late: true });
  }

  /** @param {string} id @param {number} within */
  const limit = (id, within) => {
    const seconds = Math.round(within / 1000);
    const why = `the kernel has not answered within ${seconds} s. It may be busy with a cell, and still do it when it is free`;
    return setTimeout(() => fail(id, why), within);
  };

  return {
    /**
     * Send a question or an order.
     * @param {AnyModel} model
     * @param {any} message
     * @param {number} [within] milliseconds
     * @returns {string} its id
     */
    ask(model, message, within = ANSWERED) {
      const id = `${page}-${++count}`;
      open.set(id, { message, timer: limit(id, within) });
      try {
        model.send({ ...message, id });
      } catch (error) {
        clearTimeout(open.get(id)?.timer);
        open.delete(id);
        throw error;
      }
      return id;
    },

    /**
     * Hear a message of the kernel's, which may be an answer.
     * @param {any} message
     */
    heard(message) {
      const asked = open.get(message?.id);
      if (!asked) return;
      clearTimeout(asked.timer);
      if (message.pending) asked.timer = limit(message.id, BROUGHT_ABOUT);
      else open.delete(message.id);
    },

    /**
     * Whether an answer to such a question is still to come.
     * @param {string} type
     */
    waits: (type) => [...open.values()].some(({ message }) => message.type === type),

    /** No answer can come any more: the connection to the kernel is closed. */
    close() {
      for (const id of [...open.keys()]) fail(id, "the connection to the kernel is closed");
    },

    /** Forget what is open: the model is gone. */
    end() {
      for (const { timer } of open.values()) clearTimeout(timer);
      open.clear();
    },
  };
}
