// The fields of the scaling form; pure data and functions without the DOM. See ../README.md.

/**
 * @typedef {{name: string, label: string, kind: "text" | "check" | "select", hint: string, placeholder?: string,
 *   choices?: string[], list?: string[], train?: 1 | 2, when?: string}} Field `when`: a field that must be filled in
 */
/** @typedef {{name: string, label: string, fields: Field[]}} Group */
/** @typedef {Record<string, string | boolean>} Fields */

/** Common accelerator types of Ray; others can be typed. */
const ACCELERATORS = ["T4", "L4", "A10G", "L40S", "V100", "A100", "H100", "H200", "B200", "TPU-V5P", "TPU-V6E"];

/** @param {string} name @param {string} label @param {string} hint @param {Partial<Field>} [more] @returns {Field} */
const field = (name, label, hint, more = {}) => ({ name, label, hint, kind: "text", ...more });

export const SAMPLES = field("samples", "samples", "--samples: number of trials in the plan");

/** @type {Record<string, Group[]>} */
export const MODES = {
  one: [
    {
      name: "trial",
      label: "Each trial",
      fields: [
        field("cpus", "CPUs", "CPUs per trial, may be fractional; for scheduling only, Ray does not enforce it"),
        field("gpus", "GPUs", "GPUs per trial, may be fractional; a trial sees only these", { placeholder: "0" }),
        field("memory", "memory", "memory per trial, for scheduling only: 2GiB, 500MB", { placeholder: "any" }),
        field("resources", "custom", "custom resources per trial: name=1, other=0.5", { placeholder: "none" }),
      ],
    },
  ],
  distributed: [
    {
      name: "workers",
      label: "Workers",
      fields: [
        field("workers", "workers", "num_workers: number of training processes; 0 trains in the trial's process"),
        field("max_workers", "up to", "num_workers=(minimum, maximum): as many as the cluster has room for", {
          placeholder: "fixed",
          train: 2,
        }),
        field(
          "resize_every",
          "resize every",
          "elastic_resize_monitor_interval_s: seconds between two checks for free resources",
          {
            placeholder: "60 s",
            train: 2,
            when: "max_workers",
          },
        ),
      ],
    },
    {
      name: "worker",
      label: "Each worker",
      fields: [
        field("worker_cpus", "CPUs", "CPUs per worker, may be fractional"),
        field("use_gpu", "use GPUs", "use_gpu: one GPU per worker, or as many as in the next field", {
          kind: "check",
        }),
        field("worker_gpus", "GPUs", "GPUs per worker if not 1, may be fractional"),
        field("worker_memory", "memory", "memory per worker, for scheduling only: 2GiB, 500MB", { placeholder: "any" }),
        field("worker_resources", "custom", "custom resources per worker: name=1, other=0.5", {
          placeholder: "none",
        }),
      ],
    },
    {
      name: "placement",
      label: "Placement",
      fields: [
        field("placement_strategy", "strategy", "placement_strategy: on few nodes (PACK) or on many (SPREAD)", {
          kind: "select",
          choices: ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"],
        }),
        field("accelerator_type", "accelerator", "accelerator_type: only on nodes with this accelerator", {
          placeholder: "any",
          list: ACCELERATORS,
        }),
        field(
          "label_selector",
          "labels",
          "label_selector: region=us-west, kind=in(a,b); separate selectors per worker with ;",
          {
            placeholder: "any node",
            train: 2,
          },
        ),
        field("trainer_resources", "trainer", "trainer_resources: of the process that controls the workers: CPU=1", {
          placeholder: "CPU=1",
          train: 1,
        }),
        field("use_tpu", "use TPUs", "use_tpu: one TPU VM per worker", { kind: "check", train: 2 }),
        field("topology", "topology", "topology of the TPUs, for example 4x4", { train: 2, when: "use_tpu" }),
      ],
    },
  ],
};

/** Why the field trainer_resources is missing. */
export const NO_TRAINER =
  "trainer_resources exists only in Ray Train V1 (RAY_TRAIN_V2_ENABLED=0); in V2 the controller takes no resources.";

/** Every field of a form. */
export const ALL = [SAMPLES, ...Object.values(MODES).flatMap((groups) => groups.flatMap((group) => group.fields))];

/**
 * Return whether a field is shown.
 * @param {Field} one
 * @param {Fields} fields
 * @param {boolean} trainV2
 */
export function isShown(one, fields, trainV2) {
  if (one.train && one.train !== (trainV2 ? 2 : 1)) return false;
  return !one.when || Boolean(fields[one.when]);
}

/**
 * Return the placeholder of an empty field: the value that Ray uses.
 * @param {Field} one
 * @param {Fields} fields
 */
export function placeholderOf(one, fields) {
  const others = ["worker_gpus", "worker_memory", "worker_resources"].some((name) => fields[name]);
  // Ray's defaults: with any resource or GPU given, a worker gets no CPU unless that is given, too.
  if (one.name === "worker_cpus") return fields.use_gpu || fields.use_tpu || others ? "0" : "1";
  if (one.name === "worker_gpus") return fields.use_gpu ? "1" : "0";
  return one.placeholder ?? "";
}
