// The fields of the scaling form, without a browser. See ../README.md.

/**
 * @typedef {{name: string, label: string, kind: "text" | "check" | "select", hint: string, placeholder?: string,
 *   choices?: string[], list?: string[], train?: 1 | 2, when?: string}} Field `when`: a field that must say something
 */
/** @typedef {{name: string, label: string, fields: Field[]}} Group */
/** @typedef {Record<string, string | boolean>} Fields */

/** Ray's names of accelerators that are likely; any other can be typed. */
const ACCELERATORS = ["T4", "L4", "A10G", "L40S", "V100", "A100", "H100", "H200", "B200", "TPU-V5P", "TPU-V6E"];

/** @param {string} name @param {string} label @param {string} hint @param {Partial<Field>} [more] @returns {Field} */
const field = (name, label, hint, more = {}) => ({ name, label, hint, kind: "text", ...more });

export const SAMPLES = field("samples", "samples", "How many trials the plan is for: --samples");

/** @type {Record<string, Group[]>} */
export const MODES = {
  one: [
    {
      name: "trial",
      label: "Each trial",
      fields: [
        field("cpus", "CPUs", "CPUs of one trial, fractions too; for scheduling, Ray does not enforce it"),
        field("gpus", "GPUs", "GPUs of one trial, fractions too; a trial sees just those", { placeholder: "0" }),
        field("memory", "memory", "Memory of one trial, for scheduling: 2GiB, 500MB", { placeholder: "any" }),
        field("resources", "custom", "Custom resources of one trial: name=1, other=0.5", { placeholder: "none" }),
      ],
    },
  ],
  distributed: [
    {
      name: "workers",
      label: "Workers",
      fields: [
        field("workers", "workers", "num_workers: how many processes train together; 0 trains in the trial's own"),
        field("max_workers", "up to", "num_workers=(least, most): as many as there is room for", {
          placeholder: "as many",
          train: 2,
        }),
        field("resize_every", "look every", "elastic_resize_monitor_interval_s: seconds between two looks for room", {
          placeholder: "60 s",
          train: 2,
          when: "max_workers",
        }),
      ],
    },
    {
      name: "worker",
      label: "Each worker",
      fields: [
        field("worker_cpus", "CPUs", "CPUs of one worker, fractions too"),
        field("use_gpu", "use GPUs", "use_gpu: one GPU for each worker, or as many as the next field says", {
          kind: "check",
        }),
        field("worker_gpus", "GPUs", "GPUs of one worker, where it is not 1; fractions too"),
        field("worker_memory", "memory", "Memory of one worker, for scheduling: 2GiB, 500MB", { placeholder: "any" }),
        field("worker_resources", "custom", "Custom resources of one worker: name=1, other=0.5", {
          placeholder: "none",
        }),
      ],
    },
    {
      name: "placement",
      label: "Where",
      fields: [
        field("placement_strategy", "placement", "placement_strategy: close together (PACK) or apart (SPREAD)", {
          kind: "select",
          choices: ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"],
        }),
        field("accelerator_type", "accelerator", "accelerator_type: only nodes with this one", {
          placeholder: "any",
          list: ACCELERATORS,
        }),
        field("label_selector", "labels", "label_selector: region=us-west, kind=in(a,b); for each worker apart by ;", {
          placeholder: "any node",
          train: 2,
        }),
        field("trainer_resources", "trainer", "trainer_resources: of the process that leads the workers: CPU=1", {
          placeholder: "CPU=1",
          train: 1,
        }),
        field("use_tpu", "use TPUs", "use_tpu: one TPU VM for each worker", { kind: "check", train: 2 }),
        field("topology", "topology", "topology: of the TPUs, 4x4 for instance", { train: 2, when: "use_tpu" }),
      ],
    },
  ],
};

/** Why a field of Ray Train's is not there. */
export const NO_TRAINER =
  "trainer_resources is not there: in Ray Train V2 the process that leads the workers takes none. RAY_TRAIN_V2_ENABLED=0 brings back V1, which has it.";

/** Every field of a form. */
export const ALL = [SAMPLES, ...Object.values(MODES).flatMap((groups) => groups.flatMap((group) => group.fields))];

/**
 * Whether a field is to be seen.
 * @param {Field} one
 * @param {Fields} fields
 * @param {boolean} trainV2
 */
export function isShown(one, fields, trainV2) {
  if (one.train && one.train !== (trainV2 ? 2 : 1)) return false;
  return !one.when || Boolean(fields[one.when]);
}

/**
 * What an empty field stands for.
 * @param {Field} one
 * @param {Fields} fields
 */
export function placeholderOf(one, fields) {
  const others = ["worker_gpus", "worker_memory", "worker_resources"].some((name) => fields[name]);
  // As Ray has it: who says anything of a worker's resources says all of it, and with a GPU no CPU is taken.
  if (one.name === "worker_cpus") return fields.use_gpu || fields.use_tpu || others ? "0" : "1";
  if (one.name === "worker_gpus") return fields.use_gpu ? "1" : "0";
  return one.placeholder ?? "";
}
