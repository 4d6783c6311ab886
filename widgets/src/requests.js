// Requests to the kernel: each has an id, which its answers have too, and a timeout. See ../README.md.

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {ReturnType<typeof makeRequests>} Requests */

export const ANSWER_TIMEOUT = 45_000; // milliseconds; an idle kernel has asked the cluster and answered by then
export const CONNECT_TIMEOUT = 180_000; // milliseconds to connect to a cluster or to start one
const PENDING_TIMEOUT = 300_000; // milliseconds from an answer with `pending` to the final one

/**
 * The open requests of a model. One that is not answered in time is answered here, as if the kernel had refused it:
 * `{type: "refused", command, trial, id, message, late: true}`. An answer of the kernel that comes later still counts.
 * @param {(refusal: any) => void} onTimeout takes such a refusal
 */
export function makeRequests(onTimeout) {
  const page = Math.random().toString(36).slice(2); // pages that show the same model receive one another's answers
  /** @type {Map<string, {message: any, timer: ReturnType<typeof setTimeout>}>} */
  const open = new Map();
  let count = 0;

  /** @param {string} id @param {string} reason */
  function fail(id, reason) {
    const request = open.get(id);
    if (!request) return;
    open.delete(id);
    clearTimeout(request.timer);
    const { type, trial } = request.message;
    onTimeout({ type: "refused", command: type, trial: trial ?? null, id, message: reason, late: true });
  }

  /** @param {string} id @param {number} timeout */
  const startTimer = (id, timeout) => {
    const seconds = Math.round(timeout / 1000);
    const reason = `the kernel has not answered within ${seconds} s. It may be running a cell, and answer when that has ended`;
    return setTimeout(() => fail(id, reason), timeout);
  };

  return {
    /**
     * Send a request.
     * @param {AnyModel} model
     * @param {any} message
     * @param {number} [timeout] milliseconds
     * @returns {string} its id
     */
    send(model, message, timeout = ANSWER_TIMEOUT) {
      const id = `${page}-${++count}`;
      open.set(id, { message, timer: startTimer(id, timeout) });
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
     * Take a message of the kernel, which may be an answer.
     * @param {any} message
     */
    receive(message) {
      const request = open.get(message?.id);
      if (!request) return;
      clearTimeout(request.timer);
      if (message.pending) request.timer = startTimer(message.id, PENDING_TIMEOUT);
      else open.delete(message.id);
    },

    /**
     * Return whether a request of a type is open.
     * @param {string} type
     */
    isPending: (type) => [...open.values()].some(({ message }) => message.type === type),

    /** Refuse all open requests: the connection to the kernel is closed. */
    close() {
      for (const id of [...open.keys()]) fail(id, "the connection to the kernel is closed");
    },

    /** Forget all open requests: the model is disposed of. */
    dispose() {
      for (const { timer } of open.values()) clearTimeout(timer);
      open.clear();
    },
  };
}
