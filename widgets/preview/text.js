// Text as Python writes it.

/**
 * A number as `nbtune.views.text.number` writes it.
 * @param {number} value
 */
export function format(value) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e6) return String(Number(value.toPrecision(4)));
  return String(Number(value.toPrecision(4)).toExponential()).replace(/e([+-])(\d)$/, "e$10$2");
}

/**
 * A value as Python source.
 * @param {any} value
 */
export function source(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
